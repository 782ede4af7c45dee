"""The recorder's work: an open source, cut, gated, watched, and opened again when it is lost."""

import math
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Literal

import numpy as np
import structlog
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block, Source, Stalled, Stream
from beepwatch.capture.counts import Counts
from beepwatch.capture.excerpt import Excerpt
from beepwatch.capture.gate import Verdict
from beepwatch.capture.gathering import Gathering, SignsOfLife
from beepwatch.capture.health import FaultLedger, InputHealth
from beepwatch.capture.levels import level_dbfs
from beepwatch.capture.opening import Opening
from beepwatch.capture.sources import parse_source
from beepwatch.capture.windows import Cut, StreamTime
from beepwatch.clock import Clock
from beepwatch.errors import SourceError
from beepwatch.messages import Ended, Fault, FaultKind, Hum, Listen, Listening, Place, Quiet, Window
from beepwatch.sections import Capture

Heard = Window | Quiet | Fault | Listening | Ended
Speed = float | Literal["max"]

_READ_WITHIN_S = 0.2
_WORTH_LOOKS_S = 0.5  # a hop that is shorter needs none
_STEP_S = 0.04  # two frames, which the model answers together, as in the whole window
_BACKOFF_FIRST_S = 1.0
_BACKOFF_MOST_S = 15.0
_AWAY = (FaultKind.NO_DEVICE, FaultKind.STALLED)
_BLOCK_S = 0.1  # of a file at normal speed; the pace is kept to within this
_BLOCK_MOST_S = 2.0
_MOST_AHEAD_S = 10.0  # of the clock: what a server hands out at once to who connects, and no more

log = structlog.get_logger()


