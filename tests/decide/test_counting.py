"""Pulses counted in the sound of an episode, where the network told too few or too many."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beepwatch.decide.believing import LEAST_LIKENESS
from beepwatch.decide.counting import (
    LONGEST_S,
    how_many_overlap,
    likeness,
    recounted,
    span_to_count_in,
)
from beepwatch.decide.episodes import Episode
from beepwatch.decide.recent import KEPT_S, RecentSound
from tests.decide.sounds import (
    PITCH_HZ,
    RATE_HZ,
    SECONDS,
    Span,
    in_a_room,
    in_noise,
    row,
    told,
    tones,
)
from tests.decide.streams import Deaf


def counted(episode: Episode, pcm: NDArray[np.int16]) -> int | None:
    return recounted(episode, pcm, RATE_HZ, 0.0).counted


SIX = row(6, 0.2, 0.3)
HISS = in_noise(np.zeros(round(SECONDS * RATE_HZ)), 10)


def test_an_episode_that_was_not_counted_has_the_pulses_that_were_told() -> None:
    assert told(SIX).count == 6
    assert msgspec.structs.replace(told(SIX), counted=5).count == 5


@pytest.mark.parametrize("snr_db", [20, 10, 5])
@pytest.mark.parametrize(
    "heard",
    [
        SIX,
        [SIX[0], SIX[1], SIX[3], SIX[5]],  # two were too faint
        SIX[1:5],  # those at the ends were
        [(SIX[0][0], SIX[1][1]), *SIX[2:]],  # two were one
        [SIX[0], (3.5, 3.6), (3.62, 3.7), *SIX[2:]],  # one was two
        [*SIX, (5.82, 5.9)],  # the room made another
    ],
)
def test_all_pulses_are_counted_whichever_the_network_heard(
    heard: list[Span], snr_db: float
) -> None:
    assert counted(told(heard), in_noise(tones(SIX), snr_db)) == 6


def test_pauses_of_60_ms_are_pauses() -> None:
    pulses = row(12, 0.1, 0.06)
    pcm = in_noise(tones(pulses), 10)
    assert counted(told([(pulses[0][0], pulses[-1][1])]), pcm) == 12


def test_what_a_room_gives_back_is_no_pulse() -> None:
    pulses = row(5, 0.25, 0.6)
    ringing = [span for onset_s, offset_s in pulses for span in
               ((onset_s, offset_s), (offset_s + 0.1, offset_s + 0.18))]  # fmt: skip
    pcm = in_noise(in_a_room(tones(pulses), 0.6), 20)
    assert counted(told(pulses), pcm) == 5
    quieter = told(ringing, score=0.7)
    assert counted(quieter, pcm) == 5


@pytest.mark.parametrize("count", [12, 20])
def test_in_a_hall_that_fills_the_pauses_pulses_are_counted_by_their_beat(count: int) -> None:
    pulses = row(count, 0.2, 0.06, 2.0)
    pcm = in_noise(in_a_room(tones(pulses), 1.2), 20)
    every_other, two = pulses[::2], [(pulses[0][0], pulses[3][1]), (pulses[4][0], pulses[-1][1])]
    assert counted(told(every_other), pcm) == count
    assert counted(told(two), pcm) == count


def test_two_tones_in_turn() -> None:
    pulses = row(8, 0.15, 0.1)
    pitches_hz = (PITCH_HZ, 2_300.0)
    pcm = in_noise(tones(pulses, pitches_hz), 15)
    assert counted(told([pulses[0], pulses[1], *pulses[4:]], pitches_hz), pcm) == 8


@pytest.mark.parametrize("length_s", [0.15, 0.3])
def test_two_tones_in_turn_that_were_told_as_one_pulse(length_s: float) -> None:
    pulses = row(9, length_s, 0.1)
    pcm = in_noise(tones(pulses, (PITCH_HZ, 2_300.0)), 15)
    one = with_pitches(told([(pulses[0][0], pulses[-1][1])]), [(PITCH_HZ, 2_300.0)])
    assert counted(one, pcm) == 9


def test_two_tones_at_once_are_one_pulse() -> None:
    pulses = row(6, 0.2, 0.1)
    pcm = in_noise(tones(pulses) + tones(pulses, (2_300.0,)), 15)
    both = with_pitches(told(pulses[1:]), [(PITCH_HZ, 2_300.0)] * 5)
    assert counted(both, pcm) == 6


def test_pulses_that_fade_away_are_counted_as_long_as_they_were_told() -> None:
    pulses = row(7, 0.2, 0.3)
    sound = tones(pulses) * 10 ** (-3 * (np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ - 3) / 20)
    assert counted(told(pulses), in_noise(sound, 25)) == 7


def test_long_and_short_in_turn() -> None:
    pulses = [(3 + 0.8 * i, 3 + 0.8 * i + (0.45 if i % 2 else 0.12)) for i in range(8)]
    assert counted(told(pulses[:5]), in_noise(tones(pulses[:5]), 15)) == 5


def test_one_short_pulse_before_a_long_one_is_kept_if_the_network_was_sure() -> None:
    pulses = [(3.0, 3.08), (3.3, 3.7)]
    assert counted(told(pulses), in_noise(tones(pulses), 20)) == 2


def test_a_single_pulse_is_one() -> None:
    assert counted(told([(4.0, 4.3)]), in_noise(tones([(4.0, 4.3)]), 10)) == 1


def test_another_tone_beside_it_does_not_count() -> None:
    other = tones(row(9, 0.1, 0.35), (1_400.0,))
    assert counted(told(SIX), in_noise(tones(SIX) + other, 20)) == 6


def test_what_the_gate_left_out_is_no_noise() -> None:
    pcm = in_noise(tones(SIX), 10)
    pcm[: round(2.5 * RATE_HZ)] = 0
    pcm[round(6.5 * RATE_HZ) :] = 0
    assert counted(told(SIX[1:]), pcm) == 6


@pytest.mark.parametrize(
    ("episode", "pcm"),
    [
        (told(SIX, ()), in_noise(tones(SIX), 20)),  # without pitches
        (told([(0.5, 0.9), (0.5 + LONGEST_S, 31.0)]), in_noise(tones(SIX), 20)),  # too long
        (told(SIX), in_noise(tones(SIX), 20)[: 5 * RATE_HZ]),  # its end is lost
        (told(SIX), HISS),  # its pitch is not louder than before
        (told(SIX), np.zeros(len(HISS), np.int16)),
        (told([(0.0, 0.04), (0.05, 12.0)]), in_noise(tones([(0.0, 12.0)]), 20)),  # nothing beside
    ],
)
def test_where_nothing_can_be_counted_the_episode_stays_as_it_is(
    episode: Episode, pcm: NDArray[np.int16]
) -> None:
    assert recounted(episode, pcm, RATE_HZ, 0.0) is episode


def test_sound_that_begins_after_the_episode_does_not_tell_its_pulses() -> None:
    pcm = in_noise(tones(SIX), 20)
    late = round(3.4 * RATE_HZ)
    assert recounted(told(SIX), pcm[late:], RATE_HZ, 3.4).counted is None


def with_pitches(episode: Episode, pitches_hz: Sequence[tuple[float, ...]]) -> Episode:
    pulses = [
        msgspec.structs.replace(pulse, pitches_hz=several_hz)
        for pulse, several_hz in zip(episode.pulses, pitches_hz, strict=True)
    ]
    return msgspec.structs.replace(episode, pulses=tuple(pulses))


WANDERING = [(500.0 * step, 500.0 * (step + 1)) for step in range(1, 7)]  # each in a third of them


def test_pitches_that_do_not_last_are_none() -> None:
    pcm = in_noise(tones(SIX), 20)
    assert counted(with_pitches(told(SIX), WANDERING), pcm) is None
    longer = row(9, 0.2, 0.3)
    steady = [*WANDERING, *[(PITCH_HZ,)] * 3]
    heard = with_pitches(told(longer), steady)
    assert counted(heard, in_noise(tones(longer), 10)) == 9


def test_a_rasping_tone_is_one_pulse() -> None:
    """Pauses of 20 ms are its sound; those of half a second are none of it."""
    rasps = [span for onset_s, _ in row(3, 0.3, 0.5) for span in row(6, 0.03, 0.02, onset_s)]
    assert counted(told(row(3, 0.28, 0.52)), in_noise(tones(rasps), 20)) == 3


def test_a_burst_of_hiss_that_was_taken_for_a_beep_is_still_one() -> None:
    pcm = in_noise(np.zeros(len(HISS)), 10, seed=0) // 8
    pcm[4 * RATE_HZ : round(4.3 * RATE_HZ)] *= 3
    assert counted(told([(4.0, 4.3)]), pcm) == 1


def test_a_click_that_was_taken_for_a_pulse_is_still_one() -> None:
    assert counted(told([(4.0, 4.06)]), in_noise(tones([(4.025, 4.035)]), 10)) == 1


def test_the_span_has_a_margin_on_both_sides() -> None:
    assert span_to_count_in(told([(3.0, 3.5), (4.0, 5.0)])) == (1.5, 6.5)
    assert span_to_count_in(told([(3.0, 3.5), (3.0 + LONGEST_S, 34.0)])) is None


@settings(max_examples=25, deadline=None)
@given(
    pulses=st.integers(2, 8),
    length_s=st.floats(0.08, 0.4),
    pause_s=st.floats(0.1, 0.5),
    lost=st.sets(st.integers(1, 6), max_size=2),
    loudness=st.floats(0.02, 1.0),
)
def test_any_even_row_at_10_db_however_loud_and_whatever_was_lost(
    pulses: int, length_s: float, pause_s: float, lost: set[int], loudness: float
) -> None:
    spans = row(pulses, length_s, pause_s)
    heard = [span for number, span in enumerate(spans) if number not in lost - {pulses - 1}]
    pcm = (in_noise(tones(spans), 10) * loudness).astype(np.int16)
    assert counted(told(heard), pcm) == pulses


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, len(HISS) - 1), max_size=30), before_s=st.integers(0, 80))
def test_how_the_sound_arrives_does_not_matter(cuts: list[int], before_s: int) -> None:
    """And what came before it is forgotten, but not the place of what follows."""
    recent = RecentSound(Deaf())
    for _ in range(before_s):
        recent.add(np.ones(RATE_HZ, np.int16))
    pcm = in_noise(tones(SIX), 10)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(pcm)], strict=True):
        recent.add(pcm[start:stop])
    later = told([(onset_s + before_s, offset_s + before_s) for onset_s, offset_s in SIX[1:]])
    assert recent.recounted(later).count == 6


def test_what_has_been_forgotten_cannot_be_counted() -> None:
    recent = RecentSound(Deaf())
    recent.add(in_noise(tones(SIX), 10))
    for _ in range(round(KEPT_S) + 1):
        recent.add(np.ones(RATE_HZ, np.int16))
    assert recent.recounted(told(SIX[1:])).counted is None


@pytest.mark.parametrize("length_s", [0.08, 0.25])
@pytest.mark.parametrize("pause_s", [0.1, 0.4, 1.0])
def test_equal_pulses_are_like_an_appliances(length_s: float, pause_s: float) -> None:
    spans = row(4, length_s, pause_s)
    sound = in_noise(tones(spans), 20)
    found = likeness(told(spans[1:]).pulses, sound, RATE_HZ, 0.0)
    assert found is not None
    assert found > 0.5 > LEAST_LIKENESS


def test_a_pulse_at_the_end_of_the_sound_is_another_than_one_at_its_beginning() -> None:
    spans = row(4, 0.25, 0.4)
    first_s, last_s = spans[0][0], spans[-1][1]
    sound = in_noise(tones(spans), 20)[round(first_s * RATE_HZ) : round(last_s * RATE_HZ)]
    found = likeness(told(spans).pulses, sound, RATE_HZ, first_s)
    assert found is not None
    assert found > 0.5


def test_three_that_are_alike_of_what_a_whine_is_cut_into_are_not() -> None:
    """The network told those of 80 ms: the others are in the sound all the same."""
    lengths_s = (0.08, 0.5, 0.12, 0.08, 0.9, 0.2, 0.08)
    pauses_s = (0.1, 0.06, 0.3, 0.08, 0.2, 0.1, 0.1)
    ends_s = 3.0 + np.cumsum([a + b for a, b in zip(lengths_s, pauses_s, strict=True)])
    starts_s = [3.0, *ends_s[:-1].tolist()]
    spans = [(at_s, at_s + length_s) for at_s, length_s in zip(starts_s, lengths_s, strict=True)]
    three = [spans[0], spans[3], spans[6]]
    found = likeness(told(three).pulses, in_noise(tones(spans), 20), RATE_HZ, 0.0)
    assert found is not None
    assert found < LEAST_LIKENESS


def test_what_does_not_stand_out_from_its_pauses_is_like_nothing() -> None:
    steady = in_noise(tones([(0.0, SECONDS)]), 20)
    assert likeness(told(row(3, 0.1, 0.3)).pulses, steady, RATE_HZ, 0.0) == -np.inf


def test_without_all_of_their_sound_pulses_have_no_likeness() -> None:
    spans = row(3, 0.1, 0.3)
    sound = in_noise(tones(spans), 20)
    assert likeness(told(spans).pulses, sound[round(3.1 * RATE_HZ) :], RATE_HZ, 3.1) is None
    assert likeness(told(spans).pulses, sound[: round(3.85 * RATE_HZ)], RATE_HZ, 0.0) is None
    assert RecentSound(Deaf()).likeness(told(spans).pulses) is None


def test_a_recording_that_goes_by_in_pieces_tells_the_same_likeness() -> None:
    spans = row(3, 0.1, 0.3)
    sound = in_noise(tones(spans), 6)
    recent = RecentSound(Deaf())
    for piece in np.array_split(sound, 9):
        recent.add(piece)
    assert recent.likeness(told(spans).pulses) == likeness(told(spans).pulses, sound, RATE_HZ, 0.0)


def test_what_only_touches_does_not_overlap() -> None:
    others = [(1.0, 2.0), (3.0, 4.0)]
    assert how_many_overlap([(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)], others) == 0
    assert how_many_overlap([(0.0, 1.1), (1.9, 3.1), (3.2, 3.3), (3.9, 5.0)], others) == 4
    assert how_many_overlap([(0.0, 1.0)], []) == 0
