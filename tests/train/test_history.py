"""A run's history holds each check and each round once, however often the run was interrupted."""

from pathlib import Path

from beepwatch.train.checkpoints import Progress
from beepwatch.train.history import HISTORY, Checked, Entry, Mined, append, read_history, rewind


def checked(step: int) -> Checked:
    return Checked(step=step, loss=1 / step, dev_score=step / 100)


def mined(step: int, number: int) -> Mined:
    return Mined(step=step, number=number, candidates=9, kept=3, lowest_logit=-0.5)


ENTRIES: list[Entry] = [checked(2), mined(3, 0), checked(4), mined(4, 1), checked(6)]


def written(run: Path, entries: list[Entry]) -> None:
    for entry in entries:
        append(run, entry)


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    written(tmp_path, ENTRIES)
    assert read_history(tmp_path) == ENTRIES
    assert len((tmp_path / HISTORY).read_text().splitlines()) == 5


def test_a_run_of_which_nothing_is_known_has_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    rewind(tmp_path, Progress(recipe_digest="", step=4))
    assert read_history(tmp_path) == []


def test_what_will_be_gone_through_again_is_forgotten(tmp_path: Path) -> None:
    """At step 4 the second round was under way, but the checkpoint does not have it."""
    written(tmp_path, ENTRIES)
    rewind(tmp_path, Progress(recipe_digest="", step=4, mined=[[0, 1, 2]]))
    assert read_history(tmp_path) == ENTRIES[:3]
    written(tmp_path, ENTRIES[3:])
    assert read_history(tmp_path) == ENTRIES


def test_a_new_run_begins_with_no_history(tmp_path: Path) -> None:
    written(tmp_path, ENTRIES)
    rewind(tmp_path, Progress(recipe_digest="another"))
    assert read_history(tmp_path) == []


def test_half_a_line_is_no_entry(tmp_path: Path) -> None:
    """A power cut may end a line early; what it told is gone through again."""
    written(tmp_path, ENTRIES[:3])
    with (tmp_path / HISTORY).open("ab") as file:
        file.write(b'{"type":"checked","st')
    assert read_history(tmp_path) == ENTRIES[:3]
    rewind(tmp_path, Progress(recipe_digest="", step=4, mined=[[0]]))
    append(tmp_path, ENTRIES[4])
    assert read_history(tmp_path) == [*ENTRIES[:3], ENTRIES[4]]
