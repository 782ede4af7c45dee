"""Finding the beep in a recording."""

import msgspec
import numpy as np
import pytest

from beepwatch.train.teaching.examples import (
    Example,
    NoBeepFound,
    find_example,
    runs,
    sounding_at,
    tones_of,
)
from tests.train.beeper import PULSES_S, RATE_HZ, beeping, shipped


def test_beeps_are_found_at_their_times_and_pitch() -> None:
    example = find_example("clip", beeping(2_960), shipped())
    tones_hz, tolerance = tones_of([example])
    assert tones_hz[0] == pytest.approx(2_960, rel=0.002)
    assert tolerance < 0.01
    sounding = sounding_at(example.pcm, example.answers, tones_hz, tolerance, RATE_HZ)
    spans = [(start * 0.02, end * 0.02) for start, end in runs(sounding)]
    assert np.array(spans) == pytest.approx(np.array(PULSES_S), abs=0.06)


def test_what_lies_long_before_the_beep_is_cut_off() -> None:
    late = tuple((on + 20.0, off + 20.0) for on, off in PULSES_S)
    example = find_example("clip", beeping(2_960, length_s=30, pulses_s=late), shipped())
    assert len(example.pcm) < 6 * RATE_HZ
    assert len(example.sounding) == len(example.answers.pitch_hz)
    first_s = runs(example.sounding)[0][0] * 0.02
    assert first_s == pytest.approx(1.0, abs=0.1)


def test_the_pitch_that_the_examples_share_is_the_sounds() -> None:
    """Each was recorded over another appliance's tone, which is none of this one's."""
    examples = [
        find_example(
            str(index),
            beeping(2_000, seed=index) + beeping(other_hz, seed=index, pulses_s=((2.7, 3.0),)),
            shipped(),
        )
        for index, other_hz in enumerate((1_100.0, 3_300.0, 4_700.0))
    ]
    tones_hz, _ = tones_of(examples)
    assert tones_hz[0] == pytest.approx(2_000, rel=0.002)
    assert not [
        hz for hz in tones_hz for other in (1_100, 3_300, 4_700) if abs(hz / other - 1) < 0.01
    ]


def sounding_of(shares: dict[float, float]) -> Example:
    """An example of 100 frames, each pitch in its share of them."""
    clip = find_example("clip", beeping(2_000), shipped())
    pitch_hz = np.zeros((100, len(shares)), dtype=np.float32)
    for column, (hz, share) in enumerate(shares.items()):
        pitch_hz[: round(100 * share), column] = hz
    answers = clip.answers.part(0, 100)._replace(pitch_hz=pitch_hz)
    return msgspec.structs.replace(clip, answers=answers, sounding=np.ones(100, dtype=bool))


def tones_in(*shares: dict[float, float]) -> list[float]:
    """The tones that such examples share, the lowest first."""
    return sorted(tones_of([sounding_of(one) for one in shares])[0])


def test_a_tone_that_two_rooms_nearly_swallow_is_one_of_the_sounds() -> None:
    """It sounds in 90 % of one example and 5 % of the others."""
    several = ({3_000.0: 0.9, 4_600.0: 0.4}, {3_000.0: 0.05, 4_600.0: 0.7}, {3_000.0: 0.05})
    assert tones_in(*several) == pytest.approx([3_000, 4_600])
    assert tones_in({3_000.0: 0.9, 4_600.0: 0.4}, {4_600.0: 0.7}, {4_600.0: 0.9}) == pytest.approx(
        [4_600]
    )


def test_the_edge_of_a_tone_is_no_tone_and_a_semitone_beside_it_is() -> None:
    assert tones_in({2_800.0: 0.9, 2_840.0: 0.3}) == pytest.approx([2_800])
    assert tones_in({2_800.0: 0.9, 2_966.5: 0.3}) == pytest.approx([2_800, 2_966.5])


@pytest.mark.parametrize(
    ("pcm", "reason"),
    [
        (np.zeros(3 * RATE_HZ, dtype=np.int16), "silent"),
        (np.ones(10, dtype=np.int16), "too short"),
        (
            np.random.default_rng(3).normal(0, 2_000, 3 * RATE_HZ).astype(np.int16),
            "no beep was found in clip.wav",
        ),
    ],
)
def test_a_recording_without_a_beep_says_what_it_is(pcm: np.ndarray, reason: str) -> None:
    with pytest.raises(NoBeepFound, match=reason):
        find_example("clip.wav", pcm, shipped())
