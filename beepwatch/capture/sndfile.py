"""Compressed recordings through libsndfile, where the package `soundfile` is installed.

It decodes FLAC, mp3, Ogg and every WAV and AIFF two to three times as fast as ffmpeg through a
pipe, and no program has to be started for each file; the same samples come out (tested). It is
no dependency: without it, and for what it cannot open, ffmpeg decodes.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block, EndOfSound, SampleFormat, frames_of
from beepwatch.errors import UnreadableAudio

if TYPE_CHECKING:
    import soundfile

# By its first bytes, never by its name: libsndfile takes headerless files by their names' word.
_BEGINNINGS = (b"RIFF", b"RF64", b"RIFX", b"fLaC", b"OggS", b"FORM", b"ID3")
_MPEG_SYNC = 0xE0  # the upper bits of an mp3 frame's second byte; the first is 0xFF
_NO_LENGTH = 2**63 - 1  # said of a FLAC that was written through a pipe


class SoundFile:
    """An audio file that libsndfile reads block by block.

    The first block is read at once: raises soundfile.LibsndfileError if there is none to be had.
    """

    def __init__(self, path: Path, file: "soundfile.SoundFile", *, block_s: float) -> None:
        self.text = str(path)
        if file.frames == _NO_LENGTH:
            # Or soundfile seeks to where it is after every read, which fails without a length.
            file.seekable = lambda: False
        self._file = file
        self._block_frames = frames_of(
            self.text, block_s=block_s, rate_hz=file.samplerate, channels=file.channels
        )
        # 16 bits stay as they are; anything else is more precise as float, which cannot clip.
        self._format: SampleFormat = "int16" if file.subtype == "PCM_16" else "float32"
        self._read = 0
        self._ahead: NDArray[np.generic] | None = self._samples()

    def read(self, within_s: float) -> Block | EndOfSound | None:
        """The next `block_s`; a file never makes anyone wait."""
        import soundfile

        del within_s
        try:
            samples = self._samples() if self._ahead is None else self._ahead
        except soundfile.LibsndfileError as error:
            raise self._damaged(error.error_string.removeprefix("Error : ")) from None
        self._ahead = None
        if len(samples) == 0:
            return self._at_end()
        self._read += len(samples)
        return Block(
            data=samples.tobytes(),
            sample_format=self._format,
            channels=self._file.channels,
            rate_hz=self._file.samplerate,
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _samples(self) -> NDArray[np.generic]:
        """Up to a block, [frames, channels]."""
        samples: NDArray[np.generic] = self._file.read(
            self._block_frames, dtype=self._format, always_2d=True
        )
        return samples

    def _at_end(self) -> EndOfSound:
        if self._read == 0:
            raise UnreadableAudio(
                f"{self.text} holds no sound, not a single sample. "
                "Record or copy it again, or leave it out."
            )
        promised = self._file.frames
        exact = self._file.format == "FLAC" and promised != _NO_LENGTH  # an mp3's is an estimate
        if exact and self._read < promised:
            promised_s = promised / self._file.samplerate
            raise self._damaged(f"its header promises {promised_s:.2f} s")
        return EndOfSound()

    def _damaged(self, reason: str) -> UnreadableAudio:
        return UnreadableAudio(
            f"{self.text} is damaged or cut short; only {self._read / self._file.samplerate:.2f} s "
            f"could be decoded: {reason.rstrip('.')}. Record or copy it again."
        )


def open_sound_file(path: Path, head: bytes, *, block_s: float) -> SoundFile | None:
    """The recording that begins with the bytes `head`; None where ffmpeg has to try."""
    mpeg = len(head) > 1 and head[0] == 0xFF and head[1] & _MPEG_SYNC == _MPEG_SYNC
    if not mpeg and not head.startswith(_BEGINNINGS):
        return None
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: the package without its library
        return None
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # it encodes names of text only
    except soundfile.LibsndfileError:
        return None  # ffmpeg reads more formats, and words what is wrong with a file
    try:
        return SoundFile(path, file, block_s=block_s)
    except UnreadableAudio:
        file.close()
        raise
    except soundfile.LibsndfileError:
        file.close()
        return None  # ffmpeg finds more in a damaged mp3
