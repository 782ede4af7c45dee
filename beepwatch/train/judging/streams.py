"""Continuous sound to judge a detector by: recorded beeps in household sound, and none at all."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import soxr
from numpy.typing import NDArray

from beepwatch.errors import UnreadableAudio
from beepwatch.train import augment, synthesis
from beepwatch.train.dataset import (
    DatasetError,
    Recording,
    choose,
    read_manifest,
    read_pulses,
    read_sound,
)
from beepwatch.train.judging.beeps import RECORDED, device_of, is_kin, read_beep, recorded_beeps
from beepwatch.wording import counted

ORDINARY = ("household", "speech", "music", "machine_normal", "machine_abnormal")
HARD = ("nature", "other")  # bells, birds, sirens, horns: an hour of them is not an hour of a home
LEAD_S, TAIL_S = 4.0, 3.0  # of background before and after a recorded beep
CROSSFADE_S = 0.25  # between two recordings: a cut would start every tone in them at once
SPEEDS = (0.9, 1.12)  # of a varied negative: tones move by up to two semitones
VARIED_PEAK_DBFS = (-30.0, -1.0)
DRAWN_RT60_S = (0.2, 0.3, 0.4, 0.5, 0.6)  # of the rooms of a split that has none
DRAWN_SEED = 60
LIVING_ROOM_S = 0.7  # RT60: beyond this a room is no furnished home's


class BeepStream(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded beep in a room with household sound."""

    pcm: NDArray[np.int16]
    pulses: tuple[tuple[float, float], ...]  # onset and offset, in seconds of this stream
    pitch_hz: float
    device: str
    snr_db: float
    kin: bool  # the train split holds sounds of the same source, perhaps of the same device
    room_s: float | None  # how long the room rings: its RT60; None if it is not known
    example: NDArray[np.float32]  # the beep as recorded, without room and household

    @property
    def is_pattern(self) -> bool:
        """Two pulses or more."""
        return len(self.pulses) > 1

    @property
    def pulse_s(self) -> float:
        """Median length of the pulses."""
        return float(np.median([offset_s - onset_s for onset_s, offset_s in self.pulses]))

    @property
    def example_pulse(self) -> tuple[float, float]:
        """The first pulse's time within `example`."""
        onset_s, offset_s = self.pulses[0]
        return onset_s - LEAD_S, offset_s - LEAD_S


class NegativeStream(msgspec.Struct, frozen=True, kw_only=True):
    """All recordings of one category, end to end, none of which holds a beep."""

    category: str
    pcm: NDArray[np.int16]
    starts_s: tuple[float, ...] = ()  # of each recording
    paths: tuple[str, ...] = ()

    def path_at(self, time_s: float) -> str:
        """Which recording sounds at a time; empty if none is known."""
        index = int(np.searchsorted(self.starts_s, time_s, side="right")) - 1
        return self.paths[max(index, 0)] if self.paths else ""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Where a beep is heard."""

    response: NDArray[np.float32]
    ringing_s: float | None


def ringing_s(recording: Recording) -> float | None:
    """The RT60 that a room response's note tells, if it does."""
    found = re.search(r"RT60 ([\d.]+) s", recording.note)
    return float(found[1]) if found else None


def shortcomings(recordings: list[Recording], split: str) -> Iterator[str]:
    """What a split lacks without which its streams are others, a sentence each."""
    chosen = choose(recordings, split, RECORDED, redistributable_only=False)
    if unknown := sum(recording.pitch_hz is None for recording in chosen):
        yield f"left out {counted(unknown, 'recording')} of beeps without f0_hz in manifest.csv"
    if not choose(recordings, split, ["rir"], redistributable_only=False):
        yield "no room responses (category rir): the rooms are made up"
    if not choose(recordings, split, (*ORDINARY, *HARD), redistributable_only=False):
        yield "nothing without a beep: false alarms cannot be told"


def check_split(data: Path, recordings: list[Recording], split: str) -> None:
    """Raises UnreadableAudio if a split has not what its streams are made of."""
    beeps = recorded_beeps(recordings, split)
    others = choose(recordings, split, ("rir", *ORDINARY, *HARD), redistributable_only=False)
    for recording in (*beeps, *others):
        if not (data / recording.path).is_file():
            raise UnreadableAudio(
                f"cannot read {data / recording.path}: there is no such file, "
                "and manifest.csv lists it. Copy it there, or take the row out."
            )
    homes = sum(recording.category == "household" for recording in others)
    if not (beeps and homes):
        splits = sorted({recording.split for recording in recordings})
        raise DatasetError(
            f"split {split!r} in {data} has {counted(len(beeps), 'beep')} of known f0_hz "
            f"and {counted(homes, 'household recording')}; some of both are needed. "
            f"Its splits: {', '.join(splits)}."
        )


