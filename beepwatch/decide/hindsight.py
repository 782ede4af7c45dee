"""What sound that was just heard says of pulses and episodes, wherever it is kept."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.counting import likeness, recounted, span_to_compare, span_to_count_in
from beepwatch.decide.episodes import Episode
from beepwatch.decide.opinion import opinion, span_to_ask_of
from beepwatch.decide.pulses import Opinion, Pulse

Span = tuple[float, float]  # seconds, on the clock of the pulses
Cut = tuple[NDArray[np.int16], float]  # sound [samples], and when it begins, s


class Hindsight(ABC):
    """The same answers for every way of keeping sound: `cut` is all that these have to do."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz

    @abstractmethod
    def cut(self, span: Span, pulse: Pulse) -> Cut | None:
        """What there is of a span's sound; `pulse` lies in it, on both clocks."""

    def opinion(self, pulse: Pulse) -> Opinion | None:
        """What a pulse's sound says of it, as `decide/opinion.py` has it."""
        cut = self._cut(span_to_ask_of(pulse), pulse)
        return None if cut is None else opinion(pulse, cut[0], self._rate_hz, cut[1])

    def likeness(self, pulses: Sequence[Pulse]) -> float | None:
        """How much like an appliance's several pulses are, as `decide/counting.py` has it."""
        cut = self._cut(span_to_compare(pulses), pulses[0])
        return None if cut is None else likeness(pulses, cut[0], self._rate_hz, cut[1])

    def recounted(self, episode: Episode) -> Episode:
        """An episode that is over, with its pulses counted in its sound."""
        cut = self._cut(span_to_count_in(episode), episode.pulses[0])
        return episode if cut is None else recounted(episode, cut[0], self._rate_hz, cut[1])

    def _cut(self, span: Span | None, pulse: Pulse) -> Cut | None:
        return None if span is None else self.cut(span, pulse)


class WholeSound(Hindsight):
    """A whole recording, int16 [samples], from whose beginning its pulses count."""

    def __init__(self, sound: NDArray[np.int16], rate_hz: int) -> None:
        super().__init__(rate_hz)
        self._sound = sound

    def cut(self, span: Span, pulse: Pulse) -> Cut | None:
        """All of it."""
        return self._sound, 0.0