class Listener:
    """Iterate it: windows, quiet gaps, faults and notices, in the order of their happening.

    `None` comes at least every second when there is nothing else, so that the caller can give
    signs of life. A live source that is missing or lost is a Fault and is opened again; a file or
    a pipe ends with `Ended`, or raises UnreadableAudio. A `source` given here replaces the one that
    `capture` names, which otherwise raises ConfigurationError at once if it is none.
    """

    def __init__(
        self,
        capture: Capture,
        *,
        rate_hz: int | None,
        clock: Clock,
        speed: Speed = 1.0,
        stop: threading.Event,
        source: Source | None = None,
        resume: Place | None = None,
        faults: Iterable[Fault] = (),
        early: bool = False,
    ) -> None:
        """`rate_hz` None keeps the source's own rate.

        With `early`, a live source's window in which a sound is over, or new, comes before it is
        whole as well, as far as it has been heard, and then whole under the same number.
        With `resume`, that recording is the stream that an earlier listener began: windows up to
        there come once more, for the gate to be what it was, and without waiting. `faults` are
        what an earlier listener has told and not called over: they are not told again.
        """
        block_s = _BLOCK_MOST_S if speed == "max" else min(_BLOCK_S * speed, _BLOCK_MOST_S)
        self.source = source or parse_source(capture, clock=clock, block_s=block_s)
        self.counts = Counts()
        self.last_verdict: Verdict | None = None
        self.stream_text = self.source.name  # which device it really is, once it is open
        self.excerpt: Excerpt | None = None  # what somebody wants to hear of all that comes
        self.hums = False  # whether dropped windows come with their sound, so that none is missing
        self._capture = capture
        self._rate_hz = rate_hz
        self._clock = clock
        self._speed = speed
        self._stop = stop
        self._ledger = FaultLedger(self.source.name, faults)
        self._health = InputHealth(self._ledger, self.source.name)
        self._opening: Opening | None = None
        self._mono: NDArray[np.float32] | None = None  # of the last block
        self._heard_until_s = -math.inf  # monotonic; of the last opening
        self._ended = False
        self._handing_over = False
        self._reason = ""  # why it was lost last
        same = resume is not None and resume.source == self.source.name and not self.source.live
        self._resume = resume if same else None
        long_hop = capture.hop_s >= _WORTH_LOOKS_S
        self._early = early and self.source.live and capture.gate and long_hop
        self._signs = SignsOfLife(clock)

    @property
    def level_dbfs(self) -> float:
        """Of the last block; -inf before the first."""
        return -math.inf if self._mono is None else level_dbfs(self._mono, full_scale=1.0)

    def __iter__(self) -> Iterator[Heard | None]:
        backoff_s = _BACKOFF_FIRST_S
        while not self._stop.is_set():
            began_s = self._clock.mono_s()
            try:
                stream = self.source.open()
            except SourceError as error:
                yield from self._lost(error)
            else:
                yield from self._one_opening(stream, self._beginning(began_s))
            if self._ended or self._handing_over:
                return
            if self._clock.mono_s() - began_s > _BACKOFF_MOST_S:
                backoff_s = _BACKOFF_FIRST_S  # it was there for a while
            yield from self._wait_until(self._clock.mono_s() + backoff_s)
            backoff_s = min(2 * backoff_s, _BACKOFF_MOST_S)

    def let_hear(self, asked: Listen) -> None:
        """Collect what comes from now on in `excerpt`, whatever the gate thinks of it."""
        self.excerpt = Excerpt(asked)

    def hand_over(self) -> None:
        """Stop as soon as all that has come was heard: another listener goes on with the source."""
        if self._opening is None or not self.source.live:
            self._stop.set()
        self._handing_over = True

    def _beginning(self, mono_s: float) -> StreamTime:
        if self._resume is not None:
            return StreamTime(self._resume.began_mono_s, self._resume.began_at)
        age = timedelta(seconds=self._clock.mono_s() - mono_s)
        return StreamTime(mono_s, self._clock.utc() - age)

    def _one_opening(self, stream: Stream, opened: StreamTime) -> Iterator[Heard | None]:
        """From the first sample of an open source to its end, or until it is lost."""
        self.stream_text = stream.text
        blocks = Gathering(
            stream,
            patience_s=self.source.patience_s,
            missing_s=self._missing_s,
            read_within_s=self._read_within_s,
            signs=self._signs,
            clock=self._clock,
            stop=self._stop,
        )
        try:
            for block in blocks:
                if block is not None:
                    yield from self._heard(block, opened)
                    yield from self._pace(opened)
                yield from self._told(self._ledger.over(self._clock.mono_s()))
                if self._signs.due():
                    yield None
            yield from self._rest()
            self._ended = True
        except SourceError as error:
            yield from self._rest()
            # Told before it is closed, which takes for ever when the sound server hangs.
            yield from self._lost(error)
        finally:
            if self._opening is not None:
                self._heard_until_s = self._opening.heard_until_s
            self._opening = None
            stream.close()
        if self._ended and not self._stop.is_set() and not self._handing_over:
            yield Ended(source=self.source.name)

    def _missing_s(self) -> float:
        """How much more sound it takes until there is something to do; 0 if that is at once."""
        if self._opening is None or self._handing_over:
            return 0.0
        return self._opening.missing_s

    def _read_within_s(self) -> float | None:
        """How long the next block may take; None if there is to be no other."""
        if self._stop.is_set():
            return None
        if not self._handing_over:
            return _READ_WITHIN_S
        return 0.0 if self._too_early_s() <= 0 else None  # the rest is no less for being read later

    def _heard(self, block: Block, opened: StreamTime) -> Iterator[Heard]:
        if self._opening is None:
            yield from self._begun(block, opened)
        assert self._opening is not None  # noqa: S101 - _begun has just set it
        self.counts.overflows += block.overflows
        self.counts.lost_samples += block.lost_frames
        self.counts.dropped_blocks += block.dropped_blocks
        self._mono = mono = block.mono()
        for cut in self._opening.cutter.push(block, mono):
            if block.captured_mono_s is not None:
                self._follow_clock(self._opening, block.captured_mono_s)
            yield self._window(cut, self._opening)
        yield from self._look(self._opening)
        if self.source.live:
            lost = block.overflows + block.dropped_blocks
            now_s, utc = self._clock.mono_s(), self._clock.utc()
            yield from self._told(self._health.step(mono, lost, now_s, utc))

    def _begun(self, block: Block, opened: StreamTime) -> Iterator[Heard]:
        """The first samples have come: what they are, and that all is well again."""
        time = opened
        if block.captured_mono_s is not None:
            first_mono_s = block.captured_mono_s - block.frames / block.rate_hz
            age = timedelta(seconds=self._clock.mono_s() - first_mono_s)
            time = self._after_the_last(StreamTime(first_mono_s, self._clock.utc() - age))
        rate_hz = self._rate_hz or block.rate_hz
        self._opening = Opening(
            self._capture, from_hz=block.rate_hz, rate_hz=rate_hz, time=time, early=self._early
        )
        if self._resume is not None:
            self._opening.cutter.stream_id = self._resume.stream_id
        self.counts.openings += 1
        log.info(
            "source_opened",
            source=self.source.name,
            device=self.stream_text,
            rate_hz=block.rate_hz,
            channels=block.channels,
            stream_id=self._opening.cutter.stream_id,
        )
        yield Listening(source=self.source.name, rate_hz=block.rate_hz, channels=block.channels)
        self._health.begin_anew()
        # Nobody looks for zeros in a recording.
        over = _AWAY if self.source.live else (*_AWAY, FaultKind.ALL_ZERO)
        yield from self._told(self._ledger.end(*over, now_s=self._clock.mono_s()))

    def _after_the_last(self, time: StreamTime) -> StreamTime:
        """Not before the end of the opening before: it was ahead of the clock, and time goes on."""
        ahead_s = self._heard_until_s - time.mono_s
        return StreamTime(*time.at(ahead_s)) if 0 < ahead_s <= _MOST_AHEAD_S else time

    def _look(self, opening: Opening) -> Iterator[Window]:
        """The next window as far as it has come, if there is something in it to be told of."""
        if not self._early or opening.gate is None or opening.missing_to_look_s > 0:
            return
        cut = opening.cutter.beginning(_STEP_S)
        seen = opening.gate.peek(cut.fresh)
        heard = opening.cutter.received_samples
        if opening.looks.worth(heard, seen.sounded_until, is_new=seen.is_new):
            self.counts.early_windows += 1
            self._signs.give()
            yield Window(pcm=cut.pcm.astype("<i2").tobytes(), **opening.span(cut, self.source.name))

    def _window(self, cut: Cut, opening: Opening) -> Window | Quiet:
        verdict = opening.gate.step(cut.fresh, cut.first_sample) if opening.gate else None
        if opening.gate is not None:
            opening.looks.whole(cut.first_sample + cut.pcm.size, opening.gate.sounded_until)
        self.last_verdict = verdict
        self._signs.give()
        span = opening.span(cut, self.source.name)
        if self.excerpt is not None:
            before = cut.pcm.size - cut.fresh.size  # a padded end is a bit late in it
            at = span["started_at"] + timedelta(seconds=before / opening.cutter.rate_hz)
            self.excerpt.hear(cut.fresh, opening.cutter.rate_hz, at)
        if verdict is None or verdict.keep:
            self.counts.windows += 1
            opening.sounded_until = cut.first_sample + cut.pcm.size
            return Window(pcm=cut.pcm.astype("<i2").tobytes(), **span)
        self.counts.quiet_windows += 1
        # Only the last that still touches what was passed on: each sample is carried once.
        next_first_sample = cut.first_sample + opening.cutter.hop_samples
        if self.hums and next_first_sample > opening.sounded_until:
            opening.sounded_until = cut.first_sample + cut.pcm.size
            return Hum(pcm=cut.pcm.astype("<i2").tobytes(), samples=cut.pcm.size, **span)
        return Quiet(samples=cut.pcm.size, **span)

    def _rest(self) -> Iterator[Heard]:
        """What no whole window covered; nothing if we were told to stop."""
        if self._opening is None or self._stop.is_set():
            return
        cutter = self._opening.cutter
        for cut in cutter.leave() if self._handing_over else cutter.finish():
            yield self._window(cut, self._opening)

    def _lost(self, error: SourceError) -> Iterator[Heard]:
        if not self.source.live:
            raise error  # nobody can wait for a file to get better
        reason = str(error)
        # What is away for a month is looked for every 15 s, and not written down each time. Whoever
        # iterates says the fault louder.
        write = log.debug if reason == self._reason else log.info
        self._reason = reason
        write("source_lost", source=self.source.name, reason=reason)
        kind = FaultKind.STALLED if isinstance(error, Stalled) else FaultKind.NO_DEVICE
        known = next((one for one in _AWAY if one in self._ledger), kind)  # the same misfortune
        yield from self._told(self._ledger.begin(known, reason, self._clock.utc()))

    def _told(self, faults: list[Fault]) -> list[Fault]:
        for fault in faults:
            self.counts.faults += not fault.cleared
            event = "input_recovered" if fault.cleared else "input_fault"
            # Whoever iterates says it louder.
            log.info(event, kind=fault.kind.value, reason=fault.text, count=fault.count)
        return faults

    def _follow_clock(self, opening: Opening, captured_mono_s: float) -> None:
        opening.time.follow(
            opening.cutter.heard_s, captured_mono_s, self._clock.mono_s(), self._clock.utc()
        )

    def _pace(self, opened: StreamTime) -> Iterator[None]:
        """Hold a recording back to its speed, and a stream to the clock's."""
        if self._handing_over:
            return
        if self.source.live:
            yield from self._wait_until(self._clock.mono_s() + self._too_early_s())
        elif self.source.paced and self._speed != "max" and self._opening is not None:
            heard_s = self._opening.cutter.heard_s
            yield from self._wait_until(opened.mono_s + heard_s / self._speed)

    def _too_early_s(self) -> float:
        """How much further ahead of the clock a live source is than it may be; else at most 0.

        What is no live sound but a file on a server would be over in a moment and dated far in
        the future.
        """
        if not (self.source.live and self.source.paced) or self._opening is None:
            return 0.0
        return self._opening.heard_until_s - self._clock.mono_s() - _MOST_AHEAD_S

    def _wait_until(self, until_s: float) -> Iterator[None]:
        while (left_s := until_s - self._clock.mono_s()) > 0:
            if self._stop.wait(min(left_s, _READ_WITHIN_S)):
                return
            if self._signs.due():
                yield None
