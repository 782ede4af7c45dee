"""What a microphone has heard lately, in memory that outlives the recorder.

The supervisor holds it open, each recorder writes into it, and after one that was killed the next
begins with what no window held. Slots take turns: a buffer each, as PortAudio hands it over, seven
a second. Nothing waits and nothing is locked. A buffer that was being written when its writer died
has no number, and is passed over.

Only one process at a time writes. Loads nothing heavy, since a recorder opens its microphone first.
"""

import dataclasses
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from beepwatch.capture.blocks import SIZE_BYTES, Block, SampleFormat

_SLOTS: Final = 27  # 4 s: a life that dies before its first window leaves all that it has heard
_SLOT_BYTES: Final = 128 * 1024  # what is not written to takes no memory
_SIZE_BYTES: Final = _SLOTS * _SLOT_BYTES + mmap.PAGESIZE
_TOLD: Final = struct.Struct("<d")
_NUMBER: Final = struct.Struct("<Q")
#: Number, the writer's process, rate, channels, format, frames, arrived_s, age_s
_HEAD: Final = struct.Struct("<QIIIIIdd")
_FORMATS: Final[tuple[SampleFormat, ...]] = ("int16", "int32", "float32")
_UNFINISHED: Final = 0  # the number of a buffer that is being written


class Heard(NamedTuple):
    """A buffer as PortAudio handed it over."""

    data: bytes
    rate_hz: int
    channels: int
    sample_format: SampleFormat
    frames: int
    arrived_s: float  # monotonic
    age_s: float  # how long before that its first frame was heard

    @property
    def began_s(self) -> float:
        """When its first frame was heard."""
        return self.arrived_s - self.age_s

    @property
    def ended_s(self) -> float:
        """When its last frame was heard."""
        return min(self.arrived_s, self.began_s + self.frames / self.rate_hz)

    def after(self, moment_s: float) -> Block | None:
        """What of it was heard later than that."""
        told = min(max(0, round((moment_s - self.began_s) * self.rate_hz)), self.frames)
        if told == self.frames:
            return None
        return Block(
            data=self.data[told * len(self.data) // self.frames :],
            sample_format=self.sample_format,
            channels=self.channels,
            rate_hz=self.rate_hz,
            captured_mono_s=self.ended_s,
        )


class Keepsake:
    """The memory behind a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _SIZE_BYTES)
        self._writer = os.getpid()
        self._number = max((number for number, _ in self._slots()), default=0)

    def keep(self, heard: Heard) -> None:
        """Write it over the oldest one. One that is too large is missing from what is kept."""
        self._number += 1
        at = mmap.PAGESIZE + self._number % _SLOTS * _SLOT_BYTES
        size_bytes = len(heard.data)
        if not heard.frames or _HEAD.size + size_bytes > _SLOT_BYTES:
            _NUMBER.pack_into(self._memory, at, _UNFINISHED)
            return
        _HEAD.pack_into(
            self._memory,
            at,
            _UNFINISHED,
            self._writer,
            heard.rate_hz,
            heard.channels,
            _FORMATS.index(heard.sample_format),
            heard.frames,
            heard.arrived_s,
            heard.age_s,
        )
        self._memory[at + _HEAD.size : at + _HEAD.size + size_bytes] = heard.data
        _NUMBER.pack_into(self._memory, at, self._number)

    def told(self, until_s: float) -> None:
        """What was heard before this moment has left the recorder."""
        _TOLD.pack_into(self._memory, 0, until_s)

    def untold(self) -> list[Block]:
        """What was heard since, oldest first, with what is missing between."""
        (told_s,) = _TOLD.unpack_from(self._memory, 0)
        blocks: list[Block] = []
        writer = None
        for _, at in sorted(self._slots()):
            before, (writer, heard) = writer, self._read(at)
            block = heard.after(told_s)
            if block is not None:
                goes_on = not blocks or writer == before
                blocks.append(block if goes_on else following(blocks[-1], block))
        return blocks

    def _slots(self) -> Iterator[tuple[int, int]]:
        """Number and place of each buffer."""
        for at in range(mmap.PAGESIZE, _SIZE_BYTES, _SLOT_BYTES):
            (number,) = _NUMBER.unpack_from(self._memory, at)
            if number:
                yield number, at

    def _read(self, at: int) -> tuple[int, Heard]:
        """Who has written it, and what."""
        _, writer, rate_hz, channels, form, frames, arrived_s, age_s = _HEAD.unpack_from(
            self._memory, at
        )
        sample_format = _FORMATS[form]
        size_bytes = frames * channels * SIZE_BYTES[sample_format]
        heard = Heard(
            data=self._memory[at + _HEAD.size : at + _HEAD.size + size_bytes],
            rate_hz=rate_hz,
            channels=channels,
            sample_format=sample_format,
            frames=frames,
            arrived_s=arrived_s,
            age_s=age_s,
        )
        return writer, heard


def following(before: Block, block: Block) -> Block:
    """The block of another recorder, with what is missing between the two by their times."""
    assert before.captured_mono_s is not None  # noqa: S101 - both are of a microphone
    assert block.captured_mono_s is not None  # noqa: S101
    began_s = block.captured_mono_s - block.frames / block.rate_hz
    gap_s = max(0.0, began_s - before.captured_mono_s)
    lost = block.lost_frames + round(gap_s * block.rate_hz)
    return dataclasses.replace(block, lost_frames=lost)


def can_follow(inherited: Sequence[Block], block: Block, *, within_s: float) -> bool:
    """Whether the first block that is heard is of the same form, and came soon enough."""
    forms = {(one.rate_hz, one.channels, one.sample_format) for one in (block, *inherited)}
    gap = following(inherited[-1], block).lost_frames - block.lost_frames
    return len(forms) == 1 and gap < within_s * block.rate_hz


def open_memory() -> int:
    """A descriptor for a Keepsake, with nothing in it: sound that is in no file, for children."""
    descriptor = os.memfd_create("beepwatch-heard")
    os.ftruncate(descriptor, _SIZE_BYTES)
    return descriptor
