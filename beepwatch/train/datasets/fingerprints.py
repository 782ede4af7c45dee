"""What a recording sounds like, in a few bytes: the same after mp3, at another level, cut a little.

As in Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002): each frame is
32 bits, the signs of how the energy differs between neighbouring bands and frames. What stays the
same over time gives no bits, so two recordings of one steady machine are not alike. Frames are
looked up by their parts, and a pair that shares some at one offset is compared as a whole.
"""

import base64
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.windows import Resampler

Floats = NDArray[np.float32]
Codes = NDArray[np.uint32]

RATE_HZ = 12_000
HOP_S = 0.064
LONGEST_S = 600.0  # of a recording; what comes later is not looked at
_WINDOW = 4_096  # 0.34 s: long against the hop, so that an offset of half a hop changes little
_HOP = round(HOP_S * RATE_HZ)
_BITS = 32
_LOWEST_HZ, _HIGHEST_HZ = 200.0, 5_500.0  # what lossy coders and telephones leave
_QUIET_DB = 40.0  # frames so far below the loudest say what the coder made of nothing
_PART_BITS = 16  # of a code; each half is looked up, as hardly any whole code survives
_SKETCH = 128  # parts of a recording that are looked up: those with the lowest hashes
_MOST_SHARING = 2_000  # what so many recordings have says nothing
_FEW_FRAMES = 24  # one shared part is then enough to compare
_MOST_ERRORS = 0.28  # share of bits; those of different recordings have 0.32 and more …
_MOST_ERRORS_IF_SHORT = 0.15  # … and those of very few frames, by chance, less
_SHORT_FRAMES = 16
_LEAST_FRAMES = 4
_MIDDLE = 1 << 31  # makes offsets positive
_LEAST_OVERLAP = 0.5  # of the shorter recording
_BLOCK_FRAMES = 64


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """A recording's codes, those of its quiet frames left out."""

    positions: NDArray[np.int32]  # numbers of the frames, ascending
    codes: Codes  # of each of them

    def to_text(self) -> str:
        """For a line of JSON."""
        packed = self.positions.astype("<i4").tobytes() + self.codes.astype("<u4").tobytes()
        return base64.b64encode(packed).decode()

    @classmethod
    def from_text(cls, text: str) -> "Fingerprint":
        """Back from `to_text`."""
        packed = base64.b64decode(text)
        half = len(packed) // 2
        return cls(
            positions=np.frombuffer(packed[:half], dtype="<i4"),
            codes=np.frombuffer(packed[half:], dtype="<u4"),
        )


