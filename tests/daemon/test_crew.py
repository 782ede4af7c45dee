"""Any number of threads find what one finds, in order, and nobody waits for ever."""

import threading
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.classify.bundle import Bundle, find_bundle, load_bundle
from beepwatch.classify.engines import Answers, Engine, open_engine
from beepwatch.daemon import crew
from beepwatch.daemon.crew import Crew, Hearing
from beepwatch.daemon.found import Given, Scanned
from beepwatch.decide.episodes import Change, Closed, EpisodeTracker
from beepwatch.decide.hindsight import WholeSound
from beepwatch.errors import UnreadableAudio
from beepwatch.messages import Scores
from beepwatch.train.datasets.remote import Location
from tests.capture.sounds import recording
from tests.daemon.windows_of_a_daemon import overlapping_scores

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(find_bundle("beep"))


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Engine:
    return open_engine(bundle)


def evening() -> NDArray[np.int16]:
    """Two minutes of hiss with a smoke alarm in it now and then, across stretches too."""
    sound = np.random.default_rng(4).normal(0, 60, 120 * RATE_HZ)
    alarm = recording("smoke-alarm-16k.flac")[: 6 * RATE_HZ]
    for at_s in (3, 17.5, 38.2, 77, 98.8, 114.5):
        at = round(at_s * RATE_HZ)
        sound[at : at + len(alarm)] += alarm[: len(sound) - at]
    return np.clip(sound, -32_768, 32_767).astype(np.int16)


EVENING = evening()


def given(name: str) -> Given:
    return Given(file=Path(name), name=Path(name))


