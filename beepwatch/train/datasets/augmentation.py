"""What may be done to a recording to make more of few, as it stands in a recipe.

    [[augment]]
    name = "far"
    steps = [{kind = "room", rt60_s = [0.3, 0.9]}, {kind = "white_noise", snr_db = [5, 20]}]

A number may be a range `[low, high]`: then it is drawn, for each file anew, from the file's seed.
Each step draws from numbers of its own, so one that is changed leaves those after it as they were.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.errors import ConfigurationError
from beepwatch.train import augment
from beepwatch.validation import shortened

Sound = NDArray[np.float32]
Sounds = Mapping[str, Sound]  # what steps mix in, by its path as the recipe has it

LONGEST_SOUND_S = 120.0  # of a file that is mixed in: what comes later is not read

_TWO = msgspec.Meta(min_length=2, max_length=2)
# Ranges are tuples of any length, held to two: of a number that has limits and a fixed tuple
# msgspec 0.22 makes a type that ends Python in its garbage collection.
_Level = Annotated[float, msgspec.Meta(ge=-60, le=120)]
_Levels = Annotated[tuple[_Level, ...], _TWO]
_Gain = Annotated[float, msgspec.Meta(ge=-120, le=60)]
_Gains = Annotated[tuple[_Gain, ...], _TWO]
_Shift = Annotated[float, msgspec.Meta(ge=-3_600, le=3_600)]
_Shifts = Annotated[tuple[_Shift, ...], _TWO]
_Factor = Annotated[float, msgspec.Meta(ge=0.25, le=4)]
_Factors = Annotated[tuple[_Factor, ...], _TWO]
_Interval = Annotated[float, msgspec.Meta(ge=-24, le=24)]
_Intervals = Annotated[tuple[_Interval, ...], _TWO]
_Ringing = Annotated[float, msgspec.Meta(ge=0.1, le=10)]
_Ringings = Annotated[tuple[_Ringing, ...], _TWO]
_Masks = Annotated[int, msgspec.Meta(ge=0, le=100)]
_Widest = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
_File = Annotated[str, msgspec.Meta(min_length=1)]


class _Step(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    def __post_init__(self) -> None:
        """Raises ValueError for a range that is upside down."""
        for name in self.__struct_fields__:
            match getattr(self, name):
                case (float() | int() as low, float() | int() as high) if low > high:
                    raise ValueError(f"{name} is [{low}, {high}]: write the lower number first")

    @property
    def files(self) -> tuple[str, ...]:
        """Sound that the step needs besides the recording's own."""
        return ()

    def heard(self, sound: Sound, rate_hz: int, rng: Generator, sounds: Sounds) -> Sound:
        """The sound after this step; `sounds` has what `files` names."""
        del rate_hz, rng, sounds
        return sound

    def masked(self, features: Sound, rng: Generator) -> Sound:
        """Features [frames, columns] after this step."""
        del rng
        return features


class WhiteNoise(_Step, frozen=True, tag="white_noise"):
    """Gaussian noise, `snr_db` below the recording's RMS. Digital silence stays silent."""

    snr_db: _Level | _Levels

    def heard(self, sound: Sound, rate_hz: int, rng: Generator, sounds: Sounds) -> Sound:
        del rate_hz, sounds
        snr_db = _drawn(rng, self.snr_db)
        return augment.over(sound, rng.standard_normal(len(sound), dtype=np.float32), snr_db)


class Roll(_Step, frozen=True, tag="roll"):
    """Later by so much; what leaves at the end comes in at the start. Negative: earlier."""

    shift_s: _Shift | _Shifts

    def heard(self, sound: Sound, rate_hz: int, rng: Generator, sounds: Sounds) -> Sound:
        del sounds
        return np.roll(sound, round(_drawn(rng, self.shift_s) * rate_hz))


class Stretch(_Step, frozen=True, tag="stretch"):
    """`factor` times as long, every pitch where it was: 2 is half as fast."""

    factor: _Factor | _Factors

    def heard(self, sound: Sound, rate_hz: int, rng: Generator, sounds: Sounds) -> Sound:
        del sounds
        return augment.stretched(sound, _drawn(rng, self.factor), rate_hz)


class Pitch(_Step, frozen=True, tag="pitch"):
    """Every pitch so much higher, as long as it was."""

    semitones: _Interval | _Intervals

    def heard(self, sound: Sound, rate_hz: int, rng: Generator, sounds: Sounds) -> Sound:
        del sounds
        return augment.pitched(sound, _drawn(rng, self.semitones), rate_hz)


class Gain(_Step, frozen=True, tag="gain"):
    """So much louder. Samples are floats: nothing is clipped."""

    gain_db: _Gain | _Gains

    def heard(self, sound: Sound, rate_hz: int, rng: Generator, sounds: Sounds) -> Sound:
        del rate_hz, sounds
        return sound * np.float32(10 ** (_drawn(rng, self.gain_db) / 20))


