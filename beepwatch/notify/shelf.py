"""The clip of an event, encoded once for all channels and put on the shelf as a file."""

import asyncio
from collections.abc import Callable

import structlog

from beepwatch.errors import StoreError
from beepwatch.messages import Clip
from beepwatch.notify.channels import Sound
from beepwatch.notify.clips import as_wav
from beepwatch.notify.ports import ClipStore

_log = structlog.get_logger()


class Shelf:
    """Fetches, encodes and keeps clips, one at a time and outside the event loop.

    What goes wrong with a clip is counted and logged, and never holds up the words of its alert.
    """

    def __init__(
        self, store: ClipStore, encode: Callable[[Clip], Sound], encode_within_s: float
    ) -> None:
        self._store = store
        self._encode = encode
        self._encode_within_s = encode_within_s
        self._turn = asyncio.Lock()
        self._encoding: asyncio.Future[Sound] | None = None
        self.failures = 0  # clips that could not be read, encoded in time, or kept

    async def sound(self, event_id: int) -> Sound | None:
        """The event's clip as far as it is known; None when there is none or it cannot be read."""
        async with self._turn:
            try:
                pending = await asyncio.to_thread(self._store.pending_pcm, event_id)
                if pending is None:
                    return await asyncio.to_thread(self._read, event_id)
            except (StoreError, OSError) as error:
                self._count("clip_not_read", event_id, error)
                return None
            return await self._encode_and_keep(event_id, *pending)

    async def put_away(self) -> bool:
        """Encode whatever sound still waits; False when the disk would not take one."""
        try:
            waiting = await asyncio.to_thread(self._store.pending)
        except StoreError as error:
            self._count("clips_not_listed", None, error)
            return False
        for event_id in waiting:
            sound = await self.sound(event_id)
            if sound is None or sound.path is None:
                return False
        return True

    def _read(self, event_id: int) -> Sound | None:
        path = self._store.path(event_id)
        if path is None:
            return None
        return Sound(content=path.read_bytes(), suffix=path.suffix, path=path)

    async def _encode_and_keep(self, event_id: int, revision: int, clip: Clip) -> Sound:
        try:
            sound = await self._encoded(clip)
        except TimeoutError as error:
            self._count("clip_not_encoded_in_time", event_id, error)
            sound = as_wav(clip)
        try:
            path = await asyncio.to_thread(
                self._store.keep, event_id, revision, sound.content, sound.suffix
            )
        except StoreError as error:
            self._count("clip_not_kept", event_id, error)
            return sound
        return Sound(
            content=sound.content, suffix=sound.suffix, path=path, duration_s=sound.duration_s
        )

    async def _encoded(self, clip: Clip) -> Sound:
        """In a thread of its own; none is asked while an earlier one hangs. Raises TimeoutError."""
        if self._encoding is not None and not self._encoding.done():
            raise TimeoutError("the encoder hangs")
        self._encoding = asyncio.ensure_future(asyncio.to_thread(self._encode, clip))
        sound = await asyncio.wait_for(asyncio.shield(self._encoding), self._encode_within_s)
        self._encoding = None  # it would keep the clip until the next one
        return sound

    def _count(self, event: str, event_id: int | None, error: Exception) -> None:
        self.failures += 1
        _log.warning(event, event_id=event_id, error=str(error), failures=self.failures)