class Shelf:
    """Recordings by name, given in blocks of 8 s; `broken` ends in an error after its first."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def decode(self, path: Location, rate_hz: int) -> Generator[NDArray[np.int16], None, None]:
        assert rate_hz == RATE_HZ
        try:
            for start in range(0, len(EVENING), 8 * RATE_HZ):
                yield EVENING[start : start + 8 * RATE_HZ]
                if path.name == "broken" and start:
                    raise UnreadableAudio(f"{path} is cut short.")
        finally:
            self.closed.append(path.name)


def scanned(
    names: list[str], engine: Engine, bundle: Bundle, workers: int, shelf: Shelf | None = None
) -> list[Scanned]:
    decode = (shelf or Shelf()).decode
    crew = Crew(
        [given(name) for name in names],
        lambda one: Hearing(one, engine, bundle.info.thresholds, decode),
    )
    return list(crew.answers(workers))


def test_one_long_recording_is_the_same_for_any_number_of_threads(
    engine: Engine, bundle: Bundle
) -> None:
    (alone,) = scanned(["evening"], engine, bundle, 1)
    assert len(alone.found) >= 5
    for workers in (2, 5, 16):
        assert scanned(["evening"], engine, bundle, workers) == [alone]


def test_stretches_find_what_the_daemons_overlapping_windows_find(
    engine: Engine, bundle: Bundle
) -> None:
    """The same episodes; times to 0.1 ms, scores to 1e-4, for both are rounded to so much."""
    ear = WholeSound(EVENING, engine)
    tracker = EpisodeTracker(bundle.info.thresholds, context_s=engine.context_s, ear=ear)
    changes = [
        change for scores in overlapping_scores(engine, EVENING) for change in tracker.hear(scores)
    ]
    episodes = [one.episode for one in (*changes, *tracker.finish()) if isinstance(one, Closed)]
    (answer,) = scanned(["evening"], engine, bundle, 2)
    assert len(answer.found) == len(episodes) >= 5
    for one, episode in zip(answer.found, episodes, strict=True):
        assert (one.label, one.pulses) == (episode.label, len(episode.pulses))
        assert one.onset_s == pytest.approx(episode.pulses[0].onset_s, abs=1e-3)
        assert one.offset_s == pytest.approx(episode.pulses[-1].offset_s, abs=1e-3)
        assert one.score == pytest.approx(episode.peak_score, abs=1e-4)


def test_answers_come_in_the_order_given_whoever_is_ready_first(
    engine: Engine, bundle: Bundle
) -> None:
    names = [f"evening-{number}" for number in range(7)]
    answers = scanned(names, engine, bundle, 3)
    assert [one.given.file.name for one in answers] == names
    assert len({tuple(found.onset_s for found in one.found) for one in answers}) == 1


def test_a_broken_recording_keeps_what_was_found_and_stops_nobody(
    engine: Engine, bundle: Bundle
) -> None:
    before, broken, after = scanned(["evening", "broken", "other"], engine, bundle, 2)
    assert (before.problem, broken.problem, after.problem) == (None, "broken is cut short.", None)
    assert 0 < len(broken.found) < len(before.found)
    assert all(one.offset_s <= 16 for one in broken.found)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_an_error_that_nobody_foresaw_ends_the_scan_however_many_read_on(
    engine: Engine, bundle: Bundle, workers: int
) -> None:
    """Who asks on after it finds nothing left to read: that is no recording without a beep."""

    def decode(_path: Location, _rate_hz: int) -> Generator[NDArray[np.int16], None, None]:
        yield EVENING[: 8 * RATE_HZ]
        raise RuntimeError("unforeseen")

    crew = Crew(
        [given("evening")], lambda one: Hearing(one, engine, bundle.info.thresholds, decode)
    )
    with pytest.raises(RuntimeError, match="unforeseen"):
        list(crew.answers(workers))


def test_who_asks_no_further_leaves_no_decoder_and_no_thread(
    engine: Engine, bundle: Bundle
) -> None:
    shelf = Shelf()
    threads = threading.active_count()
    crew = Crew(
        [given(str(number)) for number in range(40)],
        lambda one: Hearing(one, engine, bundle.info.thresholds, shelf.decode),
    )
    answers = crew.answers(2)
    next(answers)
    answers.close()  # type: ignore[attr-defined] # it is a generator
    assert threading.active_count() == threads
    assert 1 <= len(shelf.closed) < 40


@pytest.mark.timeout(120)
def test_a_network_that_fails_ends_the_scan_with_its_error(engine: Engine, bundle: Bundle) -> None:
    class Failing:
        def __getattr__(self, name: str) -> object:
            return getattr(engine, name)

        def answers(self, _pcm: NDArray[np.int16]) -> Answers:
            raise MemoryError("no room")

    failing: Engine = Failing()  # type: ignore[assignment] # the rest is the engine's own
    with pytest.raises(MemoryError, match="no room"):
        scanned(["a", "b", "c"], failing, bundle, 2)


def test_more_sound_than_the_threads_are_at_is_never_held(engine: Engine, bundle: Bundle) -> None:
    """What is read ahead of what is decided stays below two stretches a thread."""
    read = 0
    heard: list[int] = []

    def decode(_path: Location, _rate_hz: int) -> Generator[NDArray[np.int16], None, None]:
        nonlocal read
        for start in range(0, len(EVENING), RATE_HZ):
            read = start + RATE_HZ
            yield EVENING[start : start + RATE_HZ]

    hearing = Hearing(given("evening"), engine, bundle.info.thresholds, decode)
    while hearing.step():
        heard.append(read)
    steps = np.diff(heard)
    assert steps.max() <= 29 * RATE_HZ
    assert hearing.answer() == scanned(["evening"], engine, bundle, 1)[0]
    assert hearing.answer() is None


def test_who_has_scored_a_stretch_does_not_wait_for_who_decides(
    engine: Engine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has scored is decided by the other, and nothing is lost by it."""
    at_it, go_on = threading.Event(), threading.Event()

    class Slow(EpisodeTracker):
        def hear(self, scores: Scores) -> list[Change]:
            at_it.set()
            assert go_on.wait(60)
            return super().hear(scores)

    monkeypatch.setattr(crew, "EpisodeTracker", Slow)
    hearing = Hearing(given("a"), engine, bundle.info.thresholds, Shelf().decode)
    other = threading.Thread(target=hearing.step)
    other.start()
    assert at_it.wait(60)
    assert hearing.step()
    go_on.set()
    other.join(60)
    while hearing.step():
        pass

    monkeypatch.undo()
    assert hearing.answer() == scanned(["a"], engine, bundle, 1)[0]
