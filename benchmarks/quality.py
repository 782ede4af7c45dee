"""How many beeps are heard and how many false alarms there are, beside simpler detectors.

    python benchmarks/quality.py --data DIR [--split dev] [--bundle beep] [--out DIR] [--record]

Streams are composed anew from the split's recordings, the same for the same seed. Tables go to
stdout; OUT gets them as report.md and report.json, the curve of misses against false alarms, and
the ten worst errors to listen to (index.html). `--record` writes the numbers into the bundle's
description.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.train.evaluation import ALL_RIVALS
from beepwatch.train.export import write_description
from beepwatch.train.judging.gallery import evaluate_into
from beepwatch.train.judging.rivals import ORIGINAL


def main() -> None:
    """Measure, print, and write down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="directory with manifest.csv")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--bundle", default="beep", help="a shipped model's name or a directory")
    parser.add_argument("--threshold", type=float, help="in place of the bundle's own")
    parser.add_argument("--repeats", type=int, default=4, help="of each beep at each SNR")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="for report and clips; default runs/quality-SPLIT")
    parser.add_argument("--runs", type=Path, default=Path("runs/original"), help="kept weights")
    parser.add_argument("--retrain", action="store_true", help="train the original BeepNet anew")
    parser.add_argument("--no-original", action="store_true", help="leave the original out")
    parser.add_argument("--record", action="store_true", help="write into bundle.json")
    given = parser.parse_args()
    directory = find_bundle(given.bundle)

    evaluation = evaluate_into(
        given.out or Path(f"runs/quality-{given.split}"),
        directory,
        given.data,
        given.split,
        threshold=given.threshold,
        repeats=given.repeats,
        seed=given.seed,
        compared=[one for one in ALL_RIVALS if not (given.no_original and one == ORIGINAL)],
        runs=given.runs,
        retrain=given.retrain,
        report=lambda line: print(line, file=sys.stderr),
    )
    print(evaluation.table())
    if given.record:
        info = load_bundle(directory).info
        kept = {n: v for n, v in info.quality.items() if not n.startswith(f"{given.split}_")}
        quality = kept | evaluation.quality()
        write_description(directory, msgspec.structs.replace(info, quality=quality))


if __name__ == "__main__":
    main()
