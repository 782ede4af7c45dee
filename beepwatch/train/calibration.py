"""What the dev split decides of a trained network: its temperature and its thresholds."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import open_engine
from beepwatch.train.evaluation import evaluate, examine, own_hearing
from beepwatch.train.judging import rivals
from beepwatch.train.judging.detection import lowest_threshold
from beepwatch.train.judging.reliability import fit_temperature
from beepwatch.train.judging.results import Evaluation
from beepwatch.train.judging.streams import negative_streams, varied_negatives
from beepwatch.train.recipe import ThresholdRecipe

VARIANTS = 5  # of dev's negatives, beside themselves, that a threshold has to stand

Report = Callable[[str], None]


def find_temperature(bundle: Path, data: Path, *, report: Report = lambda _line: None) -> float:
    """What the bundle's logits have to be divided by, found on the dev split's streams."""
    study = examine(bundle, data, "dev", compared=(), report=report)
    temperature = fit_temperature(*study.frames())
    report(f"temperature {temperature:.3f}")
    return temperature


def calibrate(
    bundle: Path, data: Path, plan: ThresholdRecipe, *, report: Report = lambda _line: None
) -> tuple[dict[str, float], Evaluation]:
    """Thresholds per label, found on the dev split, and what is found there with them.

    The lowest threshold at which all dev negatives, hard ones included, as recorded and varied,
    give no more than the allowed false alarms an hour; `plan.highest` if none does. The
    evaluation is that on the negatives as recorded.
    """
    engine = open_engine(load_bundle(bundle))
    plain = negative_streams(data, "dev", engine.rate_hz)
    negatives = list(plain)
    for variant in range(VARIANTS):
        negatives += varied_negatives(data, "dev", engine.rate_hz, variant)
    samples = sum(len(negative.pcm) for negative in negatives)
    report(f"finding the threshold on {samples / engine.rate_hz / 3_600:.1f} h without a beep")
    hearing = own_hearing(engine, [], negatives, plan.highest)
    grid = (*np.arange(plan.lowest, plan.highest, 0.01).round(2).tolist(), plan.highest)
    # A category's alarms are the mean over its variants, so its hours are those of one.
    hours = rivals.hours_of(plain, engine.rate_hz)
    chosen = lowest_threshold(
        msgspec.structs.replace(hearing, sweep=grid), hours, plan.false_alarms_per_hour
    )
    report(f"threshold {chosen}")
    evaluation = evaluate(bundle, data, "dev", threshold=chosen, report=report)
    return dict.fromkeys(engine.labels, chosen), evaluation
