"""Compressed recordings through libsndfile, where the package `soundfile` is installed.

It decodes FLAC, mp3, Ogg and every WAV and AIFF two to three times as fast as ffmpeg through a
pipe, and no program has to be started for each file; the same samples come out (tested). It is
no dependency: without it, and for what it cannot open, ffmpeg decodes. Of FLAC the system's own
libsndfile is faster still (`capture/flac.py`).
"""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block, EndOfSound, SampleFormat, frames_of
from beepwatch.capture.flac import NO_LENGTH, Flac, Undecodable, system_library
from beepwatch.errors import UnreadableAudio

if TYPE_CHECKING:
    import soundfile

# By its first bytes, never by its name: libsndfile takes headerless files by their names' word.
_BEGINNINGS = (b"RIFF", b"RF64", b"RIFX", b"fLaC", b"OggS", b"FORM", b"ID3")
_MPEG_SYNC = 0xE0  # the upper bits of an mp3 frame's second byte; the first is 0xFF


class Decoder(Protocol):
    """A file that a libsndfile has opened."""

    rate_hz: int
    channels: int
    sample_format: SampleFormat
    promised_frames: int | None  # by a header that knows; None: at most estimated

    def read(self, frames: int) -> NDArray[np.generic]:
        """Up to so many, [frames, channels]; none at the end. Raises Undecodable."""
        ...

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        ...


class _Packaged:
    """A file that the package `soundfile` has opened."""

    def __init__(self, file: "soundfile.SoundFile") -> None:
        has_length = file.frames != NO_LENGTH
        if not has_length:
            # Or soundfile seeks to where it is after every read, which fails without a length.
            file.seekable = lambda: False
        self._file = file
        self.close = file.close
        self.rate_hz: int = file.samplerate
        self.channels: int = file.channels
        # 16 bits stay as they are; anything else is more precise as float, which cannot clip.
        self.sample_format: SampleFormat = "int16" if file.subtype == "PCM_16" else "float32"
        is_exact = file.format == "FLAC" and has_length  # an mp3's is an estimate
        self.promised_frames: int | None = file.frames if is_exact else None

    def read(self, frames: int) -> NDArray[np.generic]:
        import soundfile

        try:
            samples: NDArray[np.generic] = self._file.read(
                frames, dtype=self.sample_format, always_2d=True
            )
        except soundfile.LibsndfileError as error:
            raise Undecodable(error.error_string) from None
        return samples


class SoundFile:
    """An audio file that libsndfile reads block by block.

    The first block is read at once: raises Undecodable if there is none to be had.
    """

    def __init__(self, path: Path, file: Decoder, *, block_s: float) -> None:
        self.text = str(path)
        self._file = file
        self._block_frames = frames_of(
            self.text, block_s=block_s, rate_hz=file.rate_hz, channels=file.channels
        )
        self._path = path
        self._blocks = 0  # that were asked for
        self._read = 0
        self._ahead: NDArray[np.generic] | None = self._samples()

    def read(self, within_s: float) -> Block | EndOfSound | None:
        """The next `block_s`; a file never makes anyone wait."""
        del within_s
        try:
            samples = self._samples() if self._ahead is None else self._ahead
        except Undecodable as error:
            raise self._damaged(str(error).removeprefix("Error : ")) from None
        self._ahead = None
        if len(samples) == 0:
            return self._at_end()
        self._read += len(samples)
        return Block(
            data=samples.tobytes(),
            sample_format=self._file.sample_format,
            channels=self._file.channels,
            rate_hz=self._file.rate_hz,
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _samples(self) -> NDArray[np.generic]:
        """Up to a block, [frames, channels]."""
        try:
            samples = self._file.read(self._block_frames)
        except Undecodable:
            # The same is said of damage wherever there is no such library: soundfile says it.
            if not isinstance(self._file, Flac) or (other := _packaged(self._path)) is None:
                raise
            self._file.close()
            self._file = other
            for _ in range(self._blocks + 1):
                samples = other.read(self._block_frames)
        self._blocks += 1
        return samples

    def _at_end(self) -> EndOfSound:
        if self._read == 0:
            raise UnreadableAudio(
                f"{self.text} holds no sound, not a single sample. "
                "Record or copy it again, or leave it out."
            )
        promised = self._file.promised_frames
        if promised is not None and self._read < promised:
            promised_s = promised / self._file.rate_hz
            raise self._damaged(f"its header promises {promised_s:.2f} s")
        return EndOfSound()

    def _damaged(self, reason: str) -> UnreadableAudio:
        return UnreadableAudio(
            f"{self.text} is damaged or cut short; only {self._read / self._file.rate_hz:.2f} s "
            f"could be decoded: {reason.rstrip('.')}. Record or copy it again."
        )


def open_sound_file(path: Path, head: bytes, *, block_s: float) -> SoundFile | None:
    """The recording that begins with the bytes `head`; None where ffmpeg has to try."""
    mpeg = len(head) > 1 and head[0] == 0xFF and head[1] & _MPEG_SYNC == _MPEG_SYNC
    if not mpeg and not head.startswith(_BEGINNINGS):
        return None
    file = _opened(path, head)
    if file is None:
        return None  # ffmpeg reads more formats, and words what is wrong with a file
    try:
        return SoundFile(path, file, block_s=block_s)
    except UnreadableAudio:
        file.close()
        raise
    except Undecodable:
        file.close()
        return None  # ffmpeg finds more in a damaged mp3


def _opened(path: Path, head: bytes) -> Decoder | None:
    try:
        import soundfile  # noqa: F401 - without it nothing is read by any libsndfile
    except (ImportError, OSError):  # OSError: the package without its library
        return None
    if head.startswith(b"fLaC") and (library := system_library()) is not None:
        with contextlib.suppress(Undecodable):
            return Flac(library, path)
    return _packaged(path)


def _packaged(path: Path) -> Decoder | None:
    import soundfile

    try:
        return _Packaged(soundfile.SoundFile(os.fsencode(path)))  # it encodes names of text only
    except soundfile.LibsndfileError:
        return None
