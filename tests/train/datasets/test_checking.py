"""What is planted in a data set is found, and nothing else."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from rich.console import Console

from beepwatch.train.datasets import showing
from beepwatch.train.datasets.catalogue import NAME
from beepwatch.train.datasets.checking import (
    Checked,
    Counts,
    Finding,
    Pair,
    check,
    leak_findings,
    quarantined,
    write_quarantine,
)
from beepwatch.train.datasets.showing import draw, show
from beepwatch.train.datasets.splitting import SplitError
from tests.train.datasets.sounds import RATE_HZ, convert, noise, write

HEADER = "path,label,session,device,split,sha256\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, some of them in splits where they should not be, and eight bad ones."""
    root = tmp_path_factory.mktemp("data")
    for seed in range(6):
        write(root / "good" / f"{seed}.wav", noise(seed, seconds=2.0))
    write(root / "good" / "stereo.wav", np.stack([noise(7), noise(8)], axis=1), rate_hz=48_000)
    clip = root / "good" / "0.wav"
    convert(clip, root / "bad" / "again.mp3", "-af", "volume=-6dB")
    (root / "bad" / "same.wav").write_bytes((root / "good" / "1.wav").read_bytes())
    convert(root / "good" / "2.wav", root / "mp3.mp3")
    (root / "mp3.mp3").rename(root / "bad" / "mp3.wav")
    (root / "bad" / "empty.wav").touch()
    (root / "bad" / "text.wav").write_text("hello")
    (root / "bad" / "cut.wav").write_bytes(
        write(root / "bad" / "cut.wav", noise(20)).read_bytes()[:-9_000]
    )
    write(root / "bad" / "silent.wav", np.zeros(RATE_HZ, np.int16))
    write(root / "bad" / "loud.wav", np.clip(noise(21) * 20.0, -32_768, 32_767).astype(np.int16))
    (root / NAME).write_text(
        HEADER
        + "good/0.wav,wash,s0,,test,\nbad/again.mp3,wash,s1,,train,\n"  # a copy
        + "good/3.wav,wash,s3,fan,train,\ngood/4.wav,wash,s4,fan,dev,\n"  # one device
        + "good/5.wav,wash,s5,,train,0123\ngone.wav,wash,s6,,train,\n"
    )
    return root


@pytest.fixture(scope="module")
def checked(data: Path) -> Checked:
    return check(data, workers=2)


def test_each_planted_fault_is_found_and_no_other(checked: Checked) -> None:
    assert {(one.path, one.reason) for one in checked.findings} == {
        ("bad/cut.wav", "truncated"),
        ("bad/empty.wav", "empty"),
        ("bad/loud.wav", "clipped"),
        ("bad/mp3.wav", "mislabelled"),
        ("good/2.wav", "near-duplicate"),
        ("bad/again.mp3", "near-duplicate"),  # what is tested on, good/0.wav, stays
        ("bad/again.mp3", "leak"),
        ("good/1.wav", "duplicate"),
        ("bad/silent.wav", "silent"),
        ("bad/text.wav", "corrupt"),
        ("bad/text.wav", "mislabelled"),
        ("good/3.wav", "leak"),
        ("good/5.wav", "changed"),
        ("gone.wav", "missing"),
    }
    detail = {(one.path, one.reason): one.detail for one in checked.findings}
    assert detail["good/1.wav", "duplicate"] == "the same bytes as bad/same.wav"
    assert detail["good/3.wav", "leak"] == "in train: the device fan is in dev too, as good/4.wav"
    assert detail["bad/again.mp3", "leak"] == (
        "in train: the same sound is in test too, as good/0.wav"
    )


def test_counts_are_of_what_can_be_read(checked: Checked) -> None:
    counts = checked.counts
    assert counts.files == 15
    assert {rate: count for rate, (count, _) in counts.rates_hz.items()} == {
        "16000": 12,
        "48000": 1,
    }
    assert {many: count for many, (count, _) in counts.channels.items()} == {"1": 12, "2": 1}
    assert {bits: count for bits, (count, _) in counts.bits.items()} == {
        "16": 11,
        "none (lossy)": 2,
    }
    assert list(counts.durations) == ["under 2 s", "under 5 s"]
    assert counts.splits["train"][0] == 3
    assert counts.seconds == pytest.approx(6 * 2 + 4 / 3 + 3 * 2 + 3.72 + 1 + 4, abs=0.2)


def test_two_workers_say_what_one_says(data: Path, checked: Checked) -> None:
    assert check(data, workers=0) == checked
    (data / ".beepwatch" / "inspected.jsonl").unlink()
    assert check(data, workers=0) == checked


def test_columns_that_are_not_named_make_no_leak(data: Path) -> None:
    leaks = [one for one in check(data, by=["session"], workers=0).findings if one.reason == "leak"]
    assert [one.path for one in leaks] == ["bad/again.mp3"]


