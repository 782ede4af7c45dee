"""The fit of the second opinion finds what was put into its candidates."""

import numpy as np
import pytest

from beepwatch.decide.opinion import Traits
from beepwatch.train.evaluation import StreamAnswers
from beepwatch.train.synthesis import Pulse, Signal
from benchmarks.candidates import Candidate, fitted, single, told_pulses

RATE_HZ = 16_000


def drawn(helps: float, count: int = 4_000) -> list[Candidate]:
    """Whose score is right, with one trait that tells more by so many log odds a unit."""
    rng = np.random.default_rng(5)
    known: list[Candidate] = []
    for values, told in zip(rng.normal(0, 1, (count, 9)), rng.normal(0, 1, count), strict=True):
        odds = told + helps * values[Traits._fields.index("glide")]
        known.append(
            Candidate(
                score=float(1 / (1 + np.exp(-told))),
                traits=Traits(*values.tolist()),
                is_beep=bool(rng.random() < 1 / (1 + np.exp(-odds))),
            )
        )
    return known


@pytest.mark.parametrize("helps", [-1.0, 0.0, 0.7])
def test_a_trait_weighs_what_it_tells_beyond_the_score(helps: float) -> None:
    bias, weights = fitted(drawn(helps))
    by_name = dict(zip(Traits._fields, (weight for _, _, weight in weights), strict=True))
    assert by_name.pop("glide") == pytest.approx(helps, abs=0.15)
    assert max(map(abs, by_name.values())) < 0.15
    assert bias == pytest.approx(0, abs=0.2)


def test_a_single_pulse_is_one_of_a_row_with_its_own_time() -> None:
    """The second of three pulses of 0.1 s, 0.2 s apart, from 30 ms before it to the next."""
    sound = np.ones(RATE_HZ, dtype=np.float32)
    pulses = tuple(
        Pulse(onset_s=at_s, offset_s=at_s + 0.1, pitch_hz=2_000.0) for at_s in (0.1, 0.3, 0.5)
    )
    alone = single(Signal(sound=sound, pulses=pulses), 1, RATE_HZ)
    (pulse,) = alone.pulses
    assert (pulse.onset_s, pulse.offset_s) == pytest.approx((0.03, 0.13))
    assert len(alone.sound) / RATE_HZ == pytest.approx(0.5 - 0.02 - 0.27, abs=1e-3)
    assert alone.sound[-1] == 0


def test_every_pulse_of_the_frames_is_told() -> None:
    frames = np.zeros(100, dtype=np.float32)
    frames[20:30] = frames[60:65] = 0.6
    answers = StreamAnswers(
        probabilities=frames,
        pitch_hz=np.full((100, 1), 2_000.0, dtype=np.float32),
        frame_s=0.02,
        rate_hz=RATE_HZ,
    )
    onsets_s = [pulse.onset_s for pulse in told_pulses(answers, 0.2436)]
    assert onsets_s == pytest.approx([0.4, 1.2], abs=0.02)
