"""Sounds whose every property is known, and sources that play them."""

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block, EndOfSound
from beepwatch.capture.files import decode
from beepwatch.errors import SourceError, UnreadableAudio

DATA = Path(__file__).parent.parent / "data"
RATE_HZ = 16_000


def sine(hz: float, seconds: float, peak: float, rate_hz: int = RATE_HZ) -> NDArray[np.int16]:
    """A pure tone, `peak` 1 is full scale."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.rint(32_767 * peak * np.sin(2 * np.pi * hz * time_s)).astype(np.int16)


def noise(seconds: float, rms: float, seed: int, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    """White noise in int16 steps, not rounded yet."""
    return np.random.default_rng(seed).standard_normal(round(seconds * rate_hz)) * rms


def recording(name: str, rate_hz: int = RATE_HZ) -> NDArray[np.int16]:
    """One of the clips under tests/data."""
    return np.concatenate(list(decode(DATA / name, rate_hz)))


def block(samples: NDArray[np.int16], rate_hz: int = RATE_HZ, lost_frames: int = 0) -> Block:
    """Mono samples as a driver would hand them over."""
    return Block(
        data=samples.astype("<i2").tobytes(),
        sample_format="int16",
        channels=1,
        rate_hz=rate_hz,
        lost_frames=lost_frames,
    )


def write_wav(path: Path, samples: NDArray[np.int16], rate_hz: int, channels: int = 1) -> Path:
    """Plain PCM WAV; `samples` interleaved."""
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(2)
        wav.setframerate(rate_hz)
        wav.writeframes(samples.astype("<i2").tobytes())
    return path


def sizes_until_the_error(path: Path) -> tuple[int, str]:
    """How many samples come out of a damaged recording, and what is said of it then."""
    samples = 0
    try:
        for chunk in decode(path, RATE_HZ):
            samples += chunk.size
    except UnreadableAudio as error:
        return samples, str(error)
    return samples, "no error"


def loudest_hz(samples: NDArray[np.int16], rate_hz: int) -> float:
    """Where the spectrum's peak is."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * rate_hz / samples.size)


class Script:
    """A live source that does what each opening's list says: a block, None for a wait, an error."""

    name = "script"
    live = True
    paced = False
    patience_s = 2.0

    def __init__(self, *openings: Sequence[Block | SourceError | EndOfSound | None]) -> None:
        self.openings = [list(opening) for opening in openings]
        self.opened = 0
        self.closed = 0

    def open(self) -> "Script":
        """The next opening; its first item may be the error of opening."""
        self.text = f"script {self.opened}"
        self._now = self.openings[min(self.opened, len(self.openings) - 1)]
        self._at = 0
        self.opened += 1
        if isinstance(first := self._now[0], SourceError) and len(self._now) == 1:
            raise first
        return self

    def read(self, within_s: float) -> Block | EndOfSound | None:
        """The next item; nothing more after the last."""
        del within_s
        item = self._now[self._at] if self._at < len(self._now) else None
        self._at += 1
        if isinstance(item, SourceError):
            raise item
        return item

    def close(self) -> None:
        """Counted."""
        self.closed += 1
