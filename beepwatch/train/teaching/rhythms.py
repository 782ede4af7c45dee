"""How far apart the pulses of what is taught begin."""

from collections.abc import Sequence
from itertools import pairwise

from beepwatch.classify.heads import LONGEST_INTERVAL_S, MOST_INTERVALS
from beepwatch.train.teaching.examples import Example

SAME_S = 0.05  # of two intervals that are one, in rooms that blur where a pulse begins
FEWEST = 2  # times that an interval has to come to be the sound's own


def rhythm_of(examples: Sequence[Example], frame_s: float) -> tuple[float, ...]:
    """Times from one pulse's beginning to the next one's that come again, in seconds, ascending.

    None where no two are alike: then it is a tune, or its pulses could not be told apart.
    """
    intervals_s = sorted(
        later_s - earlier_s
        for example in examples
        for earlier_s, later_s in pairwise(start_s for start_s, _ in example.spans_s(frame_s))
        if later_s - earlier_s <= LONGEST_INTERVAL_S
    )
    alike: list[list[float]] = []
    for interval_s in intervals_s:
        if alike and interval_s - alike[-1][0] <= SAME_S:
            alike[-1].append(interval_s)
        else:
            alike.append([interval_s])
    own = [several for several in alike if len(several) >= FEWEST]
    own = sorted(own, key=len)[-MOST_INTERVALS:]
    return tuple(sorted(round(sum(several) / len(several), 3) for several in own))
