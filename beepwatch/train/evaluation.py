"""How well a bundle hears, by event, on continuous sound of devices that it never met.

Recall: of recorded beeps placed in household sound, the share that an episode overlaps, within
0.5 s. False alarms: episodes on streams without a beep, per hour. Both for what the network
answers and for what the daemon makes of it, beside simpler detectors on the same streams.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import Bundle, load_bundle
from beepwatch.classify.engines import Engine, answers_of_stream, open_engine
from beepwatch.decide.episodes import Closed, EpisodeTracker
from beepwatch.decide.hindsight import WholeSound
from beepwatch.messages import Scores
from beepwatch.train.dataset import read_manifest, read_pulses
from beepwatch.train.judging import rivals
from beepwatch.train.judging.detection import (
    Heard,
    Hearing,
    curve,
    lowest_threshold,
    result,
)
from beepwatch.train.judging.original import open_original
from beepwatch.train.judging.reliability import (
    Reliability,
    frames_in_pulses,
    reliability,
)
from beepwatch.train.judging.results import Evaluation
from beepwatch.train.judging.streams import (
    BeepStream,
    NegativeStream,
    beep_streams,
    check_split,
    negative_streams,
    shortcomings,
)
from beepwatch.train.quantise import calibration_windows, compare, quantise
from beepwatch.train.recipe import read_recipe
from beepwatch.wording import counted

SNRS_DB = (20.0, 10.0, 5.0, 0.0, -5.0)
START = datetime(2026, 1, 1, tzinfo=UTC)  # of every stream; only differences count
BLOCK_S = 1.0  # of frames given to the state machine at once; a quiet block costs it nothing
GAP_S = 3.0  # raw frames nearer to each other are one alarm
SWEEP = tuple((1 / (1 + np.exp(-np.linspace(-4, 7, 34)))).tolist())

OWN, RAW, INT8 = "beepwatch", "beepwatch, raw frames", "beepwatch int8"
RECIPE = "recipe.toml"
ALL_RIVALS = (RAW, INT8, rivals.RULE, rivals.TEMPLATE, rivals.ORIGINAL)

Report = Callable[[str], None]


class StreamAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine says of one stream."""

    probabilities: NDArray[np.float32]  # [frames], of the first label
    pitch_hz: NDArray[np.float32]  # [frames, tones]
    frame_s: float
    rate_hz: int
    ear: WholeSound | None = None  # without it pulses are as frames tell them


class EpisodeEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that the daemon's state machine decides on."""

    answers: StreamAnswers

    def at(self, threshold: float) -> list[Heard]:
        """The episodes."""
        return episodes(self.answers, threshold)


class FrameEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Answers taken as they are."""

    answers: StreamAnswers

    def at(self, threshold: float) -> list[Heard]:
        """Every frame over the threshold counts; what lies within 3 s is one alarm."""
        frame_s = self.answers.frame_s
        over = (self.answers.probabilities >= threshold).astype(int)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], over, [0]])))
        alarms: list[Heard] = []
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            span = (start * frame_s, end * frame_s)
            score = float(self.answers.probabilities[start:end].max())
            if alarms and span[0] - alarms[-1].offset_s <= GAP_S:
                last = alarms.pop()
                span_before, pulses = last.onset_s, (*last.pulses, span)
                score = max(score, last.score)
            else:
                span_before, pulses = span[0], (span,)
            alarms.append(Heard(onset_s=span_before, offset_s=span[1], pulses=pulses, score=score))
        return alarms


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """All streams of a split and what each detector knows of them."""

    split: str
    model_id: str
    rate_hz: int
    streams: list[BeepStream]
    negatives: list[NegativeStream]
    hearings: list[Hearing]  # beepwatch first
    skipped: list[str] = []

    @property
    def hours(self) -> dict[str, float]:
        """Length of the streams without a beep, by category."""
        return rivals.hours_of(self.negatives, self.rate_hz)

    def evaluation(self, *, curves: bool = False) -> Evaluation:
        """Every detector at its own threshold, and those with a free one at equal false alarms."""
        measure = partial(result, streams=self.streams, hours=self.hours, rate_hz=self.rate_hz)
        own = measure(self.hearings[0])
        results = [own]
        for hearing in self.hearings[1:]:
            results.append(measure(hearing))
            if hearing.name in (rivals.TEMPLATE, rivals.ORIGINAL):
                equal = lowest_threshold(hearing, self.hours, own.per_hour(hard=None))
                name = f"{hearing.name}, equal false alarms"
                results.append(measure(hearing, threshold=equal, name=name))
        return Evaluation(
            split=self.split,
            model_id=self.model_id,
            threshold=own.threshold,
            results=tuple(results),
            skipped=tuple(self.skipped),
            reliability=self.reliability(),
            curves={h.name: curve(h, self.streams, self.hours) for h in self.hearings}
            if curves
            else {},
        )

    def reliability(self) -> Reliability:
        """How far beepwatch's scores are shares, over the frames of all streams."""
        return reliability(*self.frames())

    def frames(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Beepwatch's score of every frame and what was there, as `frames_in_pulses` tells it.

        Frames of devices that training may have met are left out.
        """
        own = self.hearings[0]
        probabilities: list[NDArray[np.float32]] = []
        truths: list[NDArray[np.float32]] = []
        for evidence, stream in zip(own.beeps, self.streams, strict=True):
            if isinstance(evidence, EpisodeEvidence) and not stream.kin:
                answers = evidence.answers
                truth = frames_in_pulses(stream.pulses, len(answers.probabilities), answers.frame_s)
                probabilities.append(answers.probabilities)
                truths.append(truth)
        for evidence in (one for several in own.silent.values() for one in several):
            if isinstance(evidence, EpisodeEvidence):
                probabilities.append(evidence.answers.probabilities)
                truths.append(np.zeros(len(probabilities[-1]), dtype=np.float32))
        return np.concatenate(probabilities), np.concatenate(truths)


def episodes(answers: StreamAnswers, threshold: float) -> list[Heard]:
    """What the daemon's own state machine makes of a stream's frames."""
    label = "beep"
    ear = answers.ear
    tracker = EpisodeTracker({label: threshold}, context_s=0.0, ear=ear)
    block = max(round(BLOCK_S / answers.frame_s), 1)
    changes = []
    for start in range(0, len(answers.probabilities), block):
        start_s = start * answers.frame_s
        scores = Scores(
            probabilities=answers.probabilities[start : start + block, np.newaxis],
            pitch_hz=answers.pitch_hz[start : start + block],
            labels=(label,),
            frame_s=answers.frame_s,
            stream_id="evaluation",
            first_sample=round(start_s * answers.rate_hz),
            rate_hz=answers.rate_hz,
            started_at=START + timedelta(seconds=start_s),
            started_mono_s=start_s,
            model_id="",
        )
        changes += tracker.hear(scores)
    changes += tracker.finish()
    closed = [change.episode for change in changes if isinstance(change, Closed)]
    if ear is not None:
        closed = [ear.recounted(episode) for episode in closed]
    return [
        Heard(
            onset_s=episode.pulses[0].onset_s,
            offset_s=episode.pulses[-1].offset_s,
            pulses=tuple((pulse.onset_s, pulse.offset_s) for pulse in episode.pulses),
            score=episode.peak_score,
            counted=episode.counted,
        )
        for episode in closed
    ]


def score(engine: Engine, pcm: NDArray[np.int16]) -> StreamAnswers:
    """What the engine says of its first label over a whole stream."""
    parts = list(answers_of_stream(engine, [pcm]))
    return StreamAnswers(
        probabilities=np.concatenate([part.probabilities[:, 0] for part in parts]),
        pitch_hz=np.concatenate([part.pitch_hz for part in parts]),
        frame_s=engine.frame_s,
        rate_hz=engine.rate_hz,
        ear=WholeSound(pcm, engine),
    )


def own_hearing(
    engine: Engine,
    streams: Sequence[BeepStream],
    negatives: Sequence[NegativeStream],
    threshold: float,
    name: str = OWN,
) -> Hearing:
    """A bundle's engine and the daemon's decisions; categories may come more than once."""
    silent: dict[str, list[EpisodeEvidence]] = {}
    for negative in negatives:
        evidence = EpisodeEvidence(answers=score(engine, negative.pcm))
        silent.setdefault(negative.category, []).append(evidence)
    return Hearing(
        name=name,
        threshold=threshold,
        sweep=SWEEP,
        beeps=[EpisodeEvidence(answers=score(engine, stream.pcm)) for stream in streams],
        silent={category: [*several] for category, several in silent.items()},
    )


def raw_hearing(decided: Hearing) -> Hearing:
    """The same answers without the daemon's decisions."""

    def raw(evidence: object) -> FrameEvidence:
        if not isinstance(evidence, EpisodeEvidence):
            raise TypeError(f"expected an engine's answers, found {type(evidence).__name__}")
        return FrameEvidence(answers=evidence.answers)

    return Hearing(
        name=RAW,
        threshold=decided.threshold,
        sweep=decided.sweep,
        beeps=[raw(evidence) for evidence in decided.beeps],
        silent={c: [raw(evidence) for evidence in e] for c, e in decided.silent.items()},
        note="before the daemon's decisions: every frame over the threshold counts",
    )


def examine(
    bundle: Path,
    data: Path,
    split: str = "dev",
    *,
    threshold: float | None = None,
    repeats: int = 4,
    seed: int = 7,
    compared: Collection[str] = (RAW, rivals.RULE),
    runs: Path = Path("runs/original"),
    retrain: bool = False,
    report: Report = lambda _line: None,
) -> Study:
    """Compose a split's streams and let a bundle and what it is `compared` with hear them.

    At the bundle's own threshold unless another is given. Raises UnreadableAudio for data that
    cannot be used, before anything is done.
    """
    recordings = read_manifest(data)
    read_pulses(data)
    check_split(data, recordings, split)
    loaded = load_bundle(bundle)
    engine = open_engine(loaded)
    limit = loaded.info.thresholds[engine.labels[0]] if threshold is None else threshold
    report(f"composing the {split} split's streams")
    for shortcoming in shortcomings(recordings, split):
        report(shortcoming)
    streams = list(beep_streams(data, split, engine.rate_hz, SNRS_DB, repeats, seed))
    negatives = negative_streams(data, split, engine.rate_hz)
    report(f"scoring {counted(len(streams), 'stream')} with a beep and {len(negatives)} without")
    own = own_hearing(engine, streams, negatives, limit)
    study = Study(
        split=split,
        model_id=engine.model_id,
        rate_hz=engine.rate_hz,
        streams=streams,
        negatives=negatives,
        hearings=[own],
    )
    if RAW in compared:
        study.hearings.append(raw_hearing(own))
    if INT8 in compared:
        _add_int8(study, loaded, bundle / RECIPE, data, runs, report)
    _add_rivals(study, compared, data, report)
    if rivals.ORIGINAL in compared:
        _add_original(study, bundle / RECIPE, data, runs, retrain, report)
    return study


def _add_int8(
    study: Study, bundle: Bundle, recipe_path: Path, data: Path, runs: Path, report: Report
) -> None:
    if not recipe_path.is_file():
        study.skipped.append(f"{INT8}: no {recipe_path} to find the ranges of its numbers by")
        return
    report("comparing with the same network in 8 bits")
    recipe, _digest = read_recipe(recipe_path)
    windows = list(calibration_windows(recipe, data))
    runs.mkdir(parents=True, exist_ok=True)
    graph = quantise(bundle.graph, windows, runs / f"{study.model_id}.int8.onnx")
    speed = compare(bundle.graph, graph, windows[:10])
    engine = open_engine(QuantisedBundle(directory=bundle.directory, info=bundle.info, path=graph))
    threshold = study.hearings[0].threshold
    hearing = own_hearing(engine, study.streams, study.negatives, threshold, INT8)
    note = f"{speed.candidate_ms:.2f} ms a window in one thread, in float {speed.reference_ms:.2f}"
    study.hearings.append(msgspec.structs.replace(hearing, note=note))


class QuantisedBundle(Bundle, frozen=True, kw_only=True):
    """A bundle that answers by its 8-bit graph."""

    path: Path

    @property
    def graph(self) -> Path:
        """The quantised ONNX graph."""
        return self.path


def _add_rivals(study: Study, compared: Collection[str], data: Path, report: Report) -> None:
    if rivals.RULE in compared:
        report("comparing with the fixed-frequency rule")
        study.hearings.append(rivals.rule_hearing(study.streams, study.negatives, study.rate_hz))
    if rivals.TEMPLATE in compared:
        report("comparing with template matching")
        _add_calibrated(study, partial(rivals.template_hearing, rate_hz=study.rate_hz), data)


def _add_original(
    study: Study, recipe_path: Path, data: Path, runs: Path, retrain: bool, report: Report
) -> None:
    if not recipe_path.is_file():
        study.skipped.append(f"{rivals.ORIGINAL}: no {recipe_path} to train it by")
        return
    recipe, _digest = read_recipe(recipe_path)
    network = open_original(recipe, data, runs, retrain=retrain, report=report)
    report("comparing with the original BeepNet")
    hear = partial(rivals.original_hearing, network=network, rate_hz=study.rate_hz)
    _add_calibrated(study, hear, data)


def _add_calibrated(study: Study, hear: rivals.Hear, data: Path) -> None:
    """Add a rival at the threshold that dev allows it."""
    hearing = hear(study.streams, study.negatives)
    if study.split == "dev":
        per_hour = rivals.DEV_FALSE_ALARMS_PER_HOUR
        threshold = lowest_threshold(hearing, study.hours, per_hour)
    else:
        threshold = rivals.dev_threshold(hear, data, study.rate_hz)
    study.hearings.append(msgspec.structs.replace(hearing, threshold=threshold))


def evaluate(
    bundle: Path,
    data: Path,
    split: str = "dev",
    *,
    threshold: float | None = None,
    repeats: int = 4,
    report: Report = lambda _line: None,
) -> Evaluation:
    """Judge a bundle on a split of `data`, beside the fixed-frequency rule."""
    study = examine(bundle, data, split, threshold=threshold, repeats=repeats, report=report)
    return study.evaluation()
