"""Whether pulses come as a clock's do."""

from collections.abc import Sequence

import numpy as np

from beepwatch.decide.pulses import Pulse

SLACK_S = 0.04  # two frames: how far off its beat a pulse may be told,
SLACK_SHARE = 0.15  # and so much of a beat: of short ones any three would be regular
MOST_BEATS = 3  # from one pulse to the next: the others were not heard
SHORTEST_BEAT_S = 0.12


def come_regularly(pulses: Sequence[Pulse]) -> bool:
    """Whether three and more begin at equal intervals, of which some may lack their pulse."""
    onsets_s = np.array([pulse.onset_s for pulse in pulses])
    intervals_s = np.diff(onsets_s)
    if len(intervals_s) < 2 or intervals_s.min() < SHORTEST_BEAT_S:
        return False
    beats = np.round(intervals_s / intervals_s.min())
    beat_s = (onsets_s[-1] - onsets_s[0]) / beats.sum()
    off_s = np.abs(intervals_s - beats * beat_s)
    slack_s = min(SLACK_S, SLACK_SHARE * beat_s)
    return bool(beats.max() <= MOST_BEATS and off_s.max() <= slack_s)
