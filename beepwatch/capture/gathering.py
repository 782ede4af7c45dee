"""The sound of an open stream, gathered until it is worth the work.

Who wakes up after half a second finds little of itself in the processor's caches, so that each
round costs far more than its sound. So nobody is woken up while nothing can be done, and what comes
too early is one with what comes next.
"""

import threading
from collections.abc import Callable, Iterator

from beepwatch.capture.blocks import Block, EndOfSound, Stalled, Stream
from beepwatch.clock import Clock
from beepwatch.errors import SourceError

_SIGN_OF_LIFE_S = 0.4
_GATHERS_S = 0.7  # at most: half a second, as far as looks are apart, and a block
_WAKES_WITHIN_S = 5.0  # the first samples of a device that slept, or was plugged in just now


class SignsOfLife:
    """When who iterates a listener was given something last: a window, or a mere sign of life."""

    def __init__(self, clock: Clock) -> None:
        self.given_s = clock.mono_s()
        self._clock = clock

    def give(self) -> None:
        """Something comes now."""
        self.given_s = self._clock.mono_s()

    def due(self) -> bool:
        """Whether it is time for one; it is then given."""
        now_s = self._clock.mono_s()
        due = now_s - self.given_s >= _SIGN_OF_LIFE_S
        if due:
            self.given_s = now_s
        return due


class Gathering:
    """Iterate it: blocks until the end of the sound, or until there is to be no other.

    `None` comes for a wait in vain. Each block is to be dealt with before the next is asked for.
    Raises SourceError when the stream is lost, after what had come of it.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        patience_s: float,
        missing_s: Callable[[], float],
        read_within_s: Callable[[], float | None],
        signs: SignsOfLife,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        """`missing_s` tells how much more sound it takes until there is something to do, 0 if that
        is at once; `read_within_s` how long the next block may take, None if there is to be none.
        Without a sample for `patience_s` the stream has stalled. `stop` ends a sleep.
        """
        self._stream = stream
        self._patience_s = patience_s
        self._missing_s = missing_s
        self._read_within_s = read_within_s
        self._signs = signs
        self._clock = clock
        self._stop = stop

    def __iter__(self) -> Iterator[Block | None]:
        for block in self._gathered():
            yield block
            if block is not None:
                self._let_gather(block)

    def _gathered(self) -> Iterator[Block | None]:
        few: Block | None = None
        try:
            for block in self._read():
                if few is not None and block is not None and not block.lost_frames:
                    block = few.with_next(block)
                elif few is not None:
                    yield few
                few = block if block is not None and self._too_few(block) else None
                if few is None:
                    yield block
                else:
                    self._let_gather(few, unheard_s=few.frames / few.rate_hz)
        except SourceError:
            if few is not None:
                yield few
            raise
        if few is not None:
            yield few

    def _too_few(self, block: Block) -> bool:
        """Whether more is about to come, and nothing can be told of this alone."""
        if not block.is_latest or self._clock.mono_s() - self._signs.given_s >= _GATHERS_S:
            return False
        return block.frames / block.rate_hz < self._missing_s()

    def _read(self) -> Iterator[Block | None]:
        """As they come. A device that has just been opened may take its time to wake up."""
        patience_s = max(self._patience_s, _WAKES_WITHIN_S)
        heard_at_s = self._clock.mono_s()
        while (within_s := self._read_within_s()) is not None:
            block = self._stream.read(within_s)
            now_s = self._clock.mono_s()
            if isinstance(block, EndOfSound) or (block is None and within_s == 0):
                return
            if block is not None:
                heard_at_s, patience_s = now_s, self._patience_s
            elif now_s - heard_at_s > patience_s:
                raise Stalled(
                    f"{self._stream.text} has given no samples for {now_s - heard_at_s:.0f} s. "
                    "It is opened again; if that does not help, run `beepwatch doctor`."
                )
            yield block

    def _let_gather(self, block: Block, *, unheard_s: float = 0.0) -> None:
        """Sleep while what completes the next window, or makes a look due, cannot have come yet.

        Whoever wakes up for every block of a microphone spends more on that than on the sound.
        While more is there already, or could be, there is no sleep.
        """
        if not block.is_latest or block.captured_mono_s is None:
            return
        more_s = self._missing_s() - unheard_s
        if more_s <= 0:
            return
        until_s = block.captured_mono_s + block.comes_in_s(more_s)
        until_s = min(until_s, self._signs.given_s + _GATHERS_S)
        if (left_s := until_s - self._clock.mono_s()) > 0:
            self._stop.wait(left_s)
