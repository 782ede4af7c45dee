"""Recordings whose properties are known, as real files."""

import subprocess
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
Pcm = NDArray[np.int16]


def noise(seed: int, seconds: float = 4.0, peak: float = 0.3) -> Pcm:
    """Something that goes on and changes, as a machine does, [samples]."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=round(seconds * RATE_HZ))
    swell = 1 + 0.5 * np.sin(np.arange(len(samples)) / RATE_HZ * 2 * np.pi * rng.uniform(0.5, 2))
    sound = np.convolve(samples * swell, rng.normal(size=30), mode="same")
    return scaled(sound, peak)


def scaled(sound: NDArray[np.floating], peak: float) -> Pcm:
    pcm: Pcm = np.rint(sound / np.abs(sound).max() * peak * 32_767).astype(np.int16)
    return pcm


def write(path: Path, pcm: Pcm, rate_hz: int = RATE_HZ) -> Path:
    """A 16 bit WAV of [samples] or [samples, channels]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if pcm.ndim == 1 else pcm.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.ascontiguousarray(pcm, dtype="<i2").tobytes())
    return path


def read(path: Path) -> Pcm:
    """The samples of a 16 bit WAV, [samples, channels]."""
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        data = file.readframes(file.getnframes())
        return np.frombuffer(data, dtype="<i2").reshape(-1, file.getnchannels())


def convert(source: Path, target: Path, *options: str) -> Path:
    """By ffmpeg, which knows the format by the target's name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(source), *options, str(target)]
    subprocess.run(command, check=True, timeout=60)
    return target
