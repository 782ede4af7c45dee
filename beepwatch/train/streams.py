"""Continuous sound to judge a detector by: recorded beeps in household sound, and none at all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.train import augment, synthesis
from beepwatch.train.dataset import (
    DatasetError,
    Recording,
    choose,
    read_manifest,
    read_pulses,
    read_signal,
    read_sound,
)

ORDINARY = ("household", "speech", "music", "machine_normal", "machine_abnormal")
HARD = ("nature", "other")  # bells, birds, sirens, horns: an hour of them is not an hour of a home
LEAD_S, TAIL_S = 4.0, 3.0  # of background before and after a recorded beep
CROSSFADE_S = 0.25  # between two recordings: a cut would start every tone in them at once


class BeepStream(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded beep in a room with household sound."""

    pcm: NDArray[np.int16]
    pulses: tuple[tuple[float, float], ...]  # onset and offset, in seconds of this stream
    pitch_hz: float
    device: str
    snr_db: float

    @property
    def is_pattern(self) -> bool:
        """Two pulses or more."""
        return len(self.pulses) > 1


class NegativeStream(msgspec.Struct, frozen=True, kw_only=True):
    """All recordings of one category, end to end, none of which holds a beep."""

    category: str
    pcm: NDArray[np.int16]


def recorded_beeps(recordings: list[Recording], split: str) -> list[Recording]:
    """The split's recorded beeps; dev has but two, so its clean monitor tones serve as well."""
    chosen = choose(recordings, split, ["beep_real", "melody"], redistributable_only=False)
    if split == "dev":
        clean = choose(recordings, split, ["beep_clean"], redistributable_only=False)
        chosen += [
            recording
            for recording in clean
            if "ICU" in recording.note and recording.snr_db is not None and recording.snr_db > 15
        ]
    return [recording for recording in chosen if recording.pitch_hz is not None]


def beep_streams(
    data: Path, split: str, rate_hz: int, snrs_db: Sequence[float], repeats: int, seed: int
) -> Iterator[BeepStream]:
    """Every recorded beep of a split at every SNR, `repeats` times in other rooms and sounds.

    SNR is that of the tones while they sound to the background, both within a third of an octave
    around the beep's pitch.
    """
    recordings = read_manifest(data)
    pulses = read_pulses(data)
    homes = [
        read_sound(data / recording.path, rate_hz)
        for recording in choose(recordings, split, ["household"], redistributable_only=False)
    ]
    rooms = [
        augment.ready_room(read_sound(data / recording.path, rate_hz), rate_hz)
        for recording in choose(recordings, split, ["rir"], redistributable_only=False)
    ]
    beeps = recorded_beeps(recordings, split)
    if not (beeps and homes and rooms):
        raise DatasetError(
            f"split {split!r} in {data} has {len(beeps)} recorded beeps, {len(homes)} household "
            f"recordings and {len(rooms)} rooms; some of each are needed. Try --split dev."
        )
    for number, recording in enumerate(beeps):
        signal = read_signal(data, recording, pulses, rate_hz)
        if not signal.pulses:
            continue
        for snr_db in snrs_db:
            for repeat in range(repeats):
                rng = np.random.default_rng([seed, number, repeat, round(snr_db) + 100])
                room = rooms[int(rng.integers(len(rooms)))]
                yield _beep_stream(rng, signal, room, homes, recording.group, snr_db, rate_hz)


def _beep_stream(
    rng: np.random.Generator,
    signal: synthesis.Signal,
    room: NDArray[np.float32],
    homes: list[NDArray[np.float32]],
    device: str,
    snr_db: float,
    rate_hz: int,
) -> BeepStream:
    lead = round(LEAD_S * rate_hz)
    wet = augment.in_room(signal.sound, room)
    sound = np.concatenate([np.zeros(lead), wet, np.zeros(round(TAIL_S * rate_hz))])
    back = _background(rng, homes, len(sound), rate_hz)
    tone = np.concatenate(
        [
            wet[round(pulse.onset_s * rate_hz) : round(pulse.offset_s * rate_hz)]
            for pulse in signal.pulses
        ]
    )
    pitch_hz = signal.pitch_hz
    loud = max(augment.band_rms(tone, pitch_hz, rate_hz), 1e-9)
    noise = max(augment.band_rms(back, pitch_hz, rate_hz), augment.FAINTEST_RMS)
    mixed = back + sound * (noise / loud * 10 ** (snr_db / 20))
    heard = augment.coloured(rng, mixed.astype(np.float32), rate_hz)
    peak = 10 ** (rng.uniform(-30, -1) / 20)
    return BeepStream(
        pcm=augment.to_int16(synthesis.at_peak(heard) * peak),
        pulses=tuple((pulse.onset_s + LEAD_S, pulse.offset_s + LEAD_S) for pulse in signal.pulses),
        pitch_hz=pitch_hz,
        device=device,
        snr_db=snr_db,
    )


def _background(
    rng: np.random.Generator, homes: list[NDArray[np.float32]], samples: int, rate_hz: int
) -> NDArray[np.float32]:
    """One household recording after another until the stream is full, at equal loudness."""
    chosen: list[NDArray[np.float32]] = []
    left = samples
    while left > 0:
        sound = homes[int(rng.integers(len(homes)))]
        rms = float(np.sqrt((sound**2).mean()))
        chosen.append((sound * (0.05 / max(rms, 1e-4))).astype(np.float32))
        left -= len(sound) - round(CROSSFADE_S * rate_hz)
    return joined(chosen, rate_hz)[:samples]


def joined(sounds: Sequence[NDArray[np.float32]], rate_hz: int) -> NDArray[np.float32]:
    """Recordings end to end, each faded over into the next."""
    fade = round(CROSSFADE_S * rate_hz)
    rising = np.linspace(0, 1, fade, dtype=np.float32)
    whole: list[NDArray[np.float32]] = []
    tail = np.zeros(0, dtype=np.float32)
    for sound in sounds:
        if len(sound) < 2 * fade:
            continue
        body = sound.copy()
        if len(tail):
            body[:fade] = body[:fade] * rising + tail
        whole.append(body[:-fade])
        tail = body[-fade:] * rising[::-1]
    return np.concatenate([*whole, tail])


def negative_streams(data: Path, split: str, rate_hz: int) -> list[NegativeStream]:
    """One stream for each category of negatives that the split has."""
    recordings = read_manifest(data)
    streams: list[NegativeStream] = []
    for category in (*ORDINARY, *HARD):
        chosen = choose(recordings, split, [category], redistributable_only=False)
        if chosen:
            sounds = [read_sound(data / recording.path, rate_hz) for recording in chosen]
            pcm = augment.to_int16(joined(sounds, rate_hz))
            streams.append(NegativeStream(category=category, pcm=pcm))
    return streams
