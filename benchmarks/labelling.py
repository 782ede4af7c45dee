"""How many keys it takes to label recordings, by a scripted browser: `--data DIR`.

Cuts clips of 3 s from a data directory, some with a beep in them and the others without, starts
`beepwatch dataset label` and a real Chromium, and labels everything by key presses alone, as one
would who sees and hears what each clip is. Then it compares `dataset.csv` with the truth.

    python -m benchmarks.labelling --data DIR [--splits dev,train] [--clips 1400] [--beeps 43]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from beepwatch.train.dataset import Recording, read_manifest, read_pulses
from beepwatch.train.datasets.catalogue import read_table
from tests.web.chromium import Page, chromium
from tests.web.person import Person
from tests.web.program import labelling_program

CLIP_S = 3.0
HOPS_S = (3.0, 2.0, 1.5, 1.0)  # the widest that gives enough clips is taken
SOUNDING_S = 0.2  # of its pulses in a clip, at least
BEEPS = ("beep_real", "melody")
OTHERS = (
    *("household", "speech", "music", "nature", "other"),
    *("machine_normal", "machine_abnormal"),
)
NAMES = ("beep", "spin", "wash", "human", "other")


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A clip to be cut, and what it is."""

    recording: Recording
    start_s: float
    label: str


def cuts(data: Path, splits: Sequence[str], clips: int, beeps: int, seed: int) -> list[Cut]:
    """As many clips as asked for, drawn from those splits, in no order."""
    recordings = [one for one in read_manifest(data) if one.split in splits]
    pulses = read_pulses(data)
    rng = np.random.default_rng(seed)
    chosen: list[Cut] = []
    for label, categories, wanted in (("beep", BEEPS, beeps), ("other", OTHERS, clips - beeps)):
        of_label = [one for one in recordings if one.category in categories]
        for hop_s in HOPS_S:
            possible = [
                Cut(recording=one, start_s=start_s, label=label)
                for one in of_label
                for start_s in np.arange(0, one.duration_s - CLIP_S + 1e-6, hop_s).tolist()
                if label != "beep" or _sounding_s(pulses.get(one.path, []), start_s) >= SOUNDING_S
            ]
            if len(possible) >= wanted:
                break
        else:
            sys.exit(f"there are only {len(possible)} clips of {label!r} in {','.join(splits)}")
        print(f"{wanted} of {len(possible)} clips of {label!r}, a new one every {hop_s} s")
        chosen += [possible[i] for i in rng.permutation(len(possible))[:wanted]]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _sounding_s(pulses: Sequence[tuple[float, float]], start_s: float) -> float:
    return sum(
        max(0.0, min(offset_s, start_s + CLIP_S) - max(onset_s, start_s))
        for onset_s, offset_s in pulses
    )


def write_clips(data: Path, chosen: Sequence[Cut], directory: Path) -> dict[str, str]:
    """The clips as WAV files whose names say nothing; what each one is."""
    truth = {}
    for number, cut in enumerate(chosen):
        file = data / cut.recording.path
        rate_hz = soundfile.info(file).samplerate
        sound, _ = soundfile.read(
            file,
            round(CLIP_S * rate_hz),
            round(cut.start_s * rate_hz),
            dtype="int16",
            always_2d=True,
        )
        name = f"{number:04d}.wav"
        soundfile.write(directory / name, sound[:, 0], rate_hz)
        truth[name] = cut.label
    return truth


def label(page: Page, truth: dict[str, str]) -> Person:
    """By key, with a line for each group that holds a beep."""
    page.wait("document.body?.dataset.ready === 'yes'")
    person = Person(page, truth, NAMES)
    for number, group in enumerate(person.groups(), start=1):
        beeps = sum(truth[path] == "beep" for path in group.paths)
        if beeps:
            print(f"group {number}: {beeps} of {len(group.paths)} clips are beeps")
    page.wait("document.getElementById('saved').textContent === 'Saved'", within_s=120)
    return person


def main() -> None:
    """Cut, label, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", default="dev,train")
    parser.add_argument("--clips", type=int, default=1_400)
    parser.add_argument("--beeps", type=int, default=43)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "clips"
        directory.mkdir()
        chosen = cuts(
            options.data, options.splits.split(","), options.clips, options.beeps, options.seed
        )
        truth = write_clips(options.data, chosen, directory)
        began_s = time.monotonic()
        with (
            labelling_program(directory, "--labels", ",".join(NAMES)) as program,
            chromium(Path(scratch)) as browser,
        ):
            groups = program.said.partition(":")[0]
            print(f"{groups}; ready after {time.monotonic() - began_s:.1f} s")
            began_s = time.monotonic()
            page = browser.open(program.url)
            person = label(page, truth)
            took_s = time.monotonic() - began_s
        rows = read_table(directory / "dataset.csv").rows
        wrong = [path for path, what in truth.items() if rows.get(path, {}).get("label") != what]
        presses = person.presses.total()
        print(
            f"{presses} key presses in {took_s:.1f} s: "
            + ", ".join(f"{count} x {key}" for key, count in person.presses.most_common())
        )
        beeps = [path for path in wrong if truth[path] == "beep"]
        print(f"{len(wrong)} of {len(truth)} clips labelled wrong, {len(beeps)} of them beeps")
        print(f"errors of the page: {page.complaints or 'none'}")
        sys.exit(bool(wrong or page.complaints))


if __name__ == "__main__":
    main()
