"""Telling a failing machine from a sound one, and its faults apart, beside what is tried first.

    python -m benchmarks.machines --data DIR [--rivals] [--choosing] [--only REPORT]
    python -m benchmarks.machines --data DIR --write-banks DIR

The machine is a quadcopter: flights of mission `square` are learned from, those of `f8` judged, in
windows of 3 s, 1.5 s apart. Over them lie household recordings of the test split at an SNR that is
the ratio of the RMS of the window and of what is laid over it. "plain" is the mean and deviation of
64 log-mel bands with a Mahalanobis distance or a logistic regression, as any engineer tries first;
"plain, room" learns from the same with household sound of the train split mixed in (and, for the
faults, by linear discriminants, as what ships does); "quartiles" and "middles" are what ships, and
for strangeness, of the same numbers, Gaussian mixtures and the distance of the nearest. --rivals
adds the networks of `benchmarks/machine_rivals.py`, trained from the same windows, without and with
the same household mixed in: tens of minutes, so --only leaves out all but one report. With
--choosing, `f8` and the test split are not touched: a third of the flights of `square`, or a
direction, are held back instead, under household recordings of the dev split.
"""

import argparse
import re
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from beepwatch.classify.condition import Listener
from beepwatch.classify.faults import Diagnostician
from beepwatch.classify.novelties import Attention
from beepwatch.classify.portraits import portrait
from beepwatch.classify.spectra import RATE_HZ, WINDOW_SAMPLES, coarse
from beepwatch.train import augment
from beepwatch.train.dataset import Recording, choose, read_manifest, read_sound
from beepwatch.train.machines import household
from beepwatch.train.machines.learning import heard_in_a_room, learn_normal
from beepwatch.train.machines.naming import learn_faults
from benchmarks.machine_features import Features, Sound, middles, plain, portrayed, quartiles

SNRS_DB = (None, 10.0, 0.0, -6.0)
NORMAL_S = 300.0  # that is learned from
HOP_S = 1.5
LEARNING_HOP_S = 1.0
MIXED_DB = (-9.0, 14.0)
COPIES = 8
SEED = 7
INTACT = "0000"
PARTS, RIDGE = (2, 8), 0.2  # of Gaussian mixtures; of their covariances, as much as ships
NEIGHBOURS = (1, 20)
REPORTS = ("strangeness", "five", "sixteen", "direction", "cost")

Scoring = tuple[Callable[[Sound], Features], Callable[[Features], Features]]
Naming = tuple[Callable[[Sound], Features], Callable[[Features], list[str]]]
_FLIGHT = re.compile(r"uav_(?:normal|(?:3_4_broken_)?\d_broken_(\d{4}))_(c?cw)_(\w+)_(\d+)_ch1")


class Flight(NamedTuple):
    """One recording; `blades` has a 1 for each broken one."""

    blades: str
    direction: str
    mission: str
    number: int
    sound: Sound


class Task(NamedTuple):
    """What is learned from and what is judged."""

    known: list[Flight]
    judged: list[Flight]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--choosing", action="store_true")
    parser.add_argument("--rivals", action="store_true")
    parser.add_argument("--only", choices=REPORTS)
    parser.add_argument("--write-banks", type=Path)
    arguments = parser.parse_args()
    wanted = (arguments.only,) if arguments.only else REPORTS
    recordings = read_manifest(arguments.data)
    if arguments.write_banks:
        own = choose(recordings, "train", ["household"], redistributable_only=True)
        household.write(arguments.write_banks, sounds(arguments.data, own))
        return
    flown = flights(arguments.data, recordings)
    split = "dev" if arguments.choosing else "test"
    over = sounds(
        arguments.data, choose(recordings, split, ["household"], redistributable_only=False)
    )
    room = sounds(
        arguments.data, choose(recordings, "train", ["household"], redistributable_only=False)
    )
    faults, direction = tasks(flown, choosing=arguments.choosing)
    print(f"{len(faults.known)} flights known, {len(faults.judged)} judged")
    print("strangeness: AUC / pAUC (p = 0.1); classes: accuracy / macro F1")
    if "strangeness" in wanted:
        for task in (faults, direction) if arguments.choosing else (faults,):
            report_normal(task, over, room, rivals=arguments.rivals)
    named = (
        ("five", "five", faults, True),
        ("sixteen", "sixteen", faults, False),
        ("direction", "other direction, five", direction, True),
        ("direction", "other direction, sixteen", direction, False),
    )
    for report, name, task, five in named:
        if report in wanted:
            rivals = arguments.rivals and (five or task is faults)  # there is a goal for
            report_faults(name, task, over, room, five=five, rivals=rivals)
    if "cost" in wanted:
        report_cost(faults)


