"""Fit the second opinion on pulses on the train split, and say what it brings on dev.

    python -m benchmarks.candidates --data DIR [--variants 3] [--synthetic 300] [--judge-only]

Beeps of the train split's devices and synthetic ones, whole and as single pulses, are placed in its
rooms and household sound; they and its recordings without a beep, as they are and varied, are
scored by the network. Every pulse that it tells there is a candidate. A logistic regression of
whether it was a beep on the traits of its sound, given the network's score, is printed as the
constants of `beepwatch/decide/opinion.py`. Then dev: recall of patterns and single pulses and false
alarms, without and with the opinion as it stands there.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Engine, open_engine
from beepwatch.decide.believing import KNOWN_ODDS, lowered
from beepwatch.decide.opinion import Traits, traits
from beepwatch.decide.pulses import Moment, Pulse, PulseFinder
from beepwatch.train import augment, synthesis
from beepwatch.train.dataset import (
    Recording,
    choose,
    read_manifest,
    read_pulses,
    read_sound,
)
from beepwatch.train.evaluation import START, StreamAnswers, episodes, score
from beepwatch.train.judging.beeps import CLEAN_SNR_DB, is_kin, read_beep, recorded_beeps
from beepwatch.train.judging.detection import Heard, overlaps
from beepwatch.train.judging.streams import negative_streams, placed, varied_negatives
from beepwatch.train.synthesis import Signal

SNRS_DB = (20.0, 10.0, 5.0, 0.0)
SEED = 13
ALIKE = 60  # twins among the monitors' sounds: as many pitches an e-fold are told apart
OF_A_PITCH = 2
NEAR_S = 0.05  # a candidate this near to a pulse is of it
MOST_SCORE = 0.97  # of the beeps learnt from: what the network is sure of teaches nothing
RIDGE = 10.0
LIMITS = 3.0  # standard deviations: a trait further out weighs no more

Sound = NDArray[np.float32]
Numbers = NDArray[np.float64]


class Candidate(msgspec.Struct, frozen=True):
    """A pulse that the network told, and what it was."""

    score: float
    traits: Traits
    is_beep: bool


class Placed(msgspec.Struct, frozen=True):
    """A beep in a home."""

    pcm: NDArray[np.int16]
    pulses: tuple[tuple[float, float], ...]
    kind: str
    snr_db: float


class Homes:
    """A split's rooms and household sound, to place beeps in."""

    def __init__(self, data: Path, split: str, rate_hz: int) -> None:
        recordings = read_manifest(data)
        self._rate_hz = rate_hz
        self._homes = [
            read_sound(data / recording.path, rate_hz)
            for recording in choose(recordings, split, ["household"], redistributable_only=False)
        ]
        self._rooms = [
            augment.ready_room(read_sound(data / recording.path, rate_hz), rate_hz)
            for recording in choose(recordings, split, ["rir"], redistributable_only=False)
        ]

    def placed(self, signal: Signal, kind: str, snr_db: float, seed: Sequence[int]) -> Placed:
        """A signal at a ratio over the background, in the band of its pitch while it sounds."""
        rate_hz = self._rate_hz
        rng = np.random.default_rng(seed)
        response = self._rooms[int(rng.integers(len(self._rooms)))]
        pcm, pulses = placed(
            rng, signal, response, lambda samples: self._background(rng, samples), snr_db, rate_hz
        )
        return Placed(pcm=pcm, pulses=pulses, kind=kind, snr_db=snr_db)

    def _background(self, rng: np.random.Generator, samples: int) -> Sound:
        pieces: list[Sound] = []
        while sum(map(len, pieces)) < samples:
            piece = self._homes[int(rng.integers(len(self._homes)))]
            rms = max(float(np.sqrt((piece**2).mean())), 1e-4)
            pieces.append((piece * (0.05 / rms)).astype(np.float32))
        return np.concatenate(pieces)[:samples]