class Room(_Step, frozen=True, tag="room"):
    """As a room gives it back, as long as it was: one that never was, or a recorded response.

    A drawn one falls by 60 dB in `rt60_s`; of recorded ones, `files`, one is drawn, and its first
    0.8 s are used.
    """

    rt60_s: _Ringing | _Ringings | None = None
    responses: tuple[_File, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError unless it says which of both."""
        super().__post_init__()
        if (self.rt60_s is None) == (not self.responses):
            raise ValueError("a room needs either rt60_s or responses (files)")

    @property
    def files(self) -> tuple[str, ...]:
        return self.responses

    def heard(self, sound: Sound, rate_hz: int, rng: Generator, sounds: Sounds) -> Sound:
        if self.rt60_s is not None:
            room = augment.drawn_room(rng, _drawn(rng, self.rt60_s), rate_hz)
        else:
            response = sounds[self.responses[int(rng.integers(len(self.responses)))]]
            room = augment.ready_room(response, rate_hz)
        return augment.in_room(sound, room)


class Mix(_Step, frozen=True, tag="mix"):
    """Another sound, `snr_db` below the recording's RMS: a part drawn from one of `others`.

    One that is too short comes again until the recording ends.
    """

    others: Annotated[tuple[_File, ...], msgspec.Meta(min_length=1)]
    snr_db: _Level | _Levels

    @property
    def files(self) -> tuple[str, ...]:
        return self.others

    def heard(self, sound: Sound, rate_hz: int, rng: Generator, sounds: Sounds) -> Sound:
        del rate_hz
        other = sounds[self.others[int(rng.integers(len(self.others)))]]
        if len(other) < len(sound):
            other = np.resize(other, len(sound))
        start = int(rng.integers(len(other) - len(sound) + 1))
        return augment.over(sound, other[start : start + len(sound)], _drawn(rng, self.snr_db))


class SpecAugment(_Step, frozen=True, tag="spec_augment"):
    """Stretches of time and bands of columns that are covered by each column's mean.

    Of features, not of sound: the recording is heard as it is. Each mask's width is drawn from 0
    to the widest (Park et al. 2019, section 2, without its time warp).
    """

    time_masks: _Masks = 2
    widest_frames: _Widest = 20
    column_masks: _Masks = 2
    widest_columns: _Widest = 8

    def masked(self, features: Sound, rng: Generator) -> Sound:
        covered = features.copy()
        means = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        for _ in range(self.time_masks):
            covered[_stretch(rng, self.widest_frames, len(features))] = means
        for _ in range(self.column_masks):
            columns = _stretch(rng, self.widest_columns, features.shape[1])
            covered[:, columns] = means[columns]
        return covered


Step = WhiteNoise | Roll | Stretch | Pitch | Gain | Room | Mix | SpecAugment


class Augmentation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more version of each recording, or `copies` of them with other random numbers."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1)]
    copies: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


def augmented(
    pcm: Sound, rate_hz: int, steps: Sequence[Step], seed: int, sounds: Sounds | None = None
) -> Sound:
    """A recording after all steps, float32 [samples]; the same for the same arguments.

    `sounds` has what the steps mix in (`read_sounds`). What is not finite stays so.
    """
    heard = np.asarray(pcm, dtype=np.float32)
    if len(heard) == 0:
        return heard
    for number, step in enumerate(steps):
        heard = step.heard(heard, rate_hz, _numbers(seed, number), sounds or {})
    return np.asarray(heard, dtype=np.float32)


def masked(features: Sound, steps: Sequence[Step], seed: int) -> Sound:
    """Features [frames, columns] after those steps that are about features, float32."""
    covered = np.asarray(features, dtype=np.float32)
    if covered.size == 0:
        return covered
    for number, step in enumerate(steps):
        covered = step.masked(covered, _numbers(seed, number))
    return covered


def files_of(steps: Sequence[Step]) -> list[str]:
    """What else the steps read, sorted: paths as the recipe has them."""
    return sorted({file for step in steps for file in step.files})


def read_sounds(steps: Sequence[Step], directory: Path, rate_hz: int) -> dict[str, Sound]:
    """What the steps mix in, by its path, mono at `rate_hz`; paths are below `directory`.

    Of each file the first `LONGEST_SOUND_S` are read. Raises UnreadableAudio, and
    ConfigurationError for one that is silent; both name it.
    """
    return {file: _first_of(directory / file, rate_hz) for file in files_of(steps)}


def _first_of(path: Path, rate_hz: int) -> Sound:
    most = round(LONGEST_SOUND_S * rate_hz)
    pieces: list[NDArray[np.int16]] = []
    chunks = decode(path, rate_hz)
    for chunk in chunks:
        pieces.append(chunk)
        if sum(map(len, pieces)) >= most:
            break
    chunks.close()
    whole = np.concatenate(pieces)[:most] if pieces else np.zeros(0, dtype=np.int16)
    if not whole.any():
        raise ConfigurationError(
            f"{shortened(str(path))} is silent: nothing of it can be mixed in. Name another file."
        )
    return whole.astype(np.float32) / np.float32(32_768)


def _numbers(seed: int, step: int) -> Generator:
    return np.random.default_rng([seed, step])


def _drawn(rng: Generator, value: float | tuple[float, ...]) -> float:
    return rng.uniform(value[0], value[1]) if isinstance(value, tuple) else value


def _stretch(rng: Generator, widest: int, length: int) -> slice:
    width = int(rng.integers(min(widest, length) + 1))
    start = int(rng.integers(length - width + 1))
    return slice(start, start + width)
