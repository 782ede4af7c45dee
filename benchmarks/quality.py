"""How many beeps are heard and how many false alarms there are, beside the usual rule.

    python benchmarks/quality.py --data DIR [--split test] [--bundle beep] [--record]

Streams are composed anew from the split's recordings, the same for the same seed. `--record`
writes the numbers into the bundle's description.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.train.evaluation import evaluate
from beepwatch.train.export import write_description


def main() -> None:
    """Measure, print, and write down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="directory with manifest.csv")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--bundle", default="beep", help="a shipped model's name or a directory")
    parser.add_argument("--repeats", type=int, default=4, help="of each beep at each SNR")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--record", action="store_true", help="write into bundle.json")
    given = parser.parse_args()
    directory = find_bundle(given.bundle)
    evaluation = evaluate(
        directory,
        given.data,
        given.split,
        repeats=given.repeats,
        seed=given.seed,
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
