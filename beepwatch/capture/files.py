"""Recordings instead of a microphone.

PCM WAV is read by the standard library, at 50,000 times real time and more, without a copy.
Everything else goes through ffmpeg, which the daemon needs anyway; a scan of many files tries
libsndfile first (`capture/sndfile.py`), if it is there. The daemon does not: its recorder stays
small, and hears the same whatever else is installed.
"""

import wave
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block, EndOfSound, SampleFormat, Stream, frames_of
from beepwatch.capture.pipes import decoded_file
from beepwatch.capture.sndfile import open_sound_file
from beepwatch.capture.windows import Resampler
from beepwatch.errors import UnreadableAudio

AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".amr", ".flac", ".m4a", ".mka", ".mp3", ".mp4"}
    | {".oga", ".ogg", ".opus", ".wav", ".webm", ".wma"}
)
_WAV_FORMATS: dict[int, SampleFormat] = {2: "int16", 4: "int32"}  # by bytes per sample
_UNKNOWN_LENGTH_BYTES = 0x7FFF_0000  # written by programs that could not seek back
_DECODE_BLOCK_S = 8.0
_DECODE_WAIT_S = 0.5


class WavFile:
    """A PCM WAV file, read without any other program."""

    def __init__(self, path: Path, reader: wave.Wave_read, *, block_s: float) -> None:
        self.text = str(path)
        self._reader = reader
        self._format = _WAV_FORMATS[reader.getsampwidth()]
        self._rate_hz = reader.getframerate()
        self._channels = reader.getnchannels()
        self._frame_bytes = reader.getsampwidth() * self._channels
        self._promised = reader.getnframes()
        self._read = 0
        self._block_frames = frames_of(
            self.text, block_s=block_s, rate_hz=self._rate_hz, channels=self._channels
        )

    def read(self, within_s: float) -> Block | EndOfSound | None:
        """The next `block_s`; a file never makes anyone wait."""
        del within_s
        data = self._reader.readframes(self._block_frames)
        frames = len(data) // self._frame_bytes
        if frames == 0:
            return self._at_end()
        self._read += frames
        return Block(
            data=data[: frames * self._frame_bytes],
            sample_format=self._format,
            channels=self._channels,
            rate_hz=self._rate_hz,
        )

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _at_end(self) -> EndOfSound:
        if self._read == 0:
            raise UnreadableAudio(
                f"{self.text} is a WAV file without a single sample. "
                "Record or copy it again, or leave it out."
            )
        open_ended = self._promised * self._frame_bytes >= _UNKNOWN_LENGTH_BYTES
        if self._read < self._promised and not open_ended:
            raise UnreadableAudio(
                f"{self.text} is cut short: {self._read / self._rate_hz:.2f} s of the "
                f"{self._promised / self._rate_hz:.2f} s that its header promises. "
                "Record or copy it again."
            )
        return EndOfSound()


class AudioFile:
    """`--source file:PATH`: anything that ffmpeg reads; its time is its own."""

    live = False
    paced = True
    patience_s = float("inf")

    def __init__(self, path: Path, *, block_s: float) -> None:
        self.name = f"file:{path}"
        self._path = path
        self._block_s = block_s

    def open(self) -> Stream:
        """Raises UnreadableAudio when there is no such file or nothing in it."""
        return open_audio(self._path, block_s=self._block_s)


def open_audio(path: Path, *, block_s: float, libsndfile: bool = False) -> Stream:
    """A recording, opened. Raises UnreadableAudio, which names the path and what is wrong."""
    head = _first_bytes(path)
    stream: Stream | None = None
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        stream = _plain_wav(path, block_s)
    if stream is None and libsndfile:
        stream = open_sound_file(path, head, block_s=block_s)
    return stream or decoded_file(path, block_s=block_s)


def _first_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise UnreadableAudio(f"{path} is a directory. Name a file in it.")
        if path.exists() and not path.is_file():
            raise UnreadableAudio(
                f"{path} is no file but a pipe or a device. Name a recording, "
                "or pipe raw sound into `beepwatch run --source stdin`."
            )
        if path.stat().st_size == 0:
            raise UnreadableAudio(f"{path} is empty (0 bytes). Record or copy it again.")
        with path.open("rb") as file:
            return file.read(12)
    except FileNotFoundError:
        raise UnreadableAudio(f"{path} does not exist. Check the path.") from None
    except OSError as error:
        raise UnreadableAudio(
            f"{path} cannot be read: {error.strerror}. Check the path and its permissions."
        ) from None


def _plain_wav(path: Path, block_s: float) -> WavFile | None:
    """The file as the standard library reads it; None when it cannot."""
    try:
        reader = wave.open(str(path), "rb")  # noqa: SIM115 - WavFile closes it
    except (wave.Error, EOFError, RuntimeError):  # RuntimeError: a chunk ends beyond the file
        return None
    usable = reader.getsampwidth() in _WAV_FORMATS and reader.getnchannels() > 0
    if not usable or reader.getframerate() <= 0:
        reader.close()
        return None
    try:
        return WavFile(path, reader, block_s=block_s)
    except UnreadableAudio:
        reader.close()
        raise


def decode(path: Path, rate_hz: int) -> Generator[NDArray[np.int16], None, None]:
    """The whole recording, mono at `rate_hz`, in chunks of a few seconds, each int16 [samples].

    Memory stays flat whatever the length. A file that is cut short gives what is there, then
    raises UnreadableAudio, as every other unreadable file does.
    """
    stream = open_audio(path, block_s=_DECODE_BLOCK_S, libsndfile=True)
    resampler: Resampler | None = None
    with closing(read_through(stream)) as blocks:
        for block in blocks:
            if block.rate_hz == rate_hz and block.channels == 1 and block.sample_format == "int16":
                yield np.frombuffer(block.data, dtype="<i2")
                continue
            resampler = resampler or Resampler(block.rate_hz, rate_hz)
            yield resampler.push(block.mono())
        if resampler is not None:
            yield resampler.push(np.zeros(0, dtype=np.float32), last=True)


def read_through(stream: Stream) -> Generator[Block, None, None]:
    """The blocks of a recording, which is closed behind the last one, or once nobody wants more.

    Raises UnreadableAudio, after what could be decoded.
    """
    try:
        while not isinstance(block := stream.read(_DECODE_WAIT_S), EndOfSound):
            if block is not None:
                yield block
    finally:
        stream.close()
