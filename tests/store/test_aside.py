"""What was put aside is bounded like the clips it lies beside."""

from pathlib import Path

import pytest

from beepwatch.store.aside import APART, CORRUPT, KEPT
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import at, beep, sound

EVERYTHING_FITS = {"keep_days": 30.0, "max_mb": 1_000.0, "min_free_mb": 0.0}
SIZE_BYTES = 1_000


def corrupt(state: Path, day: int, number: str = "") -> str:
    """A damaged database of that day, with what belongs to it."""
    name = f"{CORRUPT}202603{day:02}T120000Z{number}"
    for suffix in ("", "-wal", "-shm"):
        (state / f"{name}{suffix}").write_bytes(bytes(SIZE_BYTES))
    return name


def apart(state: Path, day: int) -> str:
    """What was in memory on that day."""
    name = f"{APART}202603{day:02}T120000Z"
    (state / name / "clips").mkdir(parents=True)
    (state / name / "clips" / "one.mp3").write_bytes(bytes(SIZE_BYTES))
    return name


def left(state: Path) -> set[str]:
    names = {path.name for path in [*state.glob(f"{CORRUPT}*"), *state.glob(f"{APART}*")]}
    return {name.removesuffix("-wal").removesuffix("-shm") for name in names}


@pytest.fixture
def state(database: Database) -> Path:
    return database.directory


def test_of_each_kind_the_newest_stay(library: Library, state: Path) -> None:
    names = [corrupt(state, day) for day in (3, 1)] + [apart(state, day) for day in range(1, 6)]
    names += [corrupt(state, 4), corrupt(state, 4, "-2"), corrupt(state, 4, "-10")]
    library.tidy(at(0), **EVERYTHING_FITS)
    assert left(state) == {*names[-3:], *names[4:7]}
    assert KEPT == 3


def test_what_was_put_aside_goes_before_any_clip_but_for_the_newest(
    outbox: Outbox, library: Library, state: Path
) -> None:
    outbox.write(event=beep(), clip=sound())
    pending = library.pending_pcm(1)
    assert pending is not None
    clip = library.keep(1, pending[0], bytes(SIZE_BYTES), ".mp3")
    names = [corrupt(state, day) for day in (1, 2, 3)]
    fits_mb = (4 * SIZE_BYTES + 1) / 1e6  # a clip and one of three files
    library.tidy(at(0), **{**EVERYTHING_FITS, "max_mb": fits_mb})
    assert (left(state), clip.exists()) == ({names[2]}, True)
    library.tidy(at(0), **{**EVERYTHING_FITS, "max_mb": fits_mb - SIZE_BYTES / 1e6})
    assert (left(state), clip.exists()) == ({names[2]}, False)


def test_what_has_another_name_is_somebody_elses(library: Library, state: Path) -> None:
    names = {f"{CORRUPT}mine", f"{APART}from-home", *(apart(state, day) for day in (1, 2, 3))}
    (state / f"{CORRUPT}mine").touch()
    (state / f"{APART}from-home").mkdir()
    library.tidy(at(0), **{**EVERYTHING_FITS, "max_mb": 0.002_5})
    assert left(state) == names - {f"{APART}20260301T120000Z"}
