"""The daemon, a scan and an evaluation ask the same sound of what they are not sure of."""

from collections.abc import Generator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Engine, open_engine
from beepwatch.daemon.crew import Crew, Hearing
from beepwatch.daemon.found import Given
from beepwatch.train.evaluation import episodes, score
from beepwatch.train.judging.detection import overlaps
from beepwatch.train.synthesis import pulse_sound
from tests.daemon.test_counting import BEGUN_AT, BUZZER, LABEL, RATE_HZ, events

SINGLES_S = np.arange(3.0, 57.0, 4.3)
THRESHOLD = 0.97


@pytest.fixture(scope="module")
def engine() -> Engine:
    return open_engine(load_bundle(find_bundle("beep")))


@pytest.fixture(scope="module")
def pcm() -> NDArray[np.int16]:
    """A minute of hiss with thirteen single pulses of as many devices, faint ones."""
    rng = np.random.default_rng(3)
    sound = rng.normal(0, 250, 60 * RATE_HZ)
    for number, at_s in enumerate(SINGLES_S):
        pitch_hz, length_s = 2_950.0 * (1 + 0.05 * number), (0.12, 0.3, 0.6)[number % 3]
        tone = 250 * pulse_sound(rng, pitch_hz, length_s, BUZZER, RATE_HZ)
        start = round(at_s * RATE_HZ)
        sound[start : start + len(tone)] += tone
    return sound.astype(np.int16)


def test_the_sound_tells_of_beeps_that_frames_alone_do_not(
    engine: Engine, pcm: NDArray[np.int16]
) -> None:
    answers = score(engine, pcm)
    alone = episodes(msgspec.structs.replace(answers, ear=None), THRESHOLD)
    asked = episodes(answers, THRESHOLD)
    assert len(alone) + 3 <= len(asked) <= len(SINGLES_S)
    true = [((at_s, at_s + 0.6),) for at_s in SINGLES_S.tolist()]
    assert all(any(overlaps(heard.span, beep) for beep in true) for heard in asked)


def test_all_ways_of_hearing_believe_the_same_pulses(
    engine: Engine, pcm: NDArray[np.int16]
) -> None:
    def decode(_path: object, _rate_hz: int) -> Generator[NDArray[np.int16], None, None]:
        yield from np.array_split(pcm, 7)

    given = Given(file=Path("evening"), name=Path("evening"))
    crew = Crew([given], lambda one: Hearing(one, engine, {LABEL: THRESHOLD}, decode))
    (scanned,) = crew.answers(2)
    onsets_s = [heard.onset_s for heard in episodes(score(engine, pcm), THRESHOLD)]
    told = events(engine, pcm, THRESHOLD)
    assert [one.onset_s for one in scanned.found] == pytest.approx(onsets_s, abs=2e-3)
    assert [(event.onset - BEGUN_AT).total_seconds() for event in told] == pytest.approx(
        onsets_s, abs=2e-3
    )