def beep_streams(
    data: Path, split: str, rate_hz: int, snrs_db: Sequence[float], repeats: int, seed: int
) -> Iterator[BeepStream]:
    """Every recorded beep of a split at every SNR, `repeats` times in other rooms and sounds.

    Every other time the room is one that rings like a furnished home's, if the split has any:
    most of dev's responses are those of halls.

    SNR is that of the tones while they sound to the background, both within a third of an octave
    around the beep's pitch. Raises UnreadableAudio as `check_split` does, and DatasetError where no
    household recording is long enough to be faded into another.
    """
    recordings = read_manifest(data)
    check_split(data, recordings, split)
    pulses = read_pulses(data)
    homes = [
        read_sound(data / recording.path, rate_hz)
        for recording in choose(recordings, split, ["household"], redistributable_only=False)
    ]
    if not any(_can_be_joined(home, rate_hz) for home in homes):
        raise DatasetError(
            f"every household recording of split {split!r} is shorter than {2 * CROSSFADE_S:g} s. "
            "Add longer ones."
        )
    rooms = _rooms(data, recordings, split, rate_hz)
    homely = [room for room in rooms if room.ringing_s and room.ringing_s < LIVING_ROOM_S]
    for number, recording in enumerate(recorded_beeps(recordings, split)):
        signal = read_beep(data, recording, pulses, rate_hz)
        if not signal.pulses:
            continue
        for snr_db in snrs_db:
            for repeat in range(repeats):
                rng = np.random.default_rng([seed, number, repeat, round(snr_db) + 100])
                some = homely if homely and repeat % 2 == 0 else rooms
                room = some[int(rng.integers(len(some)))]
                yield _beep_stream(rng, signal, room, homes, recording, snr_db, rate_hz)


def _rooms(data: Path, recordings: list[Recording], split: str, rate_hz: int) -> list[Room]:
    """The split's room responses; drawn ones if it has none."""
    rooms = [
        Room(
            response=augment.ready_room(read_sound(data / recording.path, rate_hz), rate_hz),
            ringing_s=ringing_s(recording),
        )
        for recording in choose(recordings, split, ["rir"], redistributable_only=False)
    ]
    rng = np.random.default_rng(DRAWN_SEED)
    return rooms or [
        Room(response=augment.drawn_room(rng, rt60_s, rate_hz), ringing_s=rt60_s)
        for rt60_s in DRAWN_RT60_S
    ]


def _beep_stream(
    rng: np.random.Generator,
    signal: synthesis.Signal,
    room: Room,
    homes: list[NDArray[np.float32]],
    recording: Recording,
    snr_db: float,
    rate_hz: int,
) -> BeepStream:
    pcm, pulses = placed(
        rng,
        signal,
        room.response,
        lambda samples: _background(rng, homes, samples, rate_hz),
        snr_db,
        rate_hz,
    )
    return BeepStream(
        pcm=pcm,
        pulses=pulses,
        pitch_hz=signal.pitch_hz,
        device=device_of(recording),
        snr_db=snr_db,
        kin=is_kin(recording),
        room_s=room.ringing_s,
        example=signal.sound,
    )


def placed(
    rng: np.random.Generator,
    signal: synthesis.Signal,
    response: NDArray[np.float32],
    background: Callable[[int], NDArray[np.float32]],
    snr_db: float,
    rate_hz: int,
) -> tuple[NDArray[np.int16], tuple[tuple[float, float], ...]]:
    """A beep in a room, over a background of so many samples: the sound, and its pulses in it.

    The ratio is that of the tones while they sound, in a third of an octave around their pitch.
    """
    wet = augment.in_room(signal.sound, response)
    lead, tail = round(LEAD_S * rate_hz), round(TAIL_S * rate_hz)
    sound = np.concatenate([np.zeros(lead), wet, np.zeros(tail)])
    back = background(len(sound))
    tone = np.concatenate(
        [
            wet[round(pulse.onset_s * rate_hz) : round(pulse.offset_s * rate_hz)]
            for pulse in signal.pulses
        ]
    )
    loud = max(augment.band_rms(tone, signal.pitch_hz, rate_hz), 1e-9)
    noise = max(augment.band_rms(back, signal.pitch_hz, rate_hz), augment.FAINTEST_RMS)
    mixed = back + sound * (noise / loud * 10 ** (snr_db / 20))
    heard = augment.coloured(rng, mixed.astype(np.float32), rate_hz)
    peak = 10 ** (rng.uniform(-30, -1) / 20)
    pulses = ((pulse.onset_s + LEAD_S, pulse.offset_s + LEAD_S) for pulse in signal.pulses)
    return augment.to_int16(synthesis.at_peak(heard) * peak), tuple(pulses)


