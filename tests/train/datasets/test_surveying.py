"""A file is looked at once, until it changes, whatever became of what was written down."""

import os
from pathlib import Path

import pytest

from beepwatch.train.datasets.catalogue import clips_below
from beepwatch.train.datasets.inspecting import Inspection
from beepwatch.train.datasets.surveying import FOLDER, Journal, Unseen, survey
from tests.small_disk import small_disk
from tests.train.datasets.sounds import noise, write


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed in range(4):
        write(tmp_path / "data" / "wash" / f"{seed}.wav", noise(seed, seconds=0.5))
    return tmp_path / "data"


def surveyed(data: Path, workers: int = 0) -> list[Inspection | Unseen]:
    with Journal(data) as journal:
        return list(survey(data, clips_below(data), journal, workers=workers))


def test_two_workers_say_what_one_does_and_a_second_look_what_the_first_did(data: Path) -> None:
    alone = surveyed(data)
    journal = data / FOLDER / "inspected.jsonl"
    written = journal.read_bytes()
    assert surveyed(data, workers=2) == alone
    assert journal.read_bytes() == written  # and nothing was looked at again
    journal.unlink()
    assert surveyed(data, workers=2) == alone
    assert journal.read_bytes() == written


def test_only_what_is_new_or_changed_is_looked_at_again(data: Path) -> None:
    before = surveyed(data)
    write(data / "wash" / "1.wav", noise(9, seconds=0.5))
    write(data / "wash" / "0a.wav", noise(8, seconds=0.5))
    os.utime(data / "wash" / "3.wav")
    after = surveyed(data)
    with (data / FOLDER / "inspected.jsonl").open() as journal:
        assert sum(1 for _ in journal) == 4 + 3
    assert [one.path for one in after] == [
        f"wash/{name}.wav" for name in ("0", "0a", "1", "2", "3")
    ]
    assert (after[0], after[3]) == (before[0], before[2])
    assert after[2] != before[1]


def test_a_file_that_only_looks_the_same_is_looked_at_again(data: Path) -> None:
    """Copied over another of its length, its date kept."""
    file = data / "wash" / "1.wav"
    before, looks = surveyed(data), file.stat()
    write(file, noise(9, seconds=0.5))
    os.utime(file, ns=(looks.st_atime_ns, looks.st_mtime_ns))
    assert file.stat().st_size == looks.st_size
    after = surveyed(data)
    assert [one == two for one, two in zip(before, after, strict=True)] == [True, False, True, True]


@pytest.mark.parametrize("end", [b'{"path": "wash/0.wav", "si', b"\xff\xfe\n", b"null\n[]\n{}\n"])
def test_a_line_that_was_cut_off_or_damaged_costs_one_look(data: Path, end: bytes) -> None:
    first = surveyed(data)
    journal = data / FOLDER / "inspected.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + end)
    assert surveyed(data) == first
    assert surveyed(data) == first
    assert journal.read_bytes().endswith(lines[-1])


def test_what_cannot_be_written_to_is_looked_at_all_the_same(data: Path) -> None:
    (data / FOLDER).write_text("in the way of the folder")
    assert [one.problem for one in surveyed(data)] == [""] * 4


def test_on_a_full_disk_all_is_looked_at_and_known_as_long_as_it_takes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=2_000_000) as disk:
        for seed in range(4):
            write(disk.path / "wash" / f"{seed}.wav", noise(seed, seconds=0.5))
        (disk.path / FOLDER).mkdir()
        (disk.path / FOLDER / "inspected.jsonl").touch()
        disk.fill()
        assert [one.problem for one in surveyed(disk.path)] == [""] * 4
        with Journal(disk.path) as journal:
            seen = list(survey(disk.path, clips_below(disk.path), journal, workers=0))
            assert [journal.find(one.path) for one in seen] == seen
        disk.make_room()
        assert surveyed(disk.path) == seen


def test_a_file_that_goes_away_meanwhile_is_told(data: Path) -> None:
    with Journal(data) as journal:
        one = survey(data, ["wash/0.wav", "wash/gone.wav", "wash/2.wav"], journal, workers=0)
        found = list(one)
    assert [one.path for one in found] == ["wash/0.wav", "wash/gone.wav", "wash/2.wav"]
    assert isinstance(found[1], Unseen)
    assert "No such file" in found[1].problem


def test_a_name_that_is_no_text_is_told_and_the_others_are_looked_at(data: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(data) + b"/wash/caf\xe9.wav")), noise(1, seconds=0.1))
    found = surveyed(data)
    assert [one.problem for one in found[:4]] == [""] * 4
    assert "'wash/caf\\udce9.wav': its name is no text. Rename it." in found[4].problem
