"""What every frame of a composed clip should be answered, and where in it a beep is to be seen."""

import numpy as np
from numpy.typing import NDArray

from beepwatch.train.synthesis import Pulse

Sound = NDArray[np.float32]

TONE, OPEN = 1, -1  # in `tone_cells`: a beep is to be seen here; it may be
BLUR_S = 0.1  # after a pulse the room still rings: neither beep nor silence
LONGEST_PULSE_S = 3.0  # beyond this a tone is a motor's or an alarm's of another kind


def frame_truth(
    pulses: tuple[Pulse, ...], frames: int, frame_s: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Share of each frame filled by pulses, and weight 0 where a room may ring on."""
    starts_s = np.arange(frames) * frame_s
    truth = np.zeros(frames)
    weight = np.ones(frames)
    for pulse in pulses:
        ringing = (starts_s + frame_s > pulse.offset_s) & (starts_s < pulse.offset_s + BLUR_S)
        weight[ringing] = 0.3
        # Where a tone that was cut or outlasts every pulse is still on, the truth is open.
        weight[(starts_s > pulse.onset_s + LONGEST_PULSE_S) & (starts_s < pulse.offset_s)] = 0
        if pulse.onset_s < 0:
            weight[starts_s < pulse.offset_s] = 0.1
    for pulse in pulses:
        covered = np.minimum(starts_s + frame_s, pulse.offset_s) - np.maximum(
            starts_s, pulse.onset_s
        )
        share = np.clip(covered / frame_s, 0, 1)
        truth = np.maximum(truth, share)
        if pulse.onset_s >= 0:
            weight[(share > 0.5) & (weight > 0)] = 1.0
    return truth.astype(np.float32), weight.astype(np.float32)


def tone_cells(
    sound: Sound, back: Sound, truth: NDArray[np.float32], frame_samples: int
) -> NDArray[np.int8]:
    """Where in time and pitch the beep is to be seen, [frames, bins].

    A bin is as wide as a frame is short, 1 / frame_s Hz, from 0 Hz on. TONE where a pulse stands
    above the background and is not far weaker than its strongest bin, OPEN where it may be seen
    or rings on.
    """
    loud = cell_energy(sound, frame_samples)
    noise = cell_energy(back, frame_samples)
    strongest = loud.max(axis=1, keepdims=True) + 1e-12
    inside = (truth >= 0.5)[:, np.newaxis]
    cells = np.zeros(loud.shape, dtype=np.int8)
    cells[(loud > 0.1 * noise) & (loud > 1e-3 * loud.max())] = OPEN
    cells[inside & (loud > noise) & (loud > 0.1 * strongest)] = TONE
    return cells


def cell_energy(sound: Sound, frame_samples: int) -> NDArray[np.float32]:
    """Energy in each frame, Hann window over it and the one before, [frames, bins]."""
    padded = np.concatenate([np.zeros(frame_samples, dtype=np.float32), sound])
    spans = np.lib.stride_tricks.sliding_window_view(padded, 2 * frame_samples)[::frame_samples]
    window = np.hanning(2 * frame_samples + 1)[:-1].astype(np.float32)
    spectrum = np.abs(np.fft.rfft(spans * window, axis=1)[:, ::2])
    return np.asarray(spectrum**2, dtype=np.float32)
