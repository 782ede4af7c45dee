"""A recording as a recipe wants it: one channel of floats at the recipe's rate, in pieces."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block
from beepwatch.capture.files import open_audio, read_through
from beepwatch.capture.pipes import Ffmpeg
from beepwatch.errors import UnreadableAudio
from beepwatch.train.featuring.recipe import SoundRecipe
from beepwatch.wording import counted

Floats = NDArray[np.float32]

_BLOCK_S = 10.0
_VERSION_WITHIN_S = 10.0


class Recording:
    """A file that can be gone through once; then its length and its own rate are known."""

    def __init__(self, path: Path, sound: SoundRecipe) -> None:
        self._path = path
        self._sound = sound
        self.rate_hz = 0  # the file's own
        self.decoder = ""  # where it is none of this environment's packages
        self.samples = 0  # given so far, at the recipe's rate

    def pieces(self) -> Iterator[Floats]:
        """Float32 [samples], full scale ± 1. Raises UnreadableAudio, also after good pieces."""
        stream = open_audio(self._path, block_s=_BLOCK_S, libsndfile=True)
        self.decoder = ffmpeg_version() if isinstance(stream, Ffmpeg) else ""
        resampler: soxr.ResampleStream | None = None
        with closing(read_through(stream)) as blocks:
            for block in blocks:
                self.rate_hz = block.rate_hz
                mono = self._one_channel(block)
                if block.rate_hz != self._sound.rate_hz:
                    resampler = resampler or soxr.ResampleStream(
                        block.rate_hz, self._sound.rate_hz, num_channels=1, dtype="float32"
                    )
                    mono = resampler.resample_chunk(mono)
                yield self._counted(mono)
            if resampler is not None:
                nothing = np.zeros(0, dtype=np.float32)
                yield self._counted(resampler.resample_chunk(nothing, last=True))

    def whole(self) -> Floats:
        """All of it at once."""
        pieces = list(self.pieces())
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)

    def _counted(self, samples: Floats) -> Floats:
        self.samples += len(samples)
        return samples

    def _one_channel(self, block: Block) -> Floats:
        channel = self._sound.channel
        if channel == "mean":
            return block.mono()
        if channel >= block.channels:
            raise UnreadableAudio(
                f"{self._path} has {counted(block.channels, 'channel')}, and the recipe wants "
                f"number {channel}, counted from 0. Change sound.channel, or leave the file out."
            )
        samples = np.frombuffer(block.data, dtype=block.sample_format)
        return Block(
            data=samples.reshape(-1, block.channels)[:, channel].tobytes(),
            sample_format=block.sample_format,
            channels=1,
            rate_hz=block.rate_hz,
        ).mono()


def ffmpeg_version() -> str:
    """Such as "ffmpeg 5.1.6-0+deb12u1"; "" where there is none that could be asked."""
    program = shutil.which("ffmpeg")
    return "" if program is None else _version_of(program)


@cache
def _version_of(program: str) -> str:
    try:
        said = subprocess.run(
            [program, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_WITHIN_S,
            check=False,
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = said.split()  # ffmpeg version 5.1.6-0+deb12u1 Copyright …
    return f"ffmpeg {words[2]}" if words[:2] == ["ffmpeg", "version"] and len(words) > 2 else ""
