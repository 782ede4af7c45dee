"""The daemon, a scan and an evaluation count the pulses of an episode in the same sound."""

from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block
from beepwatch.capture.windows import WindowCutter
from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Engine, open_engine, stretches
from beepwatch.daemon.crew import Crew, Hearing
from beepwatch.daemon.found import Given
from beepwatch.daemon.pipeline import Pipeline
from beepwatch.messages import Event, Window
from beepwatch.train.evaluation import episodes, score
from beepwatch.train.synthesis import Timbre, pulse_sound

RATE_HZ = 16_000
LABEL = "beep"
BEGUN_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BUZZER = Timbre(
    partials=((1.0, 1.0), (3.0, 0.3)),
    attack_s=0.002,
    release_s=0.003,
    decay_s=float("inf"),
    flutter_hz=0.0,
    roughness=0.0,
    bend=0.0,
    sweep=0.0,
)
ROWS = ((3.0, 4, 0.2, 0.35), (17.0, 12, 0.12, 0.07), (38.5, 3, 0.5, 0.5))  # s, count, on, off


@pytest.fixture(scope="module")
def engine() -> Engine:
    return open_engine(load_bundle(find_bundle("beep")))


@pytest.fixture(scope="module")
def pcm() -> NDArray[np.int16]:
    """Fifty seconds of hiss with three devices' signals."""
    rng = np.random.default_rng(3)
    sound = rng.normal(0, 250, 50 * RATE_HZ)
    for first_s, count, on_s, off_s in ROWS:
        for number in range(count):
            start = round((first_s + number * (on_s + off_s)) * RATE_HZ)
            tone = 2_500 * pulse_sound(rng, 2_950.0, on_s, BUZZER, RATE_HZ)
            sound[start : start + len(tone)] += tone
    return sound.astype(np.int16)


def windows(pcm: NDArray[np.int16]) -> Iterator[Window]:
    """As the recorder cuts them."""
    cutter = WindowCutter(from_hz=RATE_HZ, rate_hz=RATE_HZ, window_s=3.0, hop_s=1.0)
    block = Block(data=pcm.tobytes(), sample_format="int16", channels=1, rate_hz=RATE_HZ)
    for sequence, cut in enumerate((*cutter.push(block), *cutter.finish())):
        started_s = cut.first_sample / RATE_HZ
        yield Window(
            pcm=cut.pcm.tobytes(),
            stream_id="a",
            sequence=sequence,
            first_sample=cut.first_sample,
            rate_hz=RATE_HZ,
            started_at=BEGUN_AT + timedelta(seconds=started_s),
            started_mono_s=700.0 + started_s,
            level_dbfs=-30.0,
            lost_samples=0,
            source="test",
        )


def events(engine: Engine, pcm: NDArray[np.int16], threshold: float) -> list[Event]:
    """The final ones of a daemon's classifier."""
    chain = Pipeline(engine, thresholds={LABEL: threshold}, context_s=engine.context_s)
    notes = [note for window in windows(pcm) for note in chain.hear(window)] + chain.finish()
    return [note.event for note in notes if note.event is not None and note.event.final]


def test_stretches_hold_all_the_sound_once(engine: Engine, pcm: NDArray[np.int16]) -> None:
    """But for a last frame cut short, of which there is no answer."""
    cut_short = pcm[: 45 * RATE_HZ + 100]
    sounds = [stretch.sound(engine) for stretch in stretches(engine, [cut_short])]
    assert len(sounds) > 1
    assert np.array_equal(np.concatenate(sounds), pcm[: 45 * RATE_HZ])


def test_all_ways_of_hearing_count_the_pulses_that_there_are(
    engine: Engine, pcm: NDArray[np.int16]
) -> None:
    threshold = load_bundle(find_bundle("beep")).info.thresholds[LABEL]

    def decode(_path: object, _rate_hz: int) -> Generator[NDArray[np.int16], None, None]:
        yield from np.array_split(pcm, 7)

    given = Given(file=Path("evening"), name=Path("evening"))
    crew = Crew([given], lambda one: Hearing(one, engine, {LABEL: threshold}, decode))
    (scanned,) = crew.answers(2)
    evaluated = episodes(score(engine, pcm), threshold)
    true = [count for _, count, _, _ in ROWS]
    assert [event.pulses for event in events(engine, pcm, threshold)] == true
    assert [one.pulses for one in scanned.found] == true
    assert [heard.count for heard in evaluated] == true
