"""A pulse heard again by the network, a little lower and a little higher.

A network is sure of some sounds by chance: by where their pitch lies between two of its bands, and
when they begin between two of its frames. Played at another speed a beep is a beep as before, and
what was taken for one by chance is often none any more. So a mean of several hearings tells more
than one of them.
"""

from collections.abc import Iterator
from math import fsum, log
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.pulses import Pulse

HEARD_S = 1.0  # of a long pulse
SLACK_S = 0.06  # around it, where its highest score may lie: a window's frames lie elsewhere
OWN_SPEED = 10
SPEEDS = (9, 11)  # beside it: a tenth slower, a tenth faster
UNIT = 99  # samples, that each of these divides
FAST_UNITS = 16  # together: spectra of so many are fast to compute
MOST_MORE = 0.5  # log odds: hearings tell what was chance, and hardly what was missed
SURE = 1e-4  # and no surer is any hearing, of this or of the contrary

Sound = NDArray[np.int16]


class Answered(Protocol):
    """What a network says of a stretch, frame by frame."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """[frames, labels], of each label for itself."""
        ...


class Network(Protocol):
    """What hears; see `classify/engines.py`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the columns."""
        ...

    @property
    def rate_hz(self) -> int:
        """Of the sound it takes."""
        ...

    @property
    def frame_s(self) -> float:
        """Between the centres of two frames."""
        ...

    @property
    def context_s(self) -> float:
        """A frame's answer depends on so much of what follows it."""
        ...

    @property
    def history_s(self) -> float:
        """A frame's answer depends on so much of what came before."""
        ...

    def answers(self, pcm: Sound) -> Answered:
        """Of int16 mono [samples]."""
        ...


def span_to_hear(pulse: Pulse, network: Network) -> tuple[float, float]:
    """From when to when a pulse's sound is needed: it, and what the network's answer depends on."""
    spare_s = FAST_UNITS * UNIT / network.rate_hz
    start_s = pulse.onset_s - SLACK_S - network.history_s - spare_s
    return start_s, _heard_until_s(pulse) + network.context_s


def log_odds_again(
    pulse: Pulse, sound: Sound, start_s: float, network: Network, column: int
) -> float:
    """By how much likelier it is, as the mean of all hearings has it, than its own score tells.

    `sound` [samples] begins at `start_s`; a hearing that has none of the pulse does not count.
    """
    first_s, last_s = span_to_hear(pulse, network)
    last = min(round((last_s - start_s) * network.rate_hz), len(sound))
    first = max(round((first_s - start_s) * network.rate_hz), 0)
    is_whole = start_s - first_s < 1 / network.rate_hz
    unit = FAST_UNITS * UNIT if is_whole else UNIT  # what there is little of is not cut away
    first += max(last - first, 0) % unit  # so that all speeds have a whole number of samples
    own = _log_odds(pulse.peak_score)
    if last - first < 2 * network.frame_s * network.rate_hz:
        return 0.0
    hearings = [own]
    begins_s = start_s + first / network.rate_hz
    from_s, to_s = (
        at_s - begins_s for at_s in (pulse.onset_s - SLACK_S, _heard_until_s(pulse) + SLACK_S)
    )
    for longer, played in _at_other_speeds(sound[first:last]):
        probabilities = network.answers(played).probabilities[:, column]
        start, end = (max(int(at_s * longer / network.frame_s), 0) for at_s in (from_s, to_s))
        if start < len(probabilities):
            hearings.append(_log_odds(float(probabilities[start : end + 1].max())))
    return min(fsum(hearings) / len(hearings) - own, MOST_MORE)


def _heard_until_s(pulse: Pulse) -> float:
    return min(pulse.offset_s, pulse.onset_s + HEARD_S)


def _at_other_speeds(sound: Sound) -> Iterator[tuple[float, Sound]]:
    """How many times longer it is made, and the sound, with all frequencies there is room for."""
    spectrum = np.fft.rfft(sound.astype(np.float32))
    for speed in SPEEDS:
        length = len(sound) // speed * OWN_SPEED
        played = np.fft.irfft(spectrum, length) * np.float32(length / len(sound))
        yield OWN_SPEED / speed, np.clip(np.rint(played), -32_768, 32_767).astype(np.int16)


def _log_odds(probability: float) -> float:
    likely = min(max(probability, SURE), 1 - SURE)
    return log(likely / (1 - likely))
