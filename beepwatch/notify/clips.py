"""Raw sound to mp3 by pydub and ffmpeg, or to WAV when that fails: it is heard either way."""

import io
import os
import shutil
import threading
import warnings
import wave
from contextlib import suppress
from tempfile import NamedTemporaryFile
from typing import IO, Any

import structlog

from beepwatch.messages import Clip
from beepwatch.notify.channels import Sound

with warnings.catch_warnings():
    # pydub says these once, at import, and nobody here can mend them: the standard library's
    # audioop leaves in 3.13 (audioop-lts takes its place), some of pydub's patterns have invalid
    # escapes, and a missing ffmpeg is found and logged by `Encoder` itself.
    warnings.filterwarnings(
        "ignore", message="'audioop' is deprecated", category=DeprecationWarning
    )
    warnings.filterwarnings("ignore", message="invalid escape", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message="invalid escape", category=SyntaxWarning)
    warnings.filterwarnings("ignore", message="Couldn't find ff", category=RuntimeWarning)
    from pydub import AudioSegment, audio_segment
    from pydub.exceptions import CouldntEncodeError

BITRATE = "64k"

_log = structlog.get_logger()


class _Opened(threading.local):
    """pydub's temporary files, by the thread that encodes: none waits for another."""

    def __init__(self) -> None:
        self.files: list[IO[bytes]] = []


_opened = _Opened()


def _remembered_file(*args: Any, **kwargs: Any) -> IO[bytes]:  # noqa: ANN401 - NamedTemporaryFile's
    file: IO[bytes] = NamedTemporaryFile(*args, **kwargs)  # noqa: SIM115 - closed by `_to_mp3`
    _opened.files.append(file)
    return file


# pydub leaves its temporary files behind, open and on the disk, when ffmpeg fails. Two years of
# that fill a disk, so the files are remembered and cleared away.
audio_segment.NamedTemporaryFile = _remembered_file


class Encoder:
    """Turns clips into what a phone plays. `encode` blocks for about 80 ms: call it in a thread."""

    def __init__(self) -> None:
        self.failures = 0  # clips that went as WAV

    def encode(self, clip: Clip) -> Sound:
        """Mono mp3 at 64 kbit/s; WAV, counted and logged, when ffmpeg is missing or fails."""
        if shutil.which(AudioSegment.converter) is None:
            return self._give_up("ffmpeg is not installed", clip)
        try:
            return Sound(content=_to_mp3(clip), suffix=".mp3", duration_s=clip.duration_s)
        except (CouldntEncodeError, OSError, ValueError) as error:
            # The last line is ffmpeg's own; the ones before are its banner and the command.
            return self._give_up(str(error).strip().rpartition("\n")[2], clip)

    def _give_up(self, reason: str, clip: Clip) -> Sound:
        self.failures += 1
        _log.warning("clip_sent_as_wav", reason=reason, failures=self.failures)
        return as_wav(clip)


def as_wav(clip: Clip) -> Sound:
    """The clip in a WAV header; needs no program and cannot fail."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(clip.rate_hz)
        file.writeframes(clip.pcm)
    return Sound(content=content.getvalue(), suffix=".wav", duration_s=clip.duration_s)


def _to_mp3(clip: Clip) -> bytes:
    content = io.BytesIO()
    try:
        AudioSegment(data=clip.pcm, sample_width=2, frame_rate=clip.rate_hz, channels=1).export(
            content, format="mp3", bitrate=BITRATE, parameters=["-threads", "1"]
        )
    finally:
        while _opened.files:
            _discard(_opened.files.pop())
    return content.getvalue()


def _discard(file: IO[bytes]) -> None:
    file.close()
    with suppress(FileNotFoundError):
        os.unlink(file.name)  # noqa: PTH108 - pathlib interns names, see store/library.py
