"""Pulses told by their beat, where every way of counting loses other pauses."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beepwatch.decide.beats import in_beat
from beepwatch.decide.demodulation import STEP_S
from beepwatch.decide.loudness import Loudness
from tests.decide import sounds
from tests.decide.sounds import Span

START_S = 100.0
LENGTH_S = 12.0
CONTRAST_DB = 20.0

row = partial(sounds.row, first_s=START_S + 2.0)


def heard(
    spans: Sequence[Span], wavering_db: float = 0.0, fall_db: float = CONTRAST_DB
) -> Loudness:
    """0 dB in the pulses and so much less between them; beside them there is only noise."""
    at_s = START_S + (np.arange(round(LENGTH_S / STEP_S)) + 0.5) * STEP_S
    level_db = np.full(len(at_s), -CONTRAST_DB)
    level_db[(at_s > spans[0][0]) & (at_s < spans[-1][1])] = -fall_db
    for onset_s, offset_s in spans:
        level_db[(at_s > onset_s) & (at_s < offset_s)] = 0.0
    wavering = np.random.default_rng(3).normal(0.0, wavering_db, len(at_s))
    return Loudness(level_db + wavering, CONTRAST_DB)


def merged(spans: Sequence[Span], lost: set[int]) -> list[Span]:
    """As one way of counting finds them that does not hear the pauses of these numbers."""
    found = [spans[0]]
    for number, span in enumerate(spans[1:]):
        found.append((found.pop()[0], span[1]) if number in lost else span)
    return found


def test_pauses_that_each_way_of_counting_loses_elsewhere_are_all_told() -> None:
    spans = row(20, 0.1, 0.06)
    counts = [merged(spans, {3, 4, 9}), merged(spans, {3, 12}), merged(spans, {15, 16})]
    told = in_beat(counts, heard(spans), START_S)
    assert len(told) == 20
    assert told[0] == pytest.approx(spans[0], abs=2 * STEP_S)
    assert told[-1] == pytest.approx(spans[-1], abs=2 * STEP_S)


def test_a_beat_is_known_to_a_fraction_of_a_step() -> None:
    """Half a step off in each, and 45 pulses would seem to be one more or one less."""
    spans = row(45, 0.1, 0.0575)
    assert len(in_beat([merged(spans, {7}), merged(spans, {30})], heard(spans), START_S)) == 45


def test_two_pauses_in_five_are_enough() -> None:
    """The others are those of two pulses that were taken for one."""
    spans = row(24, 0.1, 0.06)
    counts = [merged(spans, {number for number in range(23) if number % 8 in (1, 4, 6)})]
    assert len(in_beat(counts, heard(spans), START_S)) == 24


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(12, 30),
    length_s=st.floats(0.06, 0.22),
    pause_s=st.floats(0.06, 0.1),
    lost=st.sets(st.integers(0, 28), max_size=8),
    fall_db=st.floats(4.0, 20.0),
)
def test_any_row_however_many_of_its_pauses_one_way_loses(
    count: int, length_s: float, pause_s: float, lost: set[int], fall_db: float
) -> None:
    spans = row(count, length_s, pause_s)
    counts = [merged(spans, lost), merged(spans, {0, 2})]
    assert len(in_beat(counts, heard(spans, 0.5, fall_db), START_S)) == count


def test_groups_are_told_each_with_the_pulses_it_has() -> None:
    groups = [row(6, 0.1, 0.06, first_s=first_s) for first_s in (102.0, 104.0, 106.0)]
    spans = [span for group in groups for span in group]
    assert len(in_beat([merged(spans, {1, 7}), merged(spans, {13})], heard(spans), START_S)) == 18


def test_what_few_ways_lose_for_less_than_a_beat_goes_on() -> None:
    spans = row(12, 0.1, 0.06)
    counts = [[*spans[:5], *spans[6:]], [*spans[:7], *spans[8:]]]
    assert len(in_beat(counts, heard(spans), START_S)) == 12


def test_what_hardly_any_way_hears_is_no_pulse_and_no_splinter_is_one() -> None:
    spans = row(12, 0.1, 0.06)
    crackle, hum = (101.0, 101.03), (106.0, 106.5)
    counts = [[crackle, *spans], [crackle, *spans], [crackle, *spans], [*spans, hum]]
    assert len(in_beat(counts, heard(spans), START_S)) == 12


def test_a_last_pulse_that_is_cut_short_is_one() -> None:
    spans = row(12, 0.2, 0.06)
    spans[-1] = (spans[-1][0], spans[-1][0] + 0.1)
    counts = [merged(spans, {2, 3}), merged(spans, {8})]
    assert len(in_beat(counts, heard(spans), START_S)) == 12


def test_the_beat_of_a_group_is_not_that_of_its_pulses() -> None:
    """Of long and short in turn nothing can be made out of one length and one interval."""
    spans = [span for onset_s in np.arange(102.0, 109.0, 0.7).tolist() for span in
             ((onset_s, onset_s + 0.06), (onset_s + 0.12, onset_s + 0.5))]  # fmt: skip
    assert in_beat([spans, spans], heard(spans), START_S) == []


@pytest.mark.parametrize(
    ("counts", "loudness"),
    [
        ([row(12, 0.1, 0.06)], heard([(102.0, 104.0)])),  # its level tells no pauses
        ([row(12, 0.1, 0.06)], heard([(100.0, 112.0)], 3.0)),  # it only wavers
        ([[(102.0, 102.06)]], heard([(102.0, 102.06)])),  # too short for a beat
        ([[(102.0, 103.9)]], heard(row(12, 0.1, 0.06))),  # no way of counting heard a pause
        ([merged(row(12, 0.1, 0.06), {*range(11)} - {5})], heard(row(12, 0.1, 0.06))),
        (
            [merged(row(12, 0.1, 0.06), {1, 2, 4, 5, 7, 8, 10})],
            heard(row(12, 0.1, 0.06)),
        ),  # one did
        ([row(9, 0.05, 1.0)], heard(row(9, 0.05, 1.0))),  # each is alone
    ],
)
def test_where_there_is_no_beat_nothing_is_told(
    counts: list[list[Span]], loudness: Loudness
) -> None:
    assert in_beat(counts, loudness, START_S) == []
