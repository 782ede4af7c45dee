"""Pulses that come as a clock's do, told from those that do not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.decide.pulses import Pulse
from beepwatch.decide.regularity import SHORTEST_BEAT_S, SLACK_S, come_regularly

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def pulses(onsets_s: Sequence[float]) -> list[Pulse]:
    return [
        Pulse(
            onset=START + timedelta(seconds=onset_s),
            onset_s=onset_s,
            duration_s=0.1,
            peak_score=0.5,
        )
        for onset_s in onsets_s
    ]


@pytest.mark.parametrize(
    "onsets_s",
    [
        (0.0, 0.5, 1.0),
        (0.0, 0.52, 1.0),  # a frame late
        (0.0, 0.5, 1.5),  # one in between was not heard
        (0.0, 1.5, 2.0, 2.5),  # nor these two
        (10.0, 10.15, 10.3, 10.45, 10.6),
    ],
)
def test_beats_of_a_clock_some_of_which_were_not_heard(onsets_s: tuple[float, ...]) -> None:
    assert come_regularly(pulses(onsets_s))


@pytest.mark.parametrize(
    "onsets_s",
    [
        (0.0, 0.5),  # nobody knows
        (0.0, 0.5, 1.2),
        (0.0, 0.16, 0.38),  # within two frames of a beat, which of so short a one is nothing
        (0.0, 0.4, 1.0, 1.3, 2.1),
        (0.0, 0.5, 2.5),  # three in between would be missing
        (0.0, 0.1, 0.2, 0.3),  # a rattle
    ],
)
def test_what_no_clock_does(onsets_s: tuple[float, ...]) -> None:
    assert not come_regularly(pulses(onsets_s))


@given(
    st.floats(2 * SHORTEST_BEAT_S, 3.0),
    st.integers(3, 9),
    st.lists(st.floats(-0.2, 0.2), min_size=9, max_size=9),
)
def test_every_clock_is_known_within_the_slack(
    beat_s: float, count: int, jitters: list[float]
) -> None:
    """Each beat off by a fifth of the slack at most."""
    onsets_s = [beat * beat_s + SLACK_S * jitters[beat] for beat in range(count)]
    assert come_regularly(pulses(onsets_s))