def single(signal: Signal, which: int, rate_hz: int) -> Signal:
    """One of a signal's pulses alone, with what rings on after it."""
    pulse = signal.pulses[which]
    earlier_s = signal.pulses[which - 1].offset_s + 0.02 if which else 0.0
    start_s = max(0.0, pulse.onset_s - 0.03, earlier_s)
    end_s = len(signal.sound) / rate_hz
    if which + 1 < len(signal.pulses):
        end_s = signal.pulses[which + 1].onset_s - 0.02
    sound = signal.sound[round(start_s * rate_hz) : round(end_s * rate_hz)].copy()
    fade = min(len(sound) // 4, round(0.01 * rate_hz))
    sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    moved = synthesis.Pulse(
        onset_s=pulse.onset_s - start_s,
        offset_s=pulse.offset_s - start_s,
        pitch_hz=pulse.pitch_hz,
    )
    return Signal(sound=sound, pulses=(moved,))


def chosen_beeps(data: Path, split: str) -> list[Recording]:
    """The split's recorded beeps; of train's monitors, whose sounds are often twins, a few."""
    recordings = read_manifest(data)
    if split != "train":
        return recorded_beeps(recordings, split)
    chosen = recorded_beeps(recordings, split)
    taken: dict[int, int] = {}
    for recording in choose(recordings, split, ["beep_clean"], redistributable_only=False):
        if recording.pitch_hz is None or not is_kin(recording):
            continue
        pitch = round(float(np.log(recording.pitch_hz)) * ALIKE)
        is_clean = recording.snr_db is not None and recording.snr_db >= CLEAN_SNR_DB
        if is_clean and taken.get(pitch, 0) < OF_A_PITCH:
            taken[pitch] = taken.get(pitch, 0) + 1
            chosen.append(recording)
    return chosen


def recorded(data: Path, split: str, rate_hz: int, repeats: int) -> Iterator[Placed]:
    """Every chosen beep, whole and its first and third pulse alone, at every ratio."""
    homes, pulses = Homes(data, split, rate_hz), read_pulses(data)
    for number, recording in enumerate(chosen_beeps(data, split)):
        whole = read_beep(data, recording, pulses, rate_hz)
        if not whole.pulses:
            continue
        kin = "kin, " if is_kin(recording) else ""
        parts = [(whole, f"{kin}{'pattern' if len(whole.pulses) > 1 else 'single'}")]
        parts += [
            (single(whole, which, rate_hz), f"{kin}single")
            for which in (0, 2)
            if which < len(whole.pulses)
        ]
        for part, (signal, kind) in enumerate(parts):
            for snr_db in SNRS_DB:
                for repeat in range(repeats):
                    seed = [SEED, number, part, repeat, round(snr_db)]
                    yield homes.placed(signal, kind, snr_db, seed)


def synthetic(data: Path, rate_hz: int, count: int) -> Iterator[Placed]:
    """Synthetic beeps in the train split's homes, two of three as a single pulse."""
    homes = Homes(data, "train", rate_hz)
    for number in range(count):
        rng = np.random.default_rng([SEED, 99, number])
        beep = synthesis.beep(rng, 4.0, rate_hz)
        if not beep.pulses:
            continue
        signal = single(beep, 0, rate_hz) if number % 3 else beep
        for snr_db in rng.choice(SNRS_DB, size=2).tolist():
            yield homes.placed(signal, "synthetic", snr_db, [SEED, 98, number, round(snr_db)])


def told_pulses(answers: StreamAnswers, level: float) -> Iterator[Pulse]:
    """Every pulse that frames tell."""
    finder = PulseFinder(level)
    for index, probability in enumerate(answers.probabilities.tolist()):
        pitches_hz = tuple(answers.pitch_hz[index].tolist())
        at_s = (index + 0.5) * answers.frame_s
        ended = finder.hear(Moment(probability, pitches_hz, at_s, START), answers.frame_s)
        if ended is not None:
            yield ended


def candidates(
    answers: StreamAnswers, threshold: float, truth: Sequence[tuple[float, float]] = ()
) -> Iterator[Candidate]:
    """The pulses of a stream that can be learnt from: those of its beep, or all if it has none."""
    if answers.ear is None:
        return
    for pulse in told_pulses(answers, lowered(threshold, KNOWN_ODDS)):
        is_beep = any(
            pulse.onset_s < offset_s + NEAR_S and pulse.offset_s > onset_s - NEAR_S
            for onset_s, offset_s in truth
        )
        if pulse.duration_s < 0.06 or is_beep != bool(truth):
            continue
        seen = traits(pulse, answers.ear.sound, answers.rate_hz, 0.0)
        if seen is not None:
            yield Candidate(score=pulse.peak_score, traits=seen, is_beep=is_beep)


def gathered(
    engine: Engine, data: Path, threshold: float, variants: int, made: int
) -> list[Candidate]:
    """All of the train split's."""
    found: list[Candidate] = []
    for beep in (
        *recorded(data, "train", engine.rate_hz, 1),
        *synthetic(data, engine.rate_hz, made),
    ):
        found += candidates(score(engine, beep.pcm), threshold, beep.pulses)
    for variant in range(variants + 1):
        for stream in silent(data, "train", engine.rate_hz, variant):
            found += candidates(score(engine, stream), threshold)
    return [one for one in found if not one.is_beep or one.score < MOST_SCORE]


def silent(data: Path, split: str, rate_hz: int, variant: int) -> Iterator[NDArray[np.int16]]:
    """The split's recordings without a beep, as they are (0) or varied."""
    streams = (
        varied_negatives(data, split, rate_hz, variant)
        if variant
        else negative_streams(data, split, rate_hz)
    )
    return (stream.pcm for stream in streams)


def fitted(known: Sequence[Candidate]) -> tuple[float, list[tuple[float, float, float]]]:
    """Bias, and of each trait its limits and weight: what they add to the log odds of the score.

    Ridge regression with beeps and others weighing the same.
    """
    values = np.array([one.traits for one in known])
    is_beep = np.array([one.is_beep for one in known])
    scores = np.clip([one.score for one in known], 1e-4, 1 - 1e-4)
    told = np.log(scores / (1 - scores))
    middle, spread = values.mean(axis=0), values.std(axis=0)
    lowest, highest = middle - LIMITS * spread, middle + LIMITS * spread
    inputs = (np.clip(values, lowest, highest) - middle) / spread
    inputs = np.concatenate([np.ones((len(inputs), 1)), inputs], axis=1)
    share = np.where(is_beep, 1 / is_beep.sum(), 1 / (~is_beep).sum()) * (~is_beep).sum()

    def loss(weights: Numbers) -> tuple[float, Numbers]:
        odds = inputs @ weights + told
        off = 1 / (1 + np.exp(-odds)) - is_beep
        penalty = RIDGE * np.concatenate([[0.0], weights[1:]])
        cost = (share * (np.logaddexp(0, odds) - is_beep * odds)).sum()
        return float(cost + (penalty * weights).sum() / 2), inputs.T @ (share * off) + penalty

    weights = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x
    bias = float(weights[0] - (weights[1:] * middle / spread).sum())
    limits = zip(lowest.tolist(), highest.tolist(), (weights[1:] / spread).tolist(), strict=True)
    return bias, list(limits)


def judge(engine: Engine, data: Path, threshold: float, variants: int) -> None:
    """Print what is heard of dev's beeps, and the false alarms, without and with an opinion."""
    heard: dict[tuple[str, str], list[tuple[bool, bool]]] = {}
    for beep in recorded(data, "dev", engine.rate_hz, 4):
        level = "10 dB and better" if beep.snr_db >= 10 else "5 and 0 dB"
        found = [
            any(overlaps(one.span, beep.pulses) for one in alarms)
            for alarms in both(score(engine, beep.pcm), threshold)
        ]
        heard.setdefault((beep.kind, level), []).append((found[0], found[1]))
    for (kind, level), several in sorted(heard.items()):
        before, after = np.mean(several, axis=0)
        print(f"{kind}, {level}: {before:.1%} -> {after:.1%} of {len(several)}")
    for split in ("dev", "train"):
        alarms, hours = np.zeros((variants + 1, 2), dtype=int), 0.0
        for variant in range(variants + 1):
            for pcm in silent(data, split, engine.rate_hz, variant):
                hours += len(pcm) / engine.rate_hz / 3_600
                alarms[variant] += [len(one) for one in both(score(engine, pcm), threshold)]
        print(f"{split}: {alarms[:, 0]} -> {alarms[:, 1]} false alarms in {hours:.2f} h")


def both(answers: StreamAnswers, threshold: float) -> list[list[Heard]]:
    """Alarms without and with the sound at hand."""
    return [
        episodes(msgspec.structs.replace(answers, ear=None), threshold),
        episodes(answers, threshold),
    ]


def main() -> None:
    """Fit and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="directory with manifest.csv")
    parser.add_argument("--bundle", default="beep", help="a shipped model's name or a directory")
    parser.add_argument("--variants", type=int, default=3, help="of the recordings without a beep")
    parser.add_argument("--synthetic", type=int, default=300, help="beeps")
    parser.add_argument("--judge-only", action="store_true", help="fit nothing")
    given = parser.parse_args()
    bundle = load_bundle(find_bundle(given.bundle))
    engine = open_engine(bundle)
    threshold = bundle.info.thresholds[engine.labels[0]]
    if not given.judge_only:
        known = gathered(engine, given.data, threshold, given.variants, given.synthetic)
        bias, weights = fitted(known)
        beeps = sum(one.is_beep for one in known)
        print(f"# {beeps} pulses of beeps, {len(known) - beeps} of other sounds")
        print(f"BIAS = {bias:.3f}\nWEIGHTS = (")
        for name, (lowest, highest, weight) in zip(Traits._fields, weights, strict=True):
            print(f"    Weight({lowest:.2f}, {highest:.2f}, {weight:.4f}),  # {name}")
        print(")")
    judge(engine, given.data, threshold, given.variants)


if __name__ == "__main__":
    main()
