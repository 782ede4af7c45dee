"""Days of a household's sound, composed of the recordings that come with the project.

The same seed gives the same samples. Nothing is kept: an hour is made a minute at a time.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Sound = NDArray[np.float32]

RATE_HZ = 16_000
MINUTE_S = 60
_ROOT = Path(__file__).parents[1]
_CLIPS = _ROOT / "tests" / "data"
_DEMO = _ROOT / "beepwatch" / "daemon" / "demo"
_HISS_DBFS = -72.0
_APART_S = 6.0  # two sounds of one minute: further than the pauses within an episode
_OTHERS_PER_H = 90.0  # voices, a baby, a tune, a machine: sounds that are no beep
_BACKGROUNDS = (None, None, "mains_hum", "distant_traffic", "appliance_far_away")


@dataclass(frozen=True, kw_only=True)
class Beep:
    """What was laid into the stream; seconds from its beginning."""

    what: str
    onset_s: float
    offset_s: float


@dataclass(frozen=True, kw_only=True)
class Minute:
    """A minute of sound, int16 [samples], and the beeps in it."""

    pcm: NDArray[np.int16]
    beeps: tuple[Beep, ...]


class Household:
    """Iterate `minutes`: what a microphone in a home would hear."""

    def __init__(self, seed: int = 1, beeps_per_h: float = 20.0) -> None:
        self._seed = seed
        self._beeps_per_h = beeps_per_h
        self._backgrounds = {name: _clip(name) for name in _BACKGROUNDS if name}
        kitchen = _read(_DEMO / "kitchen.flac")
        with (_DEMO / "kitchen.csv").open(encoding="utf-8", newline="") as file:
            scenes = list(csv.DictReader(file))
        self._beeps = {
            "smoke alarm": _clip("smoke-alarm-16k"),
            "fire alarm": _clip("fire_alarm"),
            "three pulses": _in_a_row(_clip("smoke_alarm_pulse"), times=3, every_s=1.1),
        }
        self._others = {"baby": _clip("baby-cry-16k"), "tune": _clip("washer-melody-16k")}
        for row in scenes[1:]:
            onset_s, offset_s = float(row["onset_s"]), float(row["offset_s"])
            if offset_s - onset_s < 12:
                sounds = self._beeps if row["label"] == "beep" else self._others
                sounds[row["device"]] = _cut(kitchen, onset_s - 0.1, offset_s + 0.3)

    def minutes(self, hours: float) -> Iterator[Minute]:
        """So many hours, rounded up to whole minutes."""
        for number in range(math.ceil(hours * 60)):
            yield self._minute(number)

    def _minute(self, number: int) -> Minute:
        chance = np.random.default_rng([self._seed, number])
        samples = MINUTE_S * RATE_HZ
        mix = chance.standard_normal(samples, dtype=np.float32)
        mix *= np.float32(10 ** (_HISS_DBFS / 20))
        # What runs goes on for ten minutes.
        running = np.random.default_rng([self._seed, 1, number // 10])
        background = _BACKGROUNDS[running.integers(len(_BACKGROUNDS))]
        if background:
            sound = self._backgrounds[background]
            at = np.arange(number * samples, (number + 1) * samples)
            mix += sound[at % len(sound)] * np.float32(running.uniform(0.5, 2.0))
        beeps = []
        for name, sound, is_beep, at_s in self._laid_out(chance):
            first = round(at_s * RATE_HZ)
            mix[first : first + len(sound)] += sound * np.float32(chance.uniform(0.3, 1.0))
            if is_beep:
                onset_s = number * MINUTE_S + at_s
                beeps.append(
                    Beep(what=name, onset_s=onset_s, offset_s=onset_s + len(sound) / RATE_HZ)
                )
        pcm = np.clip(np.rint(mix * 32_768), -32_768, 32_767).astype(np.int16)
        return Minute(pcm=pcm, beeps=tuple(beeps))

    def _laid_out(self, chance: np.random.Generator) -> Iterator[tuple[str, Sound, bool, float]]:
        """What sounds in this minute and when, one after another; what does not fit is left out."""
        wanted = [(True, self._beeps)] * int(chance.poisson(self._beeps_per_h / 60))
        wanted += [(False, self._others)] * int(chance.poisson(_OTHERS_PER_H / 60))
        at_s = chance.uniform(0, 10)
        for index in chance.permutation(len(wanted)):
            is_beep, sounds = wanted[index]
            name = list(sounds)[chance.integers(len(sounds))]
            length_s = len(sounds[name]) / RATE_HZ
            if at_s + length_s > MINUTE_S - _APART_S:
                return
            yield name, sounds[name], is_beep, at_s
            at_s += length_s + _APART_S


def _clip(name: str) -> Sound:
    return _read(_CLIPS / f"{name}.flac")


def _read(path: Path) -> Sound:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1, dtype=np.float32)
    return np.asarray(soxr.resample(mono, rate_hz, RATE_HZ), dtype=np.float32)


def _cut(sound: Sound, from_s: float, to_s: float) -> Sound:
    """A part of a recording, its ends faded so that they do not click."""
    part = sound[round(from_s * RATE_HZ) : round(to_s * RATE_HZ)].copy()
    fade = np.linspace(0, 1, RATE_HZ // 50, dtype=np.float32)
    part[: len(fade)] *= fade
    part[-len(fade) :] *= fade[::-1]
    return part


def _in_a_row(sound: Sound, *, times: int, every_s: float) -> Sound:
    step = round(every_s * RATE_HZ)
    row = np.zeros(step * (times - 1) + len(sound), dtype=np.float32)
    for number in range(times):
        row[number * step : number * step + len(sound)] += sound
    return row
