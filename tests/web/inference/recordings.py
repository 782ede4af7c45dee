"""Ten seconds with a timer's three beeps, in every form that people send."""

import csv
import io
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

import beepwatch.daemon

KITCHEN = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
RATE_HZ = 16_000
FROM_S, LENGTH_S = 5.0, 10.0


@cache
def beeps() -> NDArray[np.float64]:
    """At 16 kHz, mono, full scale 1."""
    sound, rate_hz = soundfile.read(KITCHEN)
    assert rate_hz == RATE_HZ
    return np.asarray(sound[round(FROM_S * RATE_HZ) : round((FROM_S + LENGTH_S) * RATE_HZ)])


def onset_s() -> float:
    """When they begin, by the table that was written with the recording."""
    with KITCHEN.with_suffix(".csv").open(newline="") as file:
        first = next(row for row in csv.DictReader(file) if row["label"] == "beep")
    return float(first["onset_s"]) - FROM_S


def written(
    subtype: str = "PCM_16", kind: str = "WAV", rate_hz: int = RATE_HZ, channels: int = 1
) -> bytes:
    """As libsndfile writes it; every channel but the first holds the same."""
    sound = beeps() if rate_hz == RATE_HZ else soxr.resample(beeps(), RATE_HZ, rate_hz)
    file = io.BytesIO()
    soundfile.write(
        file, np.repeat(sound[:, None], channels, axis=1), rate_hz, subtype=subtype, format=kind
    )
    return file.getvalue()


def encoded(directory: Path, suffix: str) -> bytes:
    """As ffmpeg does."""
    source, made = directory / "beeps.wav", directory / f"beeps{suffix}"
    source.write_bytes(written())
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(source), str(made)]
    subprocess.run(command, check=True)
    return made.read_bytes()


def silence(seconds: float) -> bytes:
    """A WAV of nothing."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(seconds * RATE_HZ), np.int16), RATE_HZ, format="WAV")
    return file.getvalue()
