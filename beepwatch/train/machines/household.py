"""What else is heard where a machine stands: steady spectra of household sounds, laid over it.

Powers of sounds that have nothing to do with each other add, and of their lower quartiles that is
nearly true; so a spectrum is mixed with another instead of a recording with a recording. Measured
beside mixing the sound itself it is as good, and a box needs no recordings.

The files beside this module hold spectra of the train split's household recordings that may be
passed on, steady ones and medians, each of a window of RMS 1, in steps of half a dB. Written by
`write`. The medians are laid over typical spectra: of steady sound the two are within 0.2 dB, and
of a recording that is digital silence in part a median says more than a mean of logs.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from beepwatch.classify.spectra import (
    BANDS,
    LOWER_QUARTILE,
    MEDIAN,
    WINDOW_SAMPLES,
    Floats,
    level_db,
    spectrum,
)
from beepwatch.train import augment

BANK = Path(__file__).with_name("household.bin")
TYPICAL_BANK = Path(__file__).with_name("household_typical.bin")
SNRS_DB = (-9.0, 14.0)  # drawn between
_STEP = np.float32(np.log(10) / 20)  # natural log of power: half a dB
_LOWEST = np.float32(-24.0)
_HOP_SAMPLES = WINDOW_SAMPLES // 2
_FAINTEST = 1e-5  # RMS of a window that is a sound at all
_WITHIN_DBFS = 20.0


def read_household(path: Path = BANK) -> Floats:
    """The shipped spectra, [sounds, BANDS]."""
    steps = np.frombuffer(zlib.decompress(path.read_bytes()), dtype=np.uint8)
    return steps.reshape(-1, BANDS) * _STEP + _LOWEST


def write(directory: Path, recordings: Sequence[NDArray[np.float32]]) -> None:
    """Make the files of recordings at 16 kHz, full scale 1."""
    for name, quantile in ((BANK.name, LOWER_QUARTILE), (TYPICAL_BANK.name, MEDIAN)):
        spectra = np.stack([one for sound in recordings for one in _of(sound, quantile)])
        steps = np.clip(np.round((spectra - _LOWEST) / _STEP), 0, 255).astype(np.uint8)
        (directory / name).write_bytes(zlib.compress(steps.tobytes(), 9))


def _of(sound: NDArray[np.float32], quantile: float) -> list[Floats]:
    """Spectra of a recording's windows, each of which is brought to an RMS of full scale."""
    long_enough = np.pad(sound, (0, max(0, WINDOW_SAMPLES - len(sound))), mode="wrap")
    found = []
    for first in range(0, len(long_enough) - WINDOW_SAMPLES + 1, _HOP_SAMPLES):
        window = long_enough[first : first + WINDOW_SAMPLES]
        loud = augment.rms(window)
        if loud > _FAINTEST:
            # As int16 it has to keep its peaks, so it is lowered and its spectrum raised again.
            lowered = augment.to_int16(window * np.float32(10 ** (-_WITHIN_DBFS / 20) / loud))
            found.append(spectrum(lowered, quantile) + np.float32(2 * _WITHIN_DBFS) * _STEP)
    return found


def overlaid(
    rng: Generator,
    spectra: Floats,
    household: Floats,
    copies: int,
    snrs_db: tuple[float, float] = SNRS_DB,
) -> Floats:
    """Each of the spectra [windows, BANDS] so many times, each time with another sound over it."""
    repeated = np.repeat(spectra, copies, axis=0)
    others = household[rng.integers(len(household), size=len(repeated))]
    other_db = level_db(repeated) - rng.uniform(*snrs_db, size=len(repeated)).astype(np.float32)
    return np.logaddexp(repeated, others + (other_db * 2 * _STEP)[:, None])
