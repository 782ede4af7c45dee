"""Recordings into pieces: of one length, at silences, or where somebody has set labels.

The sound goes by in blocks and is written as it comes; memory stays flat.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block
from beepwatch.capture.files import open_audio, read_through
from beepwatch.errors import UnreadableAudio
from beepwatch.train.datasets.media import Media
from beepwatch.wording import counted

Samples = NDArray[np.generic]
Channel = Literal["keep", "split", "mix"] | int  # a number: that one alone, from 1

_BLOCK_S = 4.0
_LEVEL_S = 0.01
_FULL_BYTES = 1_000_000  # what is left of a disk that is full
_MARGIN_S = 0.1  # kept before and after what is no silence
_DTYPES = {"int16": "<i2", "int32": "<i4", "float32": "<f4"}
_SUBTYPES = {"s24": "PCM_24", "s32": "PCM_32", "flt": "FLOAT", "dbl": "FLOAT"}


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """How recordings are cut. Nothing set: not at all."""

    length_ms: int = 0
    keep_rest: bool = False  # of a cut to one length: what is left at the end
    at_silence: bool = False
    silence_dbfs: float = -50.0
    silence_ms: int = 500  # shorter ones do not cut


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece is of its recording."""

    start: int  # samples
    end: int  # behind the last; more than there are is up to the end
    label: str = ""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece that is on the disk."""

    file: Path
    stretch: Stretch
    number: int  # of the stretch, from 1
    channel: int  # from 1; 0: all of them, or their mean
    channels: int
    rate_hz: int
    frames: int


def stretches_of_length(rate_hz: int, length_ms: int) -> Iterator[Stretch]:
    """One after the other, without an end."""
    length = max(1, round(rate_hz * length_ms / 1_000))
    for number in count():
        yield Stretch(start=number * length, end=(number + 1) * length)


def stretches_between_silences(file: Path, cut: Cut) -> list[Stretch]:
    """What is louder than silence, with a margin. A whole recording that is silent gives none.

    Of one that breaks off, what comes before. Raises UnreadableAudio where that is nothing.
    """
    levels: list[NDArray[np.float32]] = []
    rate_hz, step, frames = 0, 1, 0
    rest = np.zeros(0, dtype=np.float32)
    try:
        for block in blocks_of(file):
            rate_hz, step = block.rate_hz, max(1, round(_LEVEL_S * block.rate_hz))
            frames += block.frames
            mono = np.concatenate([rest, block.mono()])
            whole = len(mono) // step * step
            levels.append(np.square(mono[:whole]).reshape(-1, step).mean(axis=1))
            rest = mono[whole:]
    except UnreadableAudio:
        if not levels:
            raise  # else who writes the pieces comes to the same place, and says so
    if len(rest):
        levels.append(np.square(rest).mean(keepdims=True))
    if not levels:
        return []
    loud = np.concatenate(levels) > 10 ** (cut.silence_dbfs / 10)
    longest = max(1, round(cut.silence_ms / 1_000 / _LEVEL_S))
    margin = round(_MARGIN_S * rate_hz)
    return [
        Stretch(start=max(0, first * step - margin), end=min(frames, last * step + margin))
        for first, last in _runs(loud, longest)
    ]


def _runs(loud: NDArray[np.bool_], longest_gap: int) -> list[tuple[int, int]]:
    """First and behind the last of each run of loud ones, gaps shorter than the longest closed."""
    places = np.flatnonzero(loud)
    if len(places) == 0:
        return []
    breaks = np.flatnonzero(np.diff(places) > longest_gap)
    first = places[np.concatenate([[0], breaks + 1])]
    last = places[np.concatenate([breaks, [len(places) - 1]])] + 1
    return [(int(a), int(b)) for a, b in zip(first, last, strict=True)]


def blocks_of(file: Path) -> Iterator[Block]:
    """All of a recording. Raises UnreadableAudio, after what could be decoded."""
    return read_through(open_audio(file, block_s=_BLOCK_S, libsndfile=True))


class _Open:
    """A stretch that is being written: a file for each channel that is wanted."""

    def __init__(
        self,
        stretch: Stretch,
        number: int,
        block: Block,
        subtype: str,
        channel: Channel,
        name: Path,
    ) -> None:
        self.stretch = stretch
        self._number = number
        self._rate_hz = block.rate_hz
        self._wanted = _channels_wanted(channel, block.channels)
        self._channels = block.channels if channel == "keep" else 1
        self._frames = 0
        self._names = [name.with_name(f"{name.name}.{number}.{each}.wav") for each in self._wanted]
        self._files = [
            soundfile.SoundFile(
                file, "w", block.rate_hz, self._channels, format="WAV", subtype=subtype
            )
            for file in self._names
        ]

    def write(self, columns: Samples, at: int) -> None:
        """The part of a block, which begins at sample `at`, that is of this stretch."""
        part = columns[max(0, self.stretch.start - at) : max(0, self.stretch.end - at)]
        self._frames += len(part)
        for channel, file in zip(self._wanted, self._files, strict=True):
            if channel:
                _write(file, part[:, channel - 1])
            elif self._channels == 1:
                _write(file, _mixed(part))
            else:
                _write(file, part)

    def close(self) -> list[Piece]:
        for file in self._files:
            file.flush()
            file.close()
        return [
            Piece(
                file=file,
                stretch=self.stretch,
                number=self._number,
                channel=channel,
                channels=self._channels,
                rate_hz=self._rate_hz,
                frames=self._frames,
            )
            for file, channel in zip(self._names, self._wanted, strict=True)
        ]


def _write(file: soundfile.SoundFile, samples: Samples) -> None:
    """Raises OSError: libsndfile does not say why something could not be written."""
    try:
        file.write(samples)
    except (soundfile.LibsndfileError, AssertionError) as error:
        free_bytes = shutil.disk_usage(Path(file.name).parent).free
        number = errno.ENOSPC if free_bytes < _FULL_BYTES else errno.EIO
        raise OSError(number, os.strerror(number)) from error


def _channels_wanted(channel: Channel, there: int) -> list[int]:
    if channel == "split":
        return list(range(1, there + 1))
    if isinstance(channel, int):
        if channel > there:
            raise UnreadableAudio(
                f"it has {counted(there, 'channel')}, and number {channel} is wanted. "
                "Give another --channel."
            )
        return [channel]
    return [0]


def _mixed(columns: Samples) -> Samples:
    if columns.shape[1] == 1:
        return columns[:, 0]
    mean = columns.astype(np.float64).mean(axis=1)
    mixed: Samples = np.rint(mean).astype(columns.dtype) if columns.dtype.kind == "i" else mean
    return mixed


def write_pieces(
    file: Path,
    stretches: Iterator[Stretch],
    channel: Channel,
    media: Media,
    draft: Path,
    take: Callable[[Piece], None],
) -> int:
    """Write each stretch to a draft and hand it over when it is whole; how many frames there were.

    Stretches come by their start, and may overlap. Integers stay as they are; what a lossy coder
    left gets 16 bits. Raises UnreadableAudio, after handing over what could be decoded.
    """
    open_: list[_Open] = []
    at, number, following = 0, 0, next(stretches, None)
    try:
        for block in blocks_of(file):
            columns = np.frombuffer(block.data, dtype=_DTYPES[block.sample_format])
            columns = columns.reshape(-1, block.channels)
            while following is not None and following.start < at + len(columns):
                number += 1
                subtype = _subtype(block, media)
                open_.append(_Open(following, number, block, subtype, channel, draft))
                following = next(stretches, None)
            for one in open_:
                one.write(columns, at)
            at += len(columns)
            _hand_over([one for one in open_ if one.stretch.end <= at], open_, take)
        _hand_over(list(open_), open_, take)
    except UnreadableAudio:
        _hand_over(list(open_), open_, take)
        raise
    finally:
        for one in open_:  # after any other error: what is half written is no piece
            one.close()
    return at


def _hand_over(done: list[_Open], open_: list[_Open], take: Callable[[Piece], None]) -> None:
    for one in done:
        open_.remove(one)
        for piece in one.close():
            take(piece)


def _subtype(block: Block, media: Media) -> str:
    if block.sample_format != "float32":
        return {"int16": "PCM_16", "int32": "PCM_32"}[block.sample_format]
    return _SUBTYPES.get(media.sample_format, "PCM_16")
