"""The household is the same every time, and its beeps are where it says."""

import numpy as np

from benchmarks.household import MINUTE_S, RATE_HZ, Household


def test_a_seed_gives_the_same_minutes_and_another_seed_others() -> None:
    once, again, other = (list(Household(seed).minutes(0.05)) for seed in (1, 1, 2))
    assert [minute.pcm.tobytes() for minute in once] == [minute.pcm.tobytes() for minute in again]
    assert once[0].pcm.tobytes() != other[0].pcm.tobytes()


def test_hours_are_so_many_minutes_of_sound() -> None:
    minutes = list(Household().minutes(0.05))
    assert [minute.pcm.size for minute in minutes] == 3 * [MINUTE_S * RATE_HZ]


def test_a_beep_is_louder_than_the_room_before_it() -> None:
    """The first beep of the stream that has at least a second of its minute before it."""
    for number, minute in enumerate(Household().minutes(1)):
        for beep in minute.beeps[:1]:
            first, last = (
                round((at_s - number * MINUTE_S) * RATE_HZ)
                for at_s in (beep.onset_s, beep.offset_s)
            )
            before = minute.pcm[:first].astype(np.float64)
            if first > RATE_HZ and np.abs(before).max() < 500:  # nothing else has sounded yet
                loud = np.abs(minute.pcm[first:last].astype(np.float64)).max()
                assert loud > 3 * np.abs(before).max()
                return
    raise AssertionError("no beep in an hour of twenty")
