"""False faults in a day of a healthy machine in a living household, and how soon a fault is found.

    python -m benchmarks.machine_days --data DIR [--choosing] [--hours 24] [--lowest-db -6]

The machine is made of its windows of 3 s, drawn at random from the flights that were not learned
from, one after another. Over it goes the household: two thirds of the time some recording for 10 s
to 5 min, at an SNR between that of --lowest-db and 20 dB: the RMS of a machine that is well, also
where it is ill, to that of the recording. A door slams once in a quarter of an hour. Splits as in
`benchmarks.machines`. Faults: 50 times 10 min of a machine that is ill from the start.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beepwatch.classify.condition import Listener
from beepwatch.classify.novelties import Attention
from beepwatch.classify.portraits import portrait
from beepwatch.classify.spectra import WINDOW_S, WINDOW_SAMPLES
from beepwatch.decide.condition import MachineWatch, Unusual
from beepwatch.train import augment
from beepwatch.train.dataset import choose, read_manifest
from beepwatch.train.machines.learning import learn_normal
from benchmarks.machine_features import Sound, portrayed
from benchmarks.machines import (
    INTACT,
    LEARNING_HOP_S,
    Flight,
    cut,
    flights,
    normals,
    of,
    sounds,
    tasks,
)

WAIT_S = 600.0
WITHIN_S = 120.0
SEED = 11
_SLAMS_EVERY_S = 900.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--choosing", action="store_true")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--lowest-db", type=float, default=-6.0)
    arguments = parser.parse_args()
    recordings = read_manifest(arguments.data)
    task, _ = tasks(flights(arguments.data, recordings), choosing=arguments.choosing)
    split = "dev" if arguments.choosing else "test"
    home = sounds(
        arguments.data, choose(recordings, split, ["household"], redistributable_only=False)
    )
    learned = learn_normal("propellers", of(normals(task.known), portrayed, LEARNING_HOP_S)[0])
    listener = Listener(learned)
    rng = np.random.default_rng(SEED)
    well = [window for flight in task.judged if flight.blades == INTACT for window in _of(flight)]
    place = Place(
        home=home,
        loud=float(np.median([augment.rms(window) for window in well])),
        lowest_db=arguments.lowest_db,
    )
    told = told_s(listener, stream(rng, well, place, arguments.hours * 3_600))
    print(f"false faults in {arguments.hours:g} h: {len(told)}", [round(one) for one in told])
    ill = [flight for flight in task.judged if flight.blades != INTACT]
    found = []
    for number in range(arguments.faults):
        flight = ill[number % len(ill)]
        heard = stream(rng, _of(flight), place, WAIT_S)
        found.append(next(iter(told_s(listener, heard)), np.inf))
    half, most = np.quantile(found, (0.5, 0.95), method="higher")
    print(
        f"{np.sum(np.array(found) <= WITHIN_S)} of {len(found)} faults found within "
        f"{WITHIN_S:g} s; half within {half:.0f} s, 95 % within {most:.0f} s"
    )


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the machine stands."""

    home: list[Sound]
    loud: float  # RMS of the machine when it is well
    lowest_db: float  # SNR


def _of(flight: Flight) -> list[Sound]:
    return cut(flight.sound, LEARNING_HOP_S)


def stream(
    rng: np.random.Generator, machine: Sequence[Sound], place: Place, for_s: float
) -> Iterator[Sound]:
    """Windows, one after another."""
    left_s, other, gain = 0.0, place.home[0], 0.0
    for _ in range(round(for_s / WINDOW_S)):
        if left_s <= 0:
            left_s = rng.uniform(10, 300)
            other = place.home[int(rng.integers(len(place.home)))]
            if len(other) < WINDOW_SAMPLES:
                other = np.tile(other, -(-WINDOW_SAMPLES // len(other)))
            level = augment.rms(other)
            quiet = rng.random() < 1 / 3 or level < 1e-5
            snr_db = rng.uniform(place.lowest_db, 20)
            gain = 0.0 if quiet else place.loud / level * 10 ** (-snr_db / 20)
        left_s -= WINDOW_S
        first = int(rng.integers(len(other) - WINDOW_SAMPLES + 1))
        window = machine[int(rng.integers(len(machine)))]
        window = window + np.float32(gain) * other[first : first + WINDOW_SAMPLES]
        if rng.random() < WINDOW_S / _SLAMS_EVERY_S:
            window = window + slam(rng, place.loud)
        yield window


def slam(rng: np.random.Generator, loud: float) -> Sound:
    """A thump that dies away in half a second, and takes the house a second to forget."""
    time_s = np.arange(WINDOW_SAMPLES) / (WINDOW_SAMPLES / WINDOW_S)
    thump = rng.normal(0, 1, WINDOW_SAMPLES) * np.exp(-time_s / 0.15)
    return (thump * 100 * loud).astype(np.float32)


def told_s(listener: Listener, windows: Iterator[Sound]) -> list[float]:
    """When it was told that the machine sounds unusual."""
    watch, attention = MachineWatch(), Attention(listener)
    told = []
    for number, window in enumerate(windows, 1):
        now_s = number * WINDOW_S
        seen = attention.hear(portrait(augment.to_int16(window)), now_s)
        if seen is None:
            news = watch.step(None, now_s)
        else:
            news = watch.step(seen.evidence, now_s, drowned=seen.drowned)
        if isinstance(news, Unusual):
            told.append(now_s)
    return told


if __name__ == "__main__":
    main()