def test_a_column_that_is_not_there_is_no_clean_bill(data: Path) -> None:
    with pytest.raises(SplitError, match=r"dataset\.csv has no column 'sesion'; it has path, "):
        check(data, by=["sesion"], workers=0)


def test_channels_of_one_recording_are_no_duplicates(tmp_path: Path) -> None:
    for name in ("a.ch1.wav", "a.ch2.wav", "b.ch1.wav"):
        write(tmp_path / name, noise(1, seconds=1.0))
    rows = "path,session,start_s,channel\na.ch1.wav,a,0,1\na.ch2.wav,a,0,2\nb.ch1.wav,b,0,1\n"
    (tmp_path / NAME).write_text(rows)
    found = check(tmp_path, workers=0).findings
    assert [(one.path, one.reason) for one in found] == [("b.ch1.wav", "duplicate")]


def test_what_is_tested_stays_and_what_was_trained_goes() -> None:
    rows = {
        name: {"split": split, "session": "s"}
        for name, split in (("a", "train"), ("b", "test"), ("c", "dev"), ("d", "train"), ("e", ""))
    }
    found = list(leak_findings(rows, [Pair(first="a", second="b", errors=None)], ["session"]))
    assert [one.path for one in found] == ["a", "c", "d"]  # once each
    assert found[0].detail == "in train: the session s is in test too, as b"


def test_the_list_is_a_table_that_is_read_again(checked: Checked, tmp_path: Path) -> None:
    file = tmp_path / "quarantine.csv"
    assert quarantined(file) == set()
    write_quarantine(file, checked.findings)
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["path"], row["reason"]) for row in rows] == [
        (one.path, one.reason) for one in checked.findings
    ]
    assert quarantined(file) == {one.path for one in checked.findings}
    assert [each.name for each in tmp_path.iterdir()] == ["quarantine.csv"]


def test_of_copies_in_two_splits_the_one_that_is_tested_on_stays(tmp_path: Path) -> None:
    """Else the features, which leave out what is named, would have neither."""
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.wav", noise(1, seconds=0.5))
    convert(tmp_path / "a.wav", tmp_path / "d.mp3")
    (tmp_path / NAME).write_text("path,split\na.wav,train\nb.wav,dev\nc.wav,test\nd.mp3,dev\n")
    findings = check(tmp_path).findings
    assert {(one.path, one.reason) for one in findings} == {
        *(("a.wav", "duplicate"), ("a.wav", "leak"), ("b.wav", "duplicate"), ("b.wav", "leak")),
        *(("d.mp3", "near-duplicate"), ("d.mp3", "leak")),
    }
    (tmp_path / NAME).write_text("path,split\na.wav,\nb.wav,extra\nc.wav,\nd.mp3,\n")
    assert {one.path for one in check(tmp_path).findings} == {"a.wav", "c.wav", "d.mp3"}


def test_a_name_with_a_carriage_return_can_be_put_into_quarantine(tmp_path: Path) -> None:
    finding = Finding(path="a\rb.wav", reason="empty", detail="no\r\nsample")
    write_quarantine(tmp_path / "quarantine.csv", [finding])
    assert quarantined(tmp_path / "quarantine.csv") == {"a\rb.wav"}


def test_labels_that_begin_alike_have_bars_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Figure] = []
    monkeypatch.setattr(showing, "write_png", lambda figure, _: found.append(figure))
    labels = {f"{'a' * 40}{number}": (number, 1.0) for number in (3, 2, 1)}
    none: dict[str, tuple[int, float]] = {}
    counts = Counts(
        files=6,
        seconds=3.0,
        labels=labels,
        **dict.fromkeys(("rates_hz", "channels", "bits", "durations", "formats", "splits"), none),
    )
    draw(Path("nowhere"), Checked(counts=counts, findings=()))
    (axes,) = [one for one in found[0].axes if one.get_title() == "label"]
    bars = [bar.get_bbox() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert {round((bar.y0 + bar.y1) / 2): bar.width for bar in bars} == {0: 3, 1: 2, 2: 1}


def test_a_label_does_not_steer_the_terminal(tmp_path: Path) -> None:
    """It is the name of a folder, which may come out of anybody's archive."""
    write(tmp_path / "\x1b[31m\n[bold]red" / "a.wav", noise(1, seconds=0.3))
    console = Console(width=100, file=io.StringIO(), record=True)
    show(console, check(tmp_path))
    text = console.export_text()
    assert "\\x1b[31m\\n[bold]red" in text
    assert "\x1b" not in text


def test_it_is_shown_with_shares_and_drawn(checked: Checked, tmp_path: Path) -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    show(console, checked)
    text = console.export_text()
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert "rate in Hz 16000 12 92.3 % 0.01" in lines
    assert "duplicate good/1.wav: the same bytes as bad/same.wav" in lines
    assert "2 near-duplicate" in text
    draw(tmp_path / "check.png", checked)
    assert (tmp_path / "check.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "check.png").stat().st_size > 20_000
