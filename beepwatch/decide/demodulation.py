"""A tone from moment to moment: how loud it is, and how it turns beside a pitch that is known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.005  # between two values


def demodulated(
    sound: NDArray[np.int16] | NDArray[np.float32], pitches_hz: Sequence[float], rate_hz: int
) -> NDArray[np.complex64]:
    """[tones, steps]: what there is of each pitch in every step, as one complex number.

    Its size is the mean amplitude in units of `sound` [samples], half of a sine's peak; a tone at
    the pitch itself does not turn.
    """
    samples = round(STEP_S * rate_hz)
    steps = len(sound) // samples
    blocks = sound[: steps * samples].reshape(steps, samples).astype(np.float32)
    turns = -2 * np.pi * np.asarray(pitches_hz)[:, np.newaxis] / rate_hz
    within = turns * np.arange(samples)
    parts = (np.concatenate([np.cos(within), np.sin(within)]) / samples).astype(np.float32)
    # Not `@`: for so little, threads of a BLAS cost more than they bring.
    real, imaginary = np.split(np.einsum("ts,ns->tn", parts, blocks), 2)
    from_step_to_step = np.exp(1j * turns * samples * np.arange(steps)).astype(np.complex64)
    return np.asarray((real + 1j * imaginary) * from_step_to_step, dtype=np.complex64)
