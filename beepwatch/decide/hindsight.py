"""What sound that was just heard says of pulses and episodes, wherever it is kept."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.counting import likeness, recounted, span_to_compare, span_to_count_in
from beepwatch.decide.episodes import ASKED_OF, Episode
from beepwatch.decide.opinion import opinion, span_to_ask_of
from beepwatch.decide.pulses import Opinion, Pulse
from beepwatch.decide.regularity import is_regular
from beepwatch.decide.rehearing import Network, log_odds_again, span_to_hear

Span = tuple[float, float]  # seconds, on the clock of the pulses
Cut = tuple[NDArray[np.int16], float]  # sound [samples], and when it begins, s


class Hindsight(ABC):
    """The same answers for every way of keeping sound: `cut` is all that these have to do.

    `network` hears pulses again.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._rate_hz = network.rate_hz

    @abstractmethod
    def cut(self, span: Span, pulse: Pulse) -> Cut | None:
        """What there is of a span's sound; `pulse` lies in it, on both clocks."""

    def opinion(self, pulse: Pulse) -> Opinion | None:
        """What a pulse's sound says of it, as `decide/opinion.py` has it."""
        cut = self._cut(span_to_ask_of(pulse), pulse)
        return None if cut is None else opinion(pulse, cut[0], self._rate_hz, cut[1])

    def again(self, pulse: Pulse) -> float:
        """What the network says when it hears a pulse again, as `decide/rehearing.py` has it."""
        cut = self._cut(span_to_hear(pulse, self._network), pulse)
        if cut is None:
            return 0.0
        return log_odds_again(pulse, *cut, self._network, self._network.labels.index(ASKED_OF))

    def likeness(self, pulses: Sequence[Pulse]) -> float | None:
        """How much like an appliance's several pulses are, as `decide/counting.py` has it."""
        cut = self._cut(span_to_compare(pulses), pulses[0])
        return None if cut is None else likeness(pulses, cut[0], self._rate_hz, cut[1])

    def is_regular(self, pulses: Sequence[Pulse]) -> bool:
        """Whether their tone is cut into even pulses, as `decide/regularity.py` has it."""
        cut = self._cut(span_to_compare(pulses), pulses[0])
        return cut is not None and is_regular(pulses, cut[0], self._rate_hz, cut[1])

    def recounted(self, episode: Episode) -> Episode:
        """An episode that is over, with its pulses counted in its sound."""
        cut = self._cut(span_to_count_in(episode), episode.pulses[0])
        return episode if cut is None else recounted(episode, cut[0], self._rate_hz, cut[1])

    def _cut(self, span: Span | None, pulse: Pulse) -> Cut | None:
        return None if span is None else self.cut(span, pulse)


class WholeSound(Hindsight):
    """A whole recording, int16 [samples], from whose beginning its pulses count.

    It may be decided on many times, with other thresholds: what was said of a pulse is kept.
    """

    def __init__(self, sound: NDArray[np.int16], network: Network) -> None:
        super().__init__(network)
        self._sound = sound
        self._said: dict[Span, Opinion | None] = {}
        self._again: dict[Span, float] = {}

    @property
    def sound(self) -> NDArray[np.int16]:
        """[samples]."""
        return self._sound

    def opinion(self, pulse: Pulse) -> Opinion | None:
        """The same of the same pulse."""
        span = (pulse.onset_s, pulse.duration_s)
        if span not in self._said:
            self._said[span] = super().opinion(pulse)
        return self._said[span]

    def again(self, pulse: Pulse) -> float:
        """The same of the same pulse."""
        span = (pulse.onset_s, pulse.duration_s)
        if span not in self._again:
            self._again[span] = super().again(pulse)
        return self._again[span]

    def cut(self, span: Span, pulse: Pulse) -> Cut | None:
        """All of it."""
        return self._sound, 0.0
