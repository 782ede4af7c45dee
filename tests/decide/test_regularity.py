"""Tones that are cut evenly, told from those that are not, whatever the network made of them."""

import numpy as np
import pytest

from beepwatch.decide.hindsight import WholeSound
from beepwatch.decide.recent import RecentSound
from beepwatch.decide.regularity import LEAST_S, is_regular
from tests.decide.sounds import RATE_HZ, Span, in_a_room, in_noise, row, told, tones
from tests.decide.streams import Deaf

HISS_DB = 12.0


def blob(spans: list[Span]) -> list[Span]:
    """As a network tells it that hears no pause."""
    return [(spans[0][0], spans[-1][1] + 0.05)]


def regular(cut: list[Span], as_told: list[Span], rt60_s: float = 0.0) -> bool:
    sound = tones(cut) if rt60_s == 0 else in_a_room(tones(cut), rt60_s)
    return is_regular(told(as_told).pulses, in_noise(sound, HISS_DB), RATE_HZ, 0.0)


@pytest.mark.parametrize(("length_s", "pause_s"), [(0.06, 0.07), (0.1, 0.1), (0.25, 0.5)])
@pytest.mark.parametrize("count", [3, 8])
def test_what_became_one_pulse_to_the_network_is_even_in_its_sound(
    count: int, length_s: float, pause_s: float
) -> None:
    cut = row(count, length_s, pause_s)
    assert regular(cut, blob(cut))
    assert regular(cut, [*cut[:1], (cut[1][0], cut[-1][1])]), "or two, of different lengths"


def test_a_room_that_rings_does_not_hide_it() -> None:
    cut = row(8, 0.08, 0.12)
    assert regular(cut, blob(cut), rt60_s=0.4)


@pytest.mark.parametrize(
    "cut",
    [
        row(2, 0.1, 0.1),
        [(3.0, 3.1), (3.2, 3.3), (3.7, 3.8), (4.0, 4.1)],  # the pauses differ
        [(3.0, 3.05), (3.2, 3.5), (3.65, 3.75), (3.9, 4.3)],  # the lengths do
        [(3.0, 4.0)],
    ],
    ids=["two", "pauses differ", "lengths differ", "one"],
)
def test_what_is_not_cut_evenly(cut: list[Span]) -> None:
    assert not regular(cut, blob(cut))


def test_a_tone_that_wavers_too_fast_has_no_pauses() -> None:
    cut = row(8, 0.05, 0.04)
    assert not regular(cut, blob(cut))


def test_most_of_it_has_to_be_told() -> None:
    """The rest may be a sound with a name of its own, or one that a person does not want."""
    cut = row(8, 0.1, 0.15)
    assert regular(cut, cut[4:])
    assert not regular(cut, cut[6:])


def test_what_is_too_short_for_three_is_not_counted() -> None:
    cut = row(3, 0.1, 0.1)
    assert not regular(cut, [(3.0, 3.0 + LEAST_S - 0.01)])


def test_without_all_of_their_sound_they_are_not_regular() -> None:
    cut = row(4, 0.1, 0.1)
    pulses = told(blob(cut)).pulses
    sound = in_noise(tones(cut), HISS_DB)
    half = round(3.2 * RATE_HZ)
    assert not is_regular(pulses, sound[half:], RATE_HZ, 3.2)
    assert not is_regular(pulses, sound[:half], RATE_HZ, 0.0)
    assert not RecentSound(Deaf()).is_regular(pulses)


def test_a_recording_that_goes_by_in_pieces_says_the_same() -> None:
    cut = row(4, 0.1, 0.1)
    sound = in_noise(tones(cut), HISS_DB)
    recent = RecentSound(Deaf())
    for piece in np.array_split(sound, 7):
        recent.add(piece)
    pulses = told(blob(cut)).pulses
    assert recent.is_regular(pulses)
    assert WholeSound(sound, Deaf()).is_regular(pulses)
