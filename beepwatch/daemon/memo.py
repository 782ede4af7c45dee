"""What is still to be told, in memory that outlives the messenger: for a disk that is gone then.

The supervisor holds it open. Two places take turns, so that one is whole whenever its writer dies.
Only one process at a time writes.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from beepwatch.messages import Alert

_PLACE_BYTES: Final = 16 * 1024 * 1024  # apart; what is not written to takes no memory
_HEAD: Final = struct.Struct("<QQI")  # number, length, CRC


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """An alert, and the channels that wait for it."""

    alert: Alert
    channels: tuple[str, ...]


class Memo:
    """The memory behind a descriptor."""

    def __init__(self, descriptor: int | None) -> None:
        """Without a descriptor it ends with this life."""
        self._descriptor = open_memo() if descriptor is None else descriptor
        found = [self._look(place) for place in (0, 1)]
        self._number = max(number for number, _ in found)
        self._untold: Sequence[Untold] = dict(found)[self._number]

    @property
    def untold(self) -> Sequence[Untold]:
        """What was written last, in this life or an earlier one."""
        return self._untold

    def write(self, untold: Sequence[Untold]) -> None:
        """In the place of what is there, if it is anything else."""
        if untold == self._untold:
            return
        self._number += 1
        self._untold = untold
        while len(data := msgspec.msgpack.encode(untold)) > _PLACE_BYTES - _HEAD.size:
            untold = untold[: len(untold) // 2]  # of thousands of chats
        at = self._number % 2 * _PLACE_BYTES
        os.pwrite(self._descriptor, bytes(_HEAD.size), at)
        os.pwrite(self._descriptor, data, at + _HEAD.size)
        os.pwrite(self._descriptor, _HEAD.pack(self._number, len(data), zlib.crc32(data)), at)

    def _look(self, place: int) -> tuple[int, list[Untold]]:
        """Number and content; 0 and nothing where nothing whole was written."""
        at = place * _PLACE_BYTES
        head = os.pread(self._descriptor, _HEAD.size, at)
        if len(head) < _HEAD.size:
            return 0, []
        number, size_bytes, crc = _HEAD.unpack(head)
        data = os.pread(self._descriptor, min(size_bytes, _PLACE_BYTES), at + _HEAD.size)
        if not number or zlib.crc32(data) != crc:
            return 0, []
        return number, msgspec.msgpack.decode(data, type=list[Untold])


def open_memo() -> int:
    """A descriptor for a Memo with nothing in it."""
    return os.memfd_create("beepwatch-untold")