def tasks(flown: Sequence[Flight], *, choosing: bool) -> tuple[Task, Task]:
    """Faults of another mission, and of another direction."""
    square = [flight for flight in flown if flight.mission == "square"]
    if choosing:
        faults = Task(
            [flight for flight in square if flight.number % 3],
            [flight for flight in square if flight.number % 3 == 0],
        )
        directions = ("ccw", "cw")
    else:
        faults = Task(square, [flight for flight in flown if flight.mission == "f8"])
        directions = ("cw", "ccw")
    every = square if choosing else flown
    first, second = ([one for one in every if one.direction == way] for way in directions)
    return faults, Task(first, second)


def flights(data: Path, recordings: Sequence[Recording]) -> list[Flight]:
    """The propellers' recordings."""
    found = []
    for recording in recordings:
        match = _FLIGHT.search(recording.path)
        if match:
            sound = read_sound(data / recording.path, RATE_HZ)
            blades, direction, mission, number = match.groups()
            found.append(Flight(blades or INTACT, direction, mission, int(number), sound))
    return found


def sounds(data: Path, wanted: Sequence[Recording]) -> list[Sound]:
    """Recordings of a second and more, in the manifest's order."""
    read = (read_sound(data / recording.path, RATE_HZ) for recording in wanted)
    return [sound for sound in read if len(sound) >= RATE_HZ]


def cut(sound: Sound, hop_s: float) -> list[Sound]:
    """Windows of 3 s."""
    hop = round(hop_s * RATE_HZ)
    starts = range(0, len(sound) - WINDOW_SAMPLES + 1, hop)
    return [sound[first : first + WINDOW_SAMPLES] for first in starts]


