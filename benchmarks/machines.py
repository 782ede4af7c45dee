"""Telling a failing machine from a sound one, and its faults apart, beside what is tried first.

    python -m benchmarks.machines --data DIR [--choosing] [--write-bank FILE]

The machine is a quadcopter: flights of mission `square` are learned from, those of `f8` judged, in
windows of 3 s, 1.5 s apart. Over them lie household recordings of the test split at an SNR that is
the ratio of the RMS of the window and of what is laid over it. "plain" is the mean and deviation of
64 log-mel bands with a Mahalanobis distance or a logistic regression, as any engineer tries first;
"plain, room" learns from the same with household sound of the train split mixed in (and, for the
faults, by linear discriminants, as what ships does); "quartiles" is what ships. With --choosing,
`f8` and the test split are not touched: a third of the flights of `square`, or a direction, are
held back instead, under household recordings of the dev split.
"""

import argparse
import re
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from beepwatch.classify.condition import Listener
from beepwatch.classify.faults import Diagnostician
from beepwatch.classify.novelties import Attention
from beepwatch.classify.portraits import portrait
from beepwatch.classify.spectra import RATE_HZ, WINDOW_SAMPLES, spectrum
from beepwatch.train import augment
from beepwatch.train.dataset import Recording, choose, read_manifest, read_sound
from beepwatch.train.machines import household
from beepwatch.train.machines.learning import learn_normal
from beepwatch.train.machines.naming import learn_faults

SNRS_DB = (None, 10.0, 0.0, -6.0)
NORMAL_S = 300.0  # that is learned from
HOP_S = 1.5
LEARNING_HOP_S = 1.0
MIXED_DB = (-9.0, 14.0)
COPIES = 8
SEED = 7
INTACT = "0000"

Sound = NDArray[np.float32]
Features = NDArray[np.float32]
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
    parser.add_argument("--write-bank", type=Path)
    arguments = parser.parse_args()
    recordings = read_manifest(arguments.data)
    if arguments.write_bank:
        wanted = choose(recordings, "train", ["household"], redistributable_only=True)
        household.write(arguments.write_bank, sounds(arguments.data, wanted))
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
    print(f"{len(faults.known)} flights known, {len(faults.judged)} judged; AUC / pAUC (p = 0.1)")
    report_normal(faults, over, room)
    if arguments.choosing:
        report_normal(direction, over, room)
    print("accuracy / macro F1")
    for name, task in (("", faults), ("other direction, ", direction)):
        report_faults(f"{name}five", task, over, room, five=True)
        report_faults(f"{name}sixteen", task, over, room, five=False)
    if not arguments.choosing:
        report_clips(arguments.data, recordings)
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


# Features

_FRAME, _MELS = 1_024, 64


def _mel_filters() -> Features:
    edges_mel = np.linspace(0, 2_595 * np.log10(1 + RATE_HZ / 2 / 700), _MELS + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2_595) - 1)
    line_hz = np.fft.rfftfreq(_FRAME, 1 / RATE_HZ)
    rising = (line_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - line_hz) / np.diff(edges_hz)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


_FILTERS = _mel_filters()
_WINDOW = np.hanning(_FRAME + 1)[:-1].astype(np.float32)


def plain(window: Sound) -> Features:
    """Mean and deviation over time of 64 log-mel bands, [128]."""
    frames = np.lib.stride_tricks.sliding_window_view(window, _FRAME)[:: _FRAME // 2] * _WINDOW
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    bands = np.log(power @ _FILTERS.T + 1e-8)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)]).astype(np.float32)


def quartiles(window: Sound) -> Features:
    """What ships, of full scale 1."""
    return spectrum(augment.to_int16(window))


def portrayed(window: Sound) -> Features:
    """What is learned from when all is well, of full scale 1."""
    return portrait(augment.to_int16(window))


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


def normals(flown: Sequence[Flight]) -> list[Flight]:
    """The intact ones of both directions in turn, five minutes at most."""
    intact = sorted(
        (flight for flight in flown if flight.blades == INTACT),
        key=lambda flight: (flight.number, flight.direction),
    )
    total_s = np.cumsum([len(flight.sound) / RATE_HZ for flight in intact])
    return [flight for flight, until_s in zip(intact, total_s, strict=True) if until_s <= NORMAL_S]


