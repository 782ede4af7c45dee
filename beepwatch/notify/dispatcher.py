"""The messenger's event loop: one lane per channel, one task that files clips, one heartbeat."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import tzinfo

import structlog

from beepwatch.clock import Clock
from beepwatch.messages import Clip, Fault
from beepwatch.notify.backoff import Waits
from beepwatch.notify.channels import Channel, Sound
from beepwatch.notify.lane import Counts, Lane
from beepwatch.notify.pause import Pause, Stopped
from beepwatch.notify.ports import ClipStore, OutboxReader
from beepwatch.notify.shelf import Shelf

_log = structlog.get_logger()


class Dispatcher:
    """Tells what is in the outbox on every channel: at least once, in order, never silently lost.

    Channels do not wait for one another. `report` hears the name of a channel that takes nothing
    until somebody mends it, once, and again when it takes messages; `beat` is called while the loop
    turns. `poke`, `run` and `drain` belong to the loop's thread; from another one use
    `loop.call_soon_threadsafe(dispatcher.poke)`.
    """

    def __init__(
        self,
        outbox: OutboxReader,
        clips: ClipStore,
        channels: Sequence[Channel],
        *,
        clock: Clock,
        encode: Callable[[Clip], Sound],
        room: str = "",
        zone: tzinfo | None = None,
        waits: Waits | None = None,
        report: Callable[[str, Fault], None],
        beat: Callable[[], None],
    ) -> None:
        self._waits = waits or Waits()
        self._beat = beat
        self._counts = Counts()
        self._shelf = Shelf(clips, encode, self._waits.encode_within_s)
        self._filing = Pause()
        self._beating = Pause()
        self._lanes = [
            Lane(
                channel,
                outbox,
                self._shelf,
                clock=clock,
                room=room,
                zone=zone,
                waits=self._waits,
                counts=self._counts,
                report=report,
            )
            for channel in channels
        ]

    @property
    def counts(self) -> dict[str, int]:
        """What was done so far, by name."""
        return {**self._counts.as_dict(), "clip_failures": self._shelf.failures}

    def poke(self) -> None:
        """There is something new in the outbox."""
        for lane in self._lanes:
            lane.pause.poke()
        self._filing.poke()

    async def sound(self, event_id: int) -> Sound | None:
        """An event's clip, as far as it is known."""
        return await self._shelf.sound(event_id)

    async def run(self, stop: asyncio.Event, finish_within_s: float = 5.0) -> None:
        """Deliver until `stop` is set; a message on its way then has `finish_within_s` to arrive.

        What is cut off stays pending and goes out after the next start. An error that is nobody's
        refusal or outage ends all of it and is raised: the process is started anew.
        """
        jobs: list[Coroutine[None, None, None]] = [lane.run() for lane in self._lanes]
        tasks = [
            asyncio.create_task(job) for job in (*jobs, self._file_clips(), self._keep_beating())
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for pause in self._pauses():
                pause.stop()
            await asyncio.wait(tasks, timeout=finish_within_s)
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, asyncio.CancelledError):
                _log.warning("message_cut_off", after_s=finish_within_s)
            elif isinstance(result, BaseException):
                raise result

    async def drain(self, within_s: float) -> bool:
        """Try everything that is due at once; False when that took longer than `within_s`.

        A channel that cannot be reached counts as tried: its alerts stay in the outbox.
        """
        self.poke()
        resting = [lane.pause.until_resting() for lane in self._lanes]
        try:
            await asyncio.wait_for(asyncio.gather(*resting, self._filing.until_resting()), within_s)
        except TimeoutError:
            _log.warning("not_drained", within_s=within_s)
            return False
        return True

    def _pauses(self) -> list[Pause]:
        return [*(lane.pause for lane in self._lanes), self._filing, self._beating]

    async def _file_clips(self) -> None:
        """Put away the sound of events that nobody is told of, and of those that grew since."""
        try:
            while True:
                all_kept = await self._shelf.put_away()
                # A full disk is not asked again at every beep.
                await self._filing.wait(self._waits.longest_idle_s, cut_short=all_kept)
        except Stopped:
            _log.debug("filing_stopped")

    async def _keep_beating(self) -> None:
        """Tell that the loop turns, also while a channel waits for a server."""
        try:
            while True:
                self._beat()
                await self._beating.wait(self._waits.beat_s)
        except Stopped:
            _log.debug("beat_stopped")