def _background(
    rng: np.random.Generator, homes: list[NDArray[np.float32]], samples: int, rate_hz: int
) -> NDArray[np.float32]:
    """One household recording after another until the stream is full, at equal loudness."""
    chosen: list[NDArray[np.float32]] = []
    left = samples
    while left > 0:
        sound = homes[int(rng.integers(len(homes)))]
        if _can_be_joined(sound, rate_hz):
            rms = float(np.sqrt((sound**2).mean()))
            chosen.append((sound * (0.05 / max(rms, 1e-4))).astype(np.float32))
            left -= len(sound) - round(CROSSFADE_S * rate_hz)
    return joined(chosen, rate_hz)[:samples]


def _can_be_joined(sound: NDArray[np.float32], rate_hz: int) -> bool:
    return len(sound) >= 2 * round(CROSSFADE_S * rate_hz)


def joined(sounds: Sequence[NDArray[np.float32]], rate_hz: int) -> NDArray[np.float32]:
    """Recordings end to end, each faded over into the next; those too short for it are left out."""
    fade = round(CROSSFADE_S * rate_hz)
    rising = np.linspace(0, 1, fade, dtype=np.float32)
    whole: list[NDArray[np.float32]] = []
    tail = np.zeros(0, dtype=np.float32)
    for sound in sounds:
        if not _can_be_joined(sound, rate_hz):
            continue
        body = sound.copy()
        if len(tail):
            body[:fade] = body[:fade] * rising + tail
        whole.append(body[:-fade])
        tail = body[-fade:] * rising[::-1]
    return np.concatenate([*whole, tail])


def negative_streams(data: Path, split: str, rate_hz: int) -> list[NegativeStream]:
    """One stream for each category of negatives that the split has, as recorded."""
    streams = (
        _negative_stream(category, chosen, sounds, rate_hz)
        for category, chosen, sounds in _negatives(data, split, rate_hz)
    )
    return [stream for stream in streams if len(stream.pcm)]


def varied_negatives(data: Path, split: str, rate_hz: int, variant: int) -> list[NegativeStream]:
    """The same recordings in other rooms, through other microphones, louder or softer, faster or
    slower: another draw for each `variant`, the same one every time.

    More hours to rest a threshold on; not more kinds of sound.
    """
    rooms = [
        augment.ready_room(read_sound(data / recording.path, rate_hz), rate_hz)
        for recording in choose(read_manifest(data), split, ["rir"], redistributable_only=False)
    ]
    streams: list[NegativeStream] = []
    for number, (category, chosen, sounds) in enumerate(_negatives(data, split, rate_hz)):
        rng = np.random.default_rng([variant, number])
        varied = [_varied(rng, sound, rooms, rate_hz) for sound in sounds]
        streams.append(_negative_stream(category, chosen, varied, rate_hz))
    return [stream for stream in streams if len(stream.pcm)]


def _varied(
    rng: np.random.Generator,
    sound: NDArray[np.float32],
    rooms: list[NDArray[np.float32]],
    rate_hz: int,
) -> NDArray[np.float32]:
    speed = rng.uniform(*SPEEDS)
    other = np.asarray(soxr.resample(sound, 1.0, 1.0 / speed), dtype=np.float32)
    if len(other) == 0:
        return other
    if rooms:
        other = augment.in_room(other, rooms[int(rng.integers(len(rooms)))])
    heard = augment.coloured(rng, other, rate_hz)
    peak = 10 ** (rng.uniform(*VARIED_PEAK_DBFS) / 20)
    return np.asarray(synthesis.at_peak(heard) * peak, dtype=np.float32)


def _negatives(
    data: Path, split: str, rate_hz: int
) -> Iterator[tuple[str, list[Recording], list[NDArray[np.float32]]]]:
    recordings = read_manifest(data)
    for category in (*ORDINARY, *HARD):
        chosen = choose(recordings, split, [category], redistributable_only=False)
        if chosen:
            yield (
                category,
                chosen,
                [read_sound(data / recording.path, rate_hz) for recording in chosen],
            )


def _negative_stream(
    category: str, chosen: list[Recording], sounds: list[NDArray[np.float32]], rate_hz: int
) -> NegativeStream:
    fade = round(CROSSFADE_S * rate_hz)
    starts_s: list[float] = []
    paths: list[str] = []
    samples = 0
    for recording, sound in zip(chosen, sounds, strict=True):
        if _can_be_joined(sound, rate_hz):
            starts_s.append(samples / rate_hz)
            paths.append(recording.path)
            samples += len(sound) - fade
    return NegativeStream(
        category=category,
        pcm=augment.to_int16(joined(sounds, rate_hz)),
        starts_s=tuple(starts_s),
        paths=tuple(paths),
    )
