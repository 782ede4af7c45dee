"""Bytes that were good, spoilt in one or two places."""

import random
import struct

GOOD = "good"  # below the working directory, what the spoilt inputs are made of
INTERESTING = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF)
INTERESTING_32 = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFF0, 44, 1_000_000)


def spoilt(good: bytes, random_: random.Random, others: list[bytes]) -> bytes:
    """A few mutations, of the first bytes twice as often as of the rest."""
    data = bytearray(good)
    for _ in range(random_.choice((1, 1, 2, 3, 6, 20))):
        head = random_.random() < 0.67
        end = min(len(data), random_.choice((16, 64, 200, 600))) if head else len(data)
        at = random_.randrange(max(1, end))
        random_.choice(_MUTATIONS)(data, at, random_, others)
    return bytes(data)


def _flip(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    if data:
        data[at % len(data)] ^= 1 << random_.randrange(8)


def _byte(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    data[at : at + 1] = bytes([random_.randrange(256)])


def _number(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    form = random_.choice(("<H", ">H", "<I", ">I"))
    values = INTERESTING if form[1] == "H" else INTERESTING_32
    packed = struct.pack(form, random_.choice((*values, random_.getrandbits(15))))
    data[at : at + len(packed)] = packed


def _cut(data: bytearray, at: int, _random: random.Random, _others: list[bytes]) -> None:
    del data[at:]


def _remove(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    del data[at : at + random_.choice((1, 2, 4, 40, 400))]


def _insert(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    data[at:at] = random_.randbytes(random_.choice((1, 2, 4, 40, 400)))


def _repeat(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    data[at:at] = data[at : at + random_.choice((4, 16, 64, 500))] * random_.choice((1, 2, 30))


def _noise(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    length = random_.choice((4, 16, 200))
    data[at : at + length] = random_.randbytes(length)


def _splice(data: bytearray, at: int, random_: random.Random, others: list[bytes]) -> None:
    other = random_.choice(others)
    data[at:] = other[random_.randrange(max(1, len(other))) :]


_MUTATIONS = (
    _flip,
    _flip,
    _byte,
    _number,
    _number,
    _cut,
    _remove,
    _insert,
    _repeat,
    _noise,
    _splice,
)