def mixed(
    rng: np.random.Generator, window: Sound, others: Sequence[Sound], snr_db: float | None
) -> Sound:
    """A window with a stretch of one of the others over it, long ones drawn more often."""
    if snr_db is None:
        return window
    lengths = np.array([len(other) for other in others], dtype=float)
    while True:
        other = others[int(rng.choice(len(others), p=lengths / lengths.sum()))]
        if len(other) < WINDOW_SAMPLES:
            other = np.tile(other, -(-WINDOW_SAMPLES // len(other)))
        first = int(rng.integers(len(other) - WINDOW_SAMPLES + 1))
        piece = other[first : first + WINDOW_SAMPLES]
        if augment.rms(piece) > 1e-5:
            return augment.over(window, piece, snr_db)


def of(
    flown: Sequence[Flight],
    features: Callable[[Sound], Features],
    hop_s: float = HOP_S,
    *,
    others: Sequence[Sound] = (),
    snr_db: float | None = None,
    copies: int = 0,
) -> tuple[Features, list[str]]:
    """Features of all windows [windows, features], and the broken blades of each.

    With `copies`, each is followed by so many of the same with the others mixed in at any SNR.
    """
    rng = np.random.default_rng(SEED)
    rows, blades = [], []
    for flight in flown:
        for window in cut(flight.sound, hop_s):
            rows.append(features(mixed(rng, window, others, snr_db)))
            drawn = [mixed(rng, window, others, rng.uniform(*MIXED_DB)) for _ in range(copies)]
            rows += [features(one) for one in drawn]
            blades += [flight.blades] * (1 + copies)
    return np.stack(rows), blades


def _maker(
    known: Sequence[Flight], room: Sequence[Sound]
) -> Callable[[Callable[[Sound], Features], bool], tuple[Features, list[str]]]:
    """What is learned from: `of` all windows, alone or with household sound over copies of them."""
    return lambda features, with_room: of(
        known, features, LEARNING_HOP_S, others=room, copies=COPIES if with_room else 0
    )


def normals(flown: Sequence[Flight]) -> list[Flight]:
    """The intact ones of both directions in turn, five minutes at most."""
    intact = sorted(
        (flight for flight in flown if flight.blades == INTACT),
        key=lambda flight: (flight.number, flight.direction),
    )
    total_s = np.cumsum([len(flight.sound) / RATE_HZ for flight in intact])
    return [flight for flight, until_s in zip(intact, total_s, strict=True) if until_s <= NORMAL_S]


# What is reported


def report_normal(
    task: Task, over: Sequence[Sound], room: Sequence[Sound], *, rivals: bool
) -> None:
    """Learned from intact blades alone."""
    known = normals(task.known)
    alone, _ = of(known, plain)
    noisy, _ = of(known, plain, LEARNING_HOP_S, others=room, copies=COPIES)
    learned = Listener(learn_normal("propellers", of(known, portrayed, LEARNING_HOP_S)[0]))
    ways: dict[str, Scoring] = {
        "plain": (plain, mahalanobis(alone)),
        "plain, room": (plain, mahalanobis(noisy)),
        "quartiles": (quartiles, partial(from_nearest, learned)),
        **_others_of_the_same(of(known, quartiles, LEARNING_HOP_S)[0]),
    }
    others: Iterator[tuple[str, Scoring]] = iter(())
    if rivals:
        from benchmarks import machine_rivals  # which needs torch

        others = machine_rivals.autoencoders(_maker(known, room))
    print(f"normal sound: {len(known)} flights, {len(learned.normal.states)} operating states")
    heard = cache(lambda features, snr_db: of(task.judged, features, others=over, snr_db=snr_db))
    for name, (features, score) in chain(ways.items(), others):
        cells = []
        for snr_db in SNRS_DB:
            rows, blades = heard(features, snr_db)
            broken = [blade != INTACT for blade in blades]
            scores = score(rows)
            cells.append(
                f"{roc_auc_score(broken, scores):.3f} / "
                f"{roc_auc_score(broken, scores, max_fpr=0.1):.3f}"
            )
        print(f"  {name:28}", *cells, sep="  ", flush=True)


def mahalanobis(rows: Features) -> Callable[[Features], Features]:
    """Distance from what was learned from, by a shrunken covariance."""
    scaler = StandardScaler().fit(rows)
    covariance = LedoitWolf().fit(scaler.transform(rows))
    return lambda more: covariance.mahalanobis(scaler.transform(more))


def _others_of_the_same(spectra: Features) -> dict[str, Scoring]:
    """What else could have been learned from the very numbers whose distance ships."""
    rows = heard_in_a_room(np.random.default_rng(SEED), spectra, household.read_household())
    scaler = StandardScaler().fit(rows)
    even = scaler.transform(rows)
    ways: dict[str, Scoring] = {}
    for parts in PARTS:
        for kind in ("diag", "tied", "full"):
            mixture = GaussianMixture(
                parts, covariance_type=kind, reg_covar=RIDGE, random_state=SEED
            ).fit(even)
            ways[f"quartiles, {parts} {kind}"] = (quartiles, _unlikely(scaler, mixture))
    for count in NEIGHBOURS:
        near = NearestNeighbors(n_neighbors=count).fit(even)
        ways[f"quartiles, {count}-nearest"] = (quartiles, _far(scaler, near))
    return ways


def _unlikely(scaler: StandardScaler, mixture: GaussianMixture) -> Callable[[Features], Features]:
    return lambda more: -mixture.score_samples(scaler.transform(coarse(more)))


def _far(scaler: StandardScaler, near: NearestNeighbors) -> Callable[[Features], Features]:
    return lambda more: near.kneighbors(scaler.transform(coarse(more)))[0].mean(axis=1)


def report_faults(
    name: str,
    task: Task,
    over: Sequence[Sound],
    room: Sequence[Sound],
    *,
    five: bool,
    rivals: bool,
) -> None:
    """Which blades are broken, or how many."""

    def labels(blades: Sequence[str]) -> list[str]:
        return [str(blade.count("1")) if five else blade for blade in blades]

    alone, alone_blades = of(task.known, plain)
    noisy, noisy_blades = of(task.known, plain, LEARNING_HOP_S, others=room, copies=COPIES)
    rows, blades = of(task.known, middles, LEARNING_HOP_S)
    doctor = Diagnostician(learn_faults("propellers", rows, blades))
    ways: dict[str, Naming] = {
        "plain": (plain, _logistic(alone, labels(alone_blades))),
        "plain, room": (plain, _discriminants(noisy, labels(noisy_blades))),
        "middles": (middles, lambda more: _told(doctor, more, labels)),
    }
    others: Iterator[tuple[str, Naming]] = iter(())
    if rivals:
        from benchmarks import machine_rivals  # which needs torch

        others = machine_rivals.networks(_maker(task.known, room), labels)
    heard = cache(lambda features, snr_db: of(task.judged, features, others=over, snr_db=snr_db))
    for way, (features, tell) in chain(ways.items(), others):
        cells = []
        for snr_db in SNRS_DB:
            rows, blades = heard(features, snr_db)
            truth, told = labels(blades), tell(rows)
            right = np.mean([a == b for a, b in zip(truth, told, strict=True)])
            cells.append(f"{right:.3f} / {f1_score(truth, told, average='macro'):.3f}")
        print(f"  {name:26}{way:16}", *cells, sep="  ", flush=True)


def _logistic(rows: Features, labels: Sequence[str]) -> Callable[[Features], list[str]]:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(rows, labels)
    return lambda more: list(model.predict(more))


def _discriminants(rows: Features, labels: Sequence[str]) -> Callable[[Features], list[str]]:
    rule = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model = make_pipeline(StandardScaler(), rule).fit(rows, labels)
    return lambda more: list(model.predict(more))


def _told(
    doctor: Diagnostician, rows: Features, labels: Callable[[Sequence[str]], list[str]]
) -> list[str]:
    """The likeliest class; what several blades have in common adds up."""
    groups = labels(doctor.labels)
    names = sorted(set(groups))
    belongs = np.array([[group == name for name in names] for group in groups], dtype=np.float32)
    likeliest = (doctor.probabilities(rows) @ belongs).argmax(axis=1)
    return [names[index] for index in likeliest]


def from_nearest(learned: Listener, spectra: Features) -> Features:
    """What ships, of spectra [windows, BANDS]: [windows]."""
    return np.asarray(learned.distances(spectra).min(axis=1))


def report_cost(task: Task) -> None:
    """Of a window, and of learning half an hour."""
    windows = [augment.to_int16(one) for flight in task.known for one in cut(flight.sound, 1.0)]
    normal = learn_normal("propellers", np.stack([portrait(one) for one in windows[:100]]))
    attention = Attention(Listener(normal))
    took_ms = []
    for number, window in enumerate(windows[:300]):
        began_s = time.thread_time()
        attention.hear(portrait(window), 3.0 * number)
        took_ms.append(1e3 * (time.thread_time() - began_s))
    half, most = np.quantile(took_ms, (0.5, 0.95))
    print(f"a window: {half:.2f} ms, 95 % within {most:.2f} ms of processor time")
    wall_s, began_s = time.monotonic(), time.process_time()
    half_an_hour = [windows[number % len(windows)] for number in range(1_800)]
    learn_normal("propellers", np.stack([portrait(window) for window in half_an_hour]))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(
        f"learning 30 min: {time.monotonic() - wall_s:.1f} s, "
        f"{time.process_time() - began_s:.1f} s of processor time; "
        f"{memory_mb:.0f} MB at most in all of this run"
    )


if __name__ == "__main__":
    main()
