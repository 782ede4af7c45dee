"""What a clip that arrived sounds like, asked of ffmpeg and of its spectrum."""

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
BEEPS = Path(__file__).parent.parent / "data" / "smoke-alarm-16k.flac"  # pulses of half a second
BEEPS_HZ = 3_085


def decoded(sound: bytes) -> NDArray[np.int16]:
    """Any encoded sound as int16 mono at 16 kHz, by ffmpeg."""
    command = ["ffmpeg", "-v", "error", "-i", "pipe:0", "-f", "s16le", "-ac", "1"]
    done = subprocess.run(
        [*command, "-ar", str(RATE_HZ), "pipe:1"], input=sound, capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, dtype="<i2")


def loudest_hz(samples: NDArray[np.int16], above_hz: float = 500) -> float:
    """Frequency of the strongest spectral line above the rumble."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    frequencies_hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    spectrum[frequencies_hz < above_hz] = 0
    return float(frequencies_hz[spectrum.argmax()])


def with_silence(sound: Path, out: Path, before_s: float, after_s: float) -> Path:
    """The sound with silence around it, as a WAV file at 16 kHz."""
    filters = f"aresample={RATE_HZ},adelay={round(before_s * 1000)}:all=1,apad=pad_dur={after_s}"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", sound, "-af", filters, "-ac", "1", out], check=True
    )
    return out


def repeated(sound: Path, out: Path, times: int) -> Path:
    """The same again and again, as a file of the same form."""
    command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", str(times - 1), "-i", str(sound)]
    subprocess.run([*command, "-c", "copy", str(out)], check=True)
    return out
