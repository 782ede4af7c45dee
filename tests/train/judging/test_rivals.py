"""Each rival is told what it needs, and its false alarms are a mean over devices."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.train.judging.detection import Evidence, Heard, Hearing
from beepwatch.train.judging.original import Original, WindowEvidence
from beepwatch.train.judging.rivals import (
    dev_threshold,
    hours_of,
    original_hearing,
    rule_hearing,
    template_hearing,
)
from beepwatch.train.judging.streams import BeepStream, NegativeStream
from beepwatch.train.networks import BeepNet
from tests.train.conftest import RATE_HZ, beeps

SPANS_S = ((1.0, 1.4), (2.0, 2.4))


def pcm(pitch_hz: float, length_s: float = 6.0) -> NDArray[np.int16]:
    """Two pulses in hiss."""
    noise = np.random.default_rng(0).normal(0, 0.003, round(length_s * RATE_HZ))
    sound = beeps(pitch_hz, list(SPANS_S), length_s) + noise
    return np.round(32_767 * sound).astype(np.int16)


def stream(pitch_hz: float, device: str) -> BeepStream:
    """A device and its beep, four seconds after the start of the example's own time."""
    shifted = tuple((on_s + 4.0, off_s + 4.0) for on_s, off_s in SPANS_S)
    example = beeps(pitch_hz, list(SPANS_S), 3.0).astype(np.float32)
    lead = np.zeros(4 * RATE_HZ, dtype=np.int16)
    return BeepStream(
        pcm=np.concatenate([lead, pcm(pitch_hz)]), pulses=shifted, pitch_hz=pitch_hz,
        device=device, snr_db=20.0, kin=False, room_s=None, example=example,
    )  # fmt: skip


STREAMS = [stream(1_500, "oven"), stream(2_600, "timer")]
# What one device's beep is to another's detector: a sound that holds none of its own.
NEGATIVES = [NegativeStream(category="household", pcm=pcm(1_500))]


@pytest.mark.parametrize("hear", [rule_hearing, template_hearing])
def test_a_rival_is_told_each_device_and_alarms_are_a_mean_over_them(hear: object) -> None:
    """The oven's sound without an oven is a false alarm of its detector, and none of the other."""
    assert callable(hear)
    hearing: Hearing = hear(STREAMS, NEGATIVES, RATE_HZ)
    for evidence, one in zip(hearing.beeps, STREAMS, strict=True):
        found = evidence.at(hearing.threshold)
        assert [len(heard.pulses) for heard in found] == [2]
        assert found[0].onset_s == pytest.approx(one.pulses[0][0], abs=0.1)
    assert len(hearing.silent["household"]) == 2
    assert hearing.false_alarms(hearing.threshold) == {"household": 0.5}


def test_hours_are_those_of_the_sound() -> None:
    assert hours_of(NEGATIVES, RATE_HZ) == {"household": pytest.approx(6 / 3_600)}


class Numbered(Original):
    """Answers each stream with probabilities that were told beforehand."""

    def __init__(self, told: dict[int, list[float]]) -> None:
        super().__init__(BeepNet())
        self._told = told  # by the stream's length

    def hear(self, pcm: NDArray[np.int16], rate_hz: int) -> WindowEvidence:
        """What was told."""
        return WindowEvidence(probabilities=np.array(self._told[len(pcm)]))


def test_the_originals_thresholds_are_taken_from_its_answers_without_a_beep() -> None:
    """However near to 1: the highest is above all of them, where there is no false alarm."""
    told = {len(NEGATIVES[0].pcm): [0.2, 0.9998, 0.9999, 0.1], len(STREAMS[0].pcm): [0.0, 1.0]}
    found = original_hearing(STREAMS, NEGATIVES, network=Numbered(told), rate_hz=RATE_HZ)
    assert list(found.sweep) == sorted(found.sweep)
    assert found.sweep[0] < 0.5
    assert 0.9999 < found.sweep[-1] < 0.99991
    assert found.false_alarms(found.sweep[-1]) == {"household": 0.0}
    assert found.false_alarms(0.9999) == {"household": 1.0}
    assert [len(evidence.at(found.sweep[-1])) for evidence in found.beeps] == [1, 1]


class Scored(msgspec.Struct, frozen=True):
    """One detection of a score."""

    score: float

    def at(self, threshold: float) -> list[Heard]:
        """It, if it scores as high."""
        if self.score < threshold:
            return []
        return [Heard(onset_s=0.0, offset_s=1.0, pulses=((0.0, 1.0),), score=self.score)]


def test_a_rivals_threshold_is_found_on_the_dev_split(data: Path) -> None:
    """The household of dev lasts 6 s: one false alarm in it is more than one an hour."""
    heard: list[tuple[int, str]] = []

    def hear(streams: list[BeepStream], negatives: list[NegativeStream]) -> Hearing:
        heard.extend((len(streams), one.paths[0]) for one in negatives)
        silent: dict[str, list[Evidence]] = {one.category: [Scored(0.35)] for one in negatives}
        sweep = (0.1, 0.2, 0.3, 0.4, 0.5)
        return Hearing(name="some", threshold=0.5, sweep=sweep, beeps=[], silent=silent)

    assert dev_threshold(hear, data, RATE_HZ) == 0.4  # type: ignore[arg-type]
    assert heard == [(1, "dev/household/fan.flac")]
