"""Spectrograms as PNG, and sound as WAV, for a page."""

import io
import struct
import wave
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode

RATE_HZ = 16_000
LONGEST_S = 60.0  # of a recording that is shown and played
WIDTH, HEIGHT = 240, 104

_WINDOW_SAMPLES = 640
_TRANSFORM_SAMPLES = 2_048  # finer than the window, so that low pitches are no staircase
_LOWEST_HZ, _HIGHEST_HZ = 150.0, 7_900.0
_RANGE_DB = 55.0
_FAINTEST = 0.35  # quantile of the levels that is drawn darkest
_STOPS = (  # from faint to loud
    *((0.00, (13, 16, 33)), (0.25, (45, 32, 92)), (0.50, (138, 39, 112))),
    *((0.75, (233, 92, 72)), (0.92, (252, 190, 90)), (1.00, (255, 247, 214))),
)


def sound_of(file: Path) -> NDArray[np.int16]:
    """Mono at 16 kHz, int16 [samples], at most a minute. Raises SourceError."""
    most = round(LONGEST_S * RATE_HZ)
    pieces: list[NDArray[np.int16]] = []
    chunks = decode(file, RATE_HZ)
    try:
        for chunk in chunks:
            pieces.append(chunk)
            if sum(len(piece) for piece in pieces) >= most:
                break
    finally:
        chunks.close()
    return np.concatenate([np.zeros(0, np.int16), *pieces])[:most]


def wav_of(pcm: NDArray[np.int16]) -> bytes:
    """A WAV file of it."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())
    return written.getvalue()


def picture_of(pcm: NDArray[np.int16]) -> bytes:
    """A PNG of its spectrogram: time to the right, pitch upward in octaves."""
    return png(levels(pcm), palette())


def levels(
    pcm: NDArray[np.int16],
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    lowest_hz: float = _LOWEST_HZ,
) -> NDArray[np.uint8]:
    """How loud each pitch is at each time, 0 to 255, [height, width], the highest pitch on top.

    A row's level is that of its loudest bin, so that a thin tone stays as bright as it is.
    """
    padded = np.pad(pcm.astype(np.float32), _WINDOW_SAMPLES // 2)
    starts = np.linspace(0, max(len(padded) - _WINDOW_SAMPLES, 0), width).astype(int)
    pieces = np.stack(
        [np.resize(padded[start : start + _WINDOW_SAMPLES], _WINDOW_SAMPLES) for start in starts]
    )
    power = np.square(
        np.abs(np.fft.rfft(pieces * np.hanning(_WINDOW_SAMPLES), _TRANSFORM_SAMPLES, axis=1))
    )
    edges_hz = np.geomspace(lowest_hz, _HIGHEST_HZ, height + 1)
    bins = np.round(edges_hz * _TRANSFORM_SAMPLES / RATE_HZ).astype(int)
    rows = np.maximum.reduceat(power[:, : bins[-1] + 1], bins[:-1], axis=1)
    level_db = 10 * np.log10(rows + 1.0)
    faintest_db = np.quantile(level_db, _FAINTEST)
    range_db = max(min(float(level_db.max() - faintest_db), _RANGE_DB), 1.0)
    shown = np.clip((level_db - (level_db.max() - range_db)) / range_db, 0, 1)
    return np.asarray(np.round(shown.T[::-1] * 255), dtype=np.uint8)


def palette() -> bytes:
    """256 colours, from faint to loud."""
    places, colours = zip(*_STOPS, strict=True)
    steps = np.linspace(0, 1, 256)
    channels = [np.interp(steps, places, [colour[i] for colour in colours]) for i in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8).tobytes()


def png(pixels: NDArray[np.uint8], palette: bytes) -> bytes:
    """An indexed image. The format: W3C, PNG, third edition, chapters 5 and 11."""
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(lines, 6)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in (*chunks, (b"IEND", b"")))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