class Fingerprinter:
    """Takes a recording in pieces; memory stays flat."""

    def __init__(self, rate_hz: int) -> None:
        self._resampler = Resampler(rate_hz, RATE_HZ)
        # Half a window of nothing before and after, so that a short sound is in several frames.
        self._pending: list[Floats] = [np.zeros(_WINDOW // 2, dtype=np.float32)]
        self._pending_samples = _WINDOW // 2
        self._energies: list[Floats] = []
        self._frames = 0

    def push(self, mono: Floats) -> None:
        """The next samples, full scale ± 1."""
        if self._frames * HOP_S < LONGEST_S:
            self._take(self._resampler.push(mono))

    def finish(self) -> Fingerprint:
        """After the last sample."""
        self.push(np.zeros(0, dtype=np.float32))
        self._take(self._resampler.push(np.zeros(0, dtype=np.float32), last=True))
        self._take(np.zeros(_WINDOW // 2 + _HOP, dtype=np.int16))
        self._analyse()
        if not self._energies:
            return Fingerprint(positions=np.zeros(0, np.int32), codes=np.zeros(0, np.uint32))
        return fingerprint_of(np.concatenate(self._energies))

    def _take(self, pcm: NDArray[np.int16]) -> None:
        self._pending.append(pcm.astype(np.float32))
        self._pending_samples += len(pcm)
        if self._pending_samples >= _WINDOW + _BLOCK_FRAMES * _HOP:
            self._analyse()

    def _analyse(self) -> None:
        """Energies of the bands of all frames that are whole."""
        samples = np.concatenate(self._pending)
        count = max(0, (len(samples) - _WINDOW) // _HOP + 1)
        for start in range(0, count, _BLOCK_FRAMES):
            many = min(_BLOCK_FRAMES, count - start)
            frames = np.lib.stride_tricks.sliding_window_view(
                samples[start * _HOP : (start + many - 1) * _HOP + _WINDOW], _WINDOW
            )[::_HOP]
            spectra = np.abs(np.fft.rfft(frames * _HANN, axis=1)) ** 2  # [frames, bins]
            self._energies.append(np.add.reduceat(spectra, _EDGES, axis=1)[:, :-1])
        self._frames += count
        rest = samples[count * _HOP :]
        self._pending, self._pending_samples = [rest], len(rest)


_HANN = np.hanning(_WINDOW).astype(np.float32)
_EDGES = np.round(np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _BITS + 2) * _WINDOW / RATE_HZ).astype(
    np.intp
)
_WEIGHTS = np.uint32(1) << np.arange(_BITS, dtype=np.uint32)


def fingerprint_of(energies: Floats) -> Fingerprint:
    """From the energies of 33 bands, [frames, bands]."""
    levels = np.log10(energies + 1e-9)
    loudness = 10 * np.log10(energies.sum(axis=1) + 1e-9)
    differences = np.diff(np.diff(levels, axis=1), axis=0)  # [frames - 1, 32]
    codes = ((differences > 0) * _WEIGHTS).sum(axis=1, dtype=np.uint32)
    loud = loudness[1:] > max(float(loudness.max()) - _QUIET_DB, 0.0)
    return Fingerprint(positions=np.flatnonzero(loud).astype(np.int32), codes=codes[loud])


def error_rate(one: Fingerprint, other: Fingerprint, offset: int) -> tuple[float, int]:
    """Share of bits that differ, and how many frames were compared, `other` moved by `offset`."""
    _, mine, its = np.intersect1d(
        one.positions, other.positions + offset, assume_unique=True, return_indices=True
    )
    if len(mine) == 0:
        return 1.0, 0
    wrong = np.bitwise_count(one.codes[mine] ^ other.codes[its]).sum()
    return float(wrong) / (_BITS * len(mine)), len(mine)


class Sketches:
    """Parts of the codes of many recordings, to find those that may be alike; 1.5 kB of each."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.uint32]] = []
        self._positions: list[NDArray[np.int32]] = []

    def add(self, fingerprint: Fingerprint) -> None:
        """The next recording; they are known by their numbers, from 0."""
        low = fingerprint.codes & np.uint32(0xFFFF)
        high = (fingerprint.codes >> np.uint32(_PART_BITS)) + np.uint32(1 << _PART_BITS)
        parts, first = np.unique(np.concatenate([low, high]), return_index=True)
        # The lowest hashes are the same ones in a copy; which, has nothing to do with the sound.
        chosen = np.argsort(parts * np.uint32(2_654_435_761), kind="stable")[:_SKETCH]
        both = np.concatenate([fingerprint.positions, fingerprint.positions])
        self._parts.append(parts[chosen])
        self._positions.append(both[first[chosen]].astype(np.int32))

    def candidates(self) -> Iterator[tuple[int, int, int]]:
        """Pairs of numbers, the lower one first, and by how many frames the second is later."""
        sizes = [len(parts) for parts in self._parts]
        if not sum(sizes):
            return
        parts = np.concatenate(self._parts)
        order = np.argsort(parts, kind="stable")
        table = parts[order]
        owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[order]
        positions = np.concatenate(self._positions)[order]
        for number, (mine, at) in enumerate(zip(self._parts, self._positions, strict=True)):
            first, last = np.searchsorted(table, mine), np.searchsorted(table, mine, side="right")
            many = np.where(last - first > _MOST_SHARING, 0, last - first)
            hits = np.repeat(first, many) + _counted(many)
            earlier = owners[hits] < number
            hits, moved = hits[earlier], np.repeat(at, many)[earlier] - positions[hits[earlier]]
            least = 1 if len(mine) <= 2 * _FEW_FRAMES else 2
            for owner, offset in _agreed(owners[hits], moved, least):
                yield owner, number, offset


def _counted(many: NDArray[np.intp]) -> NDArray[np.intp]:
    """0 … n-1 for each n, joined."""
    starts = np.cumsum(many) - many
    return np.arange(many.sum()) - np.repeat(starts, many)


def _agreed(
    owners: NDArray[np.int32], offsets: NDArray[np.int32], least: int
) -> Iterator[tuple[int, int]]:
    """For each owner the offset that most hits agree on, give or take one, if enough do."""
    pairs = (owners.astype(np.int64) << 32) + (offsets.astype(np.int64) + _MIDDLE)
    pairs, counts = np.unique(pairs, return_counts=True)
    neighbours = np.zeros_like(counts)  # hits one frame later
    neighbours[:-1] = np.where(np.diff(pairs) == 1, counts[1:], 0)
    votes = counts + neighbours
    best: dict[int, tuple[int, int]] = {}
    for pair, vote in zip(pairs[votes >= least].tolist(), votes[votes >= least], strict=True):
        owner, offset = pair >> 32, (pair & 0xFFFF_FFFF) - _MIDDLE
        best[owner] = max(best.get(owner, (0, 0)), (int(vote), offset))
    for owner, (_, offset) in best.items():
        yield owner, offset


def alike(
    sketches: Sketches, load: Callable[[int], Fingerprint]
) -> Iterator[tuple[int, int, float]]:
    """Pairs of numbers of recordings that are the same sound, and their share of wrong bits."""
    for first, second, offset in sketches.candidates():
        one, other = load(first), load(second)
        # `offset` is how much later the second is: it is moved back.
        rates = [error_rate(one, other, -offset + step) for step in (-2, -1, 0, 1)]
        errors, frames = min(rates)
        shorter = min(len(one.codes), len(other.codes))
        enough = frames >= max(_LEAST_FRAMES, _LEAST_OVERLAP * shorter)
        most = _MOST_ERRORS if frames >= _SHORT_FRAMES else _MOST_ERRORS_IF_SHORT
        if enough and errors <= most:
            yield first, second, errors
