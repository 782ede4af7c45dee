"""A split's recorded beeps: which they are, whose, and when their tones sound."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from beepwatch.train import synthesis
from beepwatch.train.dataset import Recording, choose, read_signal

RECORDED = ("beep_real", "melody")
CLEAN_SNR_DB = 15.0  # a clean file's pulses are found by level alone

# Of dev's clean sound files the one that is no chime: a timer's steady tones, an octave apart in
# turn, four times. The others glide, ring out or mix pitches, or are in train too.
CLEAN_BEEPS = {"timer_finished_alternative": (1_034.0, 2_068.0)}
# Hospital monitors: steady, repeated, and beeps. But one source fills train and dev, and 9 of the
# 12 files have a twin in train (same pitch, spectrograms alike by 0.8 and more): counted apart.
KIN_NOTE = "ICU"


def recorded_beeps(recordings: list[Recording], split: str) -> list[Recording]:
    """The split's recorded beeps; dev has but two, so clean sound files of beeps join them.

    Those whose pitch is not known are left out.
    """
    chosen = choose(recordings, split, RECORDED, redistributable_only=False)
    if split == "dev":
        clean = choose(recordings, split, ["beep_clean"], redistributable_only=False)
        chosen += [recording for recording in clean if _is_clean_beep(recording)]
    return [recording for recording in chosen if recording.pitch_hz is not None]


def _is_clean_beep(recording: Recording) -> bool:
    """Whether a clean sound file is a beep with pulses that can be told apart."""
    is_beep = is_kin(recording) or any(name in recording.path for name in CLEAN_BEEPS)
    return is_beep and recording.snr_db is not None and recording.snr_db > CLEAN_SNR_DB


def is_kin(recording: Recording) -> bool:
    """Whether the train split may hold the same device: its recall says little of strangers."""
    return recording.category == "beep_clean" and KIN_NOTE in recording.note


def read_beep(
    data: Path, recording: Recording, pulses: dict[str, list[tuple[float, float]]], rate_hz: int
) -> synthesis.Signal:
    """A recorded beep with its pulses: the listed ones, else those of its tones."""
    signal = read_signal(data, recording, pulses, rate_hz)
    if recording.path in pulses or recording.pitch_hz is None:
        return signal
    pitches_hz = next(
        (tones for name, tones in CLEAN_BEEPS.items() if name in recording.path),
        (recording.pitch_hz,),
    )
    spans = tonal_stretches(signal.sound, pitches_hz, rate_hz)
    return synthesis.Signal(
        sound=signal.sound,
        pulses=tuple(
            synthesis.Pulse(onset_s=onset_s, offset_s=offset_s, pitch_hz=pitches_hz[0])
            for onset_s, offset_s in spans
        ),
    )


def tonal_stretches(
    sound: NDArray[np.float32],
    pitches_hz: Sequence[float],
    rate_hz: int,
    below_loudest_db: float = 12.0,
) -> list[tuple[float, float]]:
    """Where a clean recording's own tones sound, in seconds: unlike its whole level, the level in
    a third of an octave around them falls between two pulses even if a room or hum goes on.

    Pauses and pulses under 30 ms are filled and dropped. Agrees with the listed pulses of the
    recorded smoke alarms within 10 ms.
    """
    step = round(0.005 * rate_hz)
    power = np.zeros(len(sound))
    for pitch_hz in pitches_hz:
        edges_hz = (pitch_hz * 2 ** (-1 / 6), min(pitch_hz * 2 ** (1 / 6), 0.49 * rate_hz))
        band = sosfiltfilt(butter(2, edges_hz, "band", fs=rate_hz, output="sos"), sound)
        power += np.convolve(band**2, np.full(2 * step, 0.5 / step), "same")
    level = np.sqrt(power[::step])
    loud = level > np.quantile(level, 0.95) * 10 ** (-below_loudest_db / 20)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]]))) * step / rate_hz
    merged: list[tuple[float, float]] = []
    for start_s, end_s in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if merged and start_s - merged[-1][1] < 0.03:
            merged[-1] = (merged[-1][0], end_s)
        else:
            merged.append((start_s, end_s))
    return [(start_s, end_s) for start_s, end_s in merged if end_s - start_s >= 0.03]


def device_of(recording: Recording) -> str:
    """The device's name: the group, or the file's where no group is known."""
    return recording.known_group or Path(recording.path).stem.rsplit("__", 1)[-1]