# What is reported


def report_normal(task: Task, over: Sequence[Sound], room: Sequence[Sound]) -> None:
    """Learned from intact blades alone."""
    known = normals(task.known)
    alone, _ = of(known, plain)
    noisy, _ = of(known, plain, LEARNING_HOP_S, others=room, copies=COPIES)
    learned = Listener(learn_normal("propellers", of(known, portrayed, LEARNING_HOP_S)[0]))
    ways = {
        "plain": (plain, _mahalanobis(alone)),
        "plain, room": (plain, _mahalanobis(noisy)),
        "quartiles": (quartiles, lambda spectra: learned.distances(spectra).min(axis=1)),
    }
    print(f"normal sound: {len(known)} flights, {len(learned.normal.states)} operating states")
    for name, (features, score) in ways.items():
        cells = []
        for snr_db in SNRS_DB:
            rows, blades = of(task.judged, features, others=over, snr_db=snr_db)
            broken = [blade != INTACT for blade in blades]
            scores = score(rows)
            cells.append(
                f"{roc_auc_score(broken, scores):.3f} / "
                f"{roc_auc_score(broken, scores, max_fpr=0.1):.3f}"
            )
        print(f"  {name:22}", *cells, sep="  ", flush=True)


def _mahalanobis(rows: Features) -> Callable[[Features], Features]:
    scaler = StandardScaler().fit(rows)
    covariance = LedoitWolf().fit(scaler.transform(rows))
    return lambda more: covariance.mahalanobis(scaler.transform(more))


def report_faults(
    name: str, task: Task, over: Sequence[Sound], room: Sequence[Sound], *, five: bool
) -> None:
    """Which blades are broken, or how many."""

    def labels(blades: Sequence[str]) -> list[str]:
        return [str(blade.count("1")) if five else blade for blade in blades]

    alone, alone_blades = of(task.known, plain)
    noisy, noisy_blades = of(task.known, plain, LEARNING_HOP_S, others=room, copies=COPIES)
    rows, blades = of(task.known, quartiles, LEARNING_HOP_S)
    doctor = Diagnostician(learn_faults("propellers", rows, blades))
    ways = {
        "plain": (plain, _logistic(alone, labels(alone_blades))),
        "plain, room": (plain, _discriminants(noisy, labels(noisy_blades))),
        "quartiles": (quartiles, lambda more: _told(doctor, more, labels)),
    }
    for way, (features, tell) in ways.items():
        cells = []
        for snr_db in SNRS_DB:
            rows, blades = of(task.judged, features, others=over, snr_db=snr_db)
            truth, told = labels(blades), tell(rows)
            right = np.mean([a == b for a, b in zip(truth, told, strict=True)])
            cells.append(f"{right:.3f} / {f1_score(truth, told, average='macro'):.3f}")
        print(f"  {name:26}{way:12}", *cells, sep="  ", flush=True)


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


def report_clips(data: Path, recordings: Sequence[Recording]) -> None:
    """The few clips of DCASE 2020 that are there: five minutes normal, the rest judged."""
    of_set = [one for one in recordings if "Zyy438" in one.path]
    normal = [one for one in of_set if one.category == "machine_normal"]
    broken = [one for one in of_set if one.category == "machine_abnormal"]
    known, held_back = normal[:30], normal[30:]

    def rows(clips: Sequence[Recording], features: Callable[[Sound], Features]) -> Features:
        found = [cut(read_sound(data / clip.path, RATE_HZ), HOP_S) for clip in clips]
        return np.stack([features(window) for windows in found for window in windows])

    learned = Listener(learn_normal("dcase", rows(known, portrayed)))
    for name, features, score in (
        ("plain", plain, _mahalanobis(rows(known, plain))),
        ("quartiles", quartiles, lambda more: learned.distances(more).min(axis=1)),
    ):
        well, ill = score(rows(held_back, features)), score(rows(broken, features))
        truth = [False] * len(well) + [True] * len(ill)
        area = roc_auc_score(truth, np.concatenate([well, ill]))
        print(
            f"  DCASE clips, {name:10} AUC {area:.3f} "
            f"({len(held_back)} normal clips, {len(broken)} abnormal)"
        )


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
