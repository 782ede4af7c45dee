"""The few clips of DCASE 2020 task 2 and of MIMII: what tells the abnormal ones.

    python -m benchmarks.machine_clips --data DIR [--rivals]

Of DCASE five minutes of one machine are learned from. Of MIMII there are one or two normal clips of
a machine: their first 6 s are learned from and the rest is judged, so what is told apart may be
clips rather than machines. --rivals adds the autoencoders that both publish.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from beepwatch.classify.condition import Listener
from beepwatch.classify.novelties import Attention
from beepwatch.classify.spectra import RATE_HZ, WINDOW_S
from beepwatch.train.dataset import Recording, read_manifest, read_sound
from beepwatch.train.machines.learning import HOP_S, learn_normal
from benchmarks.machine_features import Features, Sound, plain, portrayed, quartiles
from benchmarks.machines import Scoring, cut, from_nearest, mahalanobis

MANY_CLIPS = 30  # of 10 s, that are learned from
FEW_HOP_S = 0.1
LEARNED_SAMPLES = 6 * RATE_HZ  # of each where there are few


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rivals", action="store_true")
    arguments = parser.parse_args()
    recordings = read_manifest(arguments.data)
    for name, part in (
        ("DCASE", "Zyy438"),
        ("MIMII fan", "mimii_fan"),
        ("MIMII pump", "mimii_pump"),
    ):
        of_set = [one for one in recordings if part in one.path]
        report_clips(name, arguments.data, of_set, rivals=arguments.rivals)


def report_clips(name: str, data: Path, recordings: Sequence[Recording], *, rivals: bool) -> None:
    """Of one machine."""
    normal, ill = (
        [read_sound(data / one.path, RATE_HZ) for one in recordings if one.category == category]
        for category in ("machine_normal", "machine_abnormal")
    )
    many = len(normal) > MANY_CLIPS
    known = normal[:MANY_CLIPS] if many else [one[:LEARNED_SAMPLES] for one in normal]
    well = normal[MANY_CLIPS:] if many else [one[LEARNED_SAMPLES:] for one in normal]
    hop_s = HOP_S if many else FEW_HOP_S
    portraits = np.stack([portrayed(window) for clip in known for window in cut(clip, hop_s)])
    learned = Listener(learn_normal("clips", portraits))
    print(f"{name}: {len(well)} normal clips and {len(ill)} abnormal; AUC / pAUC of windows")
    windows = ([w for one in clips for w in cut(one, hop_s)] for clips in (known, well, ill))
    _report_windows(learned, *windows, rivals=rivals)
    judged = ([f"{played_on(learned, one):.2f}" for one in clips] for clips in (well, ill))
    print("  strangeness played on, with what is new:", *map(" ".join, judged), sep="\n    ")


def played_on(learned: Listener, clip: Sound, for_s: float = 60.0) -> float:
    """Median strangeness of a clip that is played again and again, as the daemon hears it."""
    attention = Attention(learned)
    portraits = [portrayed(window) for window in cut(clip, HOP_S)]
    seen = [
        attention.hear(portraits[number % len(portraits)], number * WINDOW_S)
        for number in range(round(for_s / WINDOW_S))
    ]
    return float(np.median([one.strangeness for one in seen if one is not None]))


def _report_windows(
    learned: Listener,
    known: Sequence[Sound],
    well: Sequence[Sound],
    ill: Sequence[Sound],
    *,
    rivals: bool,
) -> None:
    def alone(features: Callable[[Sound], Features]) -> Features:
        return np.stack([features(window) for window in known])

    ways: dict[str, Scoring] = {
        "plain": (plain, mahalanobis(alone(plain))),
        "quartiles": (quartiles, partial(from_nearest, learned)),
    }
    others: Iterator[tuple[str, Scoring]] = iter(())
    if rivals:
        from benchmarks import machine_rivals  # which needs torch

        others = machine_rivals.autoencoders(lambda features, _: (alone(features), []), [False])
    truth = [False] * len(well) + [True] * len(ill)
    for way, (features, score) in chain(ways.items(), others):
        scores = score(np.stack([features(window) for window in (*well, *ill)]))
        area, part = (roc_auc_score(truth, scores, max_fpr=most) for most in (None, 0.1))
        print(f"  {way:28}{area:.3f} / {part:.3f}", flush=True)


if __name__ == "__main__":
    main()
