"""The table says what the files are; what people wrote into it stays."""

from pathlib import Path

import numpy as np
import pytest

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.catalogue import COLUMNS, NAME, read_table
from beepwatch.train.datasets.indexing import Division, Indexed, index
from beepwatch.train.datasets.inspecting import digest_of
from beepwatch.train.datasets.splitting import SHARES, SplitError
from tests.train.datasets.sounds import noise, scaled, write


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for label in ("beep", "wash"):
        for seed in range(5):
            write(tmp_path / "data" / label / f"{seed}.wav", noise(seed, seconds=0.25))
    return tmp_path / "data"


def indexed(data: Path, workers: int = 0, **division: object) -> Indexed:
    return index(data, Division(**division), workers=workers)  # type: ignore[arg-type]


def test_every_clip_has_a_row_with_all_that_is_measured(tmp_path: Path) -> None:
    flat = np.full(8_000, 1_000, dtype=np.int16)
    flat[100:110], flat[200:202] = 32_767, 32_767
    file = write(tmp_path / "wash" / "a.wav", np.stack([flat, flat], axis=1), rate_hz=8_000)
    index(tmp_path, Division(), constants={"licence": "CC0"}, workers=0)
    table = read_table(tmp_path / NAME)
    assert table.columns == COLUMNS
    assert table.rows["wash/a.wav"] == {
        "path": "wash/a.wav",
        "label": "wash",
        "session": "",
        "device": "",
        "split": "",
        "sha256": digest_of(file),
        "duration_s": "1",
        "rate_hz": "8000",
        "channels": "2",
        "bits": "16",
        "peak_dbfs": "0.00",
        "clipped": "20",
        "licence": "CC0",
        "source": "",
    }


def test_two_workers_write_the_same_bytes(data: Path) -> None:
    indexed(data, shares=SHARES)
    alone = (data / NAME).read_bytes()
    (data / NAME).unlink()
    (data / ".beepwatch" / "inspected.jsonl").unlink()
    indexed(data, workers=2, shares=SHARES)
    assert (data / NAME).read_bytes() == alone
    assert alone.count(b"\n") == 11


def test_what_people_wrote_stays_and_what_is_measured_is_measured_again(data: Path) -> None:
    (data / NAME).write_text(
        "path,label,room,licence,split,sha256\nbeep/1.wav,spin,bath,CC0,test,0000\n"
    )
    found = index(data, Division(), constants={"licence": "mine"}, workers=0)
    assert (found.listed, found.added, found.missing) == (10, 9, ())
    rows = read_table(data / NAME).rows
    kept = rows["beep/1.wav"]
    assert [kept[name] for name in ("label", "room", "licence", "split")] == [
        *("spin", "bath", "CC0", "test"),
    ]
    assert kept["sha256"] == digest_of(data / "beep" / "1.wav")
    assert rows["beep/2.wav"]["licence"] == "mine"
    write(data / "beep" / "1.wav", scaled(np.sin(np.arange(9_000)), 0.5))
    indexed(data)
    again = read_table(data / NAME).rows["beep/1.wav"]
    assert (again["label"], again["split"], again["peak_dbfs"]) == ("spin", "test", "-6.02")


def test_a_file_that_cannot_be_read_is_named_and_not_listed_and_one_that_is_gone_stays(
    data: Path,
) -> None:
    (data / "beep" / "text.wav").write_text("not sound at all")
    indexed(data)
    (data / "wash" / "4.wav").unlink()
    found = indexed(data)
    assert found.missing == ("wash/4.wav",)
    assert found.listed == 10
    assert len(found.problems) == 1
    assert found.problems[0].startswith("beep/text.wav holds no sound")


def test_an_existing_split_is_kept_when_more_comes(data: Path) -> None:
    indexed(data, shares=SHARES)
    before = {path: row["split"] for path, row in read_table(data / NAME).rows.items()}
    assert set(before.values()) == set(SHARES)
    for seed in range(5, 15):
        write(data / "beep" / f"{seed}.wav", noise(seed, seconds=0.25))
    found = indexed(data, shares={"train": 1.0}, seed=7)
    after = {path: row["split"] for path, row in read_table(data / NAME).rows.items()}
    assert after.items() >= before.items()
    assert {after[path] for path in after.keys() - before.keys()} == {"train"}
    assert found.dealt is not None
    assert (len(found.dealt.splits), found.dealt.alone) == (10, 20)


def test_a_split_that_cannot_be_made_writes_nothing(data: Path) -> None:
    indexed(data)
    (data / NAME).write_text((data / NAME).read_text().replace(",,,,", ",s,d,,", 100))
    before = (data / NAME).read_bytes()
    with pytest.raises(SplitError, match="no recording has the device 'x'"):
        indexed(data, left_out="device", held_out="x")
    assert (data / NAME).read_bytes() == before


def test_a_column_that_is_not_there_divides_nothing(data: Path) -> None:
    with pytest.raises(SplitError, match=r"dataset\.csv has no column 'sesion'; it has path, "):
        indexed(data, shares=SHARES, by=("sesion",))
    assert not (data / NAME).exists()


def test_words_that_are_no_text_are_refused(data: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--licence is '\\udce9', which is no text"):
        index(data, Division(), constants={"licence": "\udce9"}, workers=0)
    assert not (data / NAME).exists()


def test_each_device_is_a_fold(data: Path) -> None:
    devices = "".join(f"beep/{n}.wav,{'ab'[n % 2]}\nwash/{n}.wav,c\n" for n in range(5))
    (data / NAME).write_text(f"path,device\n{devices}")
    indexed(data, left_out="device")
    rows = read_table(data / NAME).rows
    assert [rows[f"beep/{n}.wav"]["fold"] for n in range(5)] == ["1", "2", "1", "2", "1"]
    assert {rows[f"wash/{n}.wav"]["fold"] for n in range(5)} == {"3"}
    assert {row.get("split", "") for row in rows.values()} == {""}
