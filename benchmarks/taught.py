"""What each further taught sound costs a classifier: time and memory of `engine.answers`.

    python -m benchmarks.taught [--sounds 5] [--rounds 5]

Windows of 3 s of the demo's recording, a second apart, as the daemon hears them: speech, a clock,
a dishwasher, and beeps. In the first line no taught sound is among them, as it is most of the time;
in the second all of them are. Rounds with and without take turns; it is processor time, and the
least of each window counts, so that a busy machine matters little. Memory is that of a process of
its own which has heard everything twice.
"""

import argparse
import gc
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import open_engine
from beepwatch.classify.heads import FEATURES, Expected, Head
from beepwatch.classify.taught import TaughtEngine

HEARD_HZ = (4_870.0, 4_994.0, 3_085.0, 3_016.0, 1_993.0)  # of the recording's devices
UNHEARD_HZ = (6_640.0, 6_620.0, 6_600.0, 6_580.0, 6_560.0)  # of which no tone lasts in it


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sounds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", type=float, nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of is not None:
        print(memory_bytes(arguments.memory_of))
        return
    print(f"{arguments.sounds} taught sounds; a window a second is what the daemon hears")
    for name, pitches_hz in (("pitches not heard", UNHEARD_HZ), ("pitches heard", HEARD_HZ)):
        wanted = [pitches_hz[n % len(pitches_hz)] for n in range(arguments.sounds)]
        without_s, with_s = seconds(wanted, arguments.rounds)
        more = (with_s - without_s) / arguments.sounds
        grown = _memory_of(wanted) - _memory_of([])
        print(
            f"{name:18} {1e3 * without_s:.2f} ms a window without, {1e3 * with_s:.2f} with; "
            f"{1e3 * more:+.3f} ms ({100 * more / without_s:+.1f} %) and "
            f"{grown / arguments.sounds / 1e6:+.2f} MB for each"
        )


def seconds(pitches_hz: Sequence[float], rounds: int) -> tuple[float, float]:
    """Mean time of a window without and with the sounds."""
    engines = (engine([]), engine(pitches_hz))
    windows = windows_of_the_demo()
    quickest = np.full((2, len(windows)), np.inf)
    for _ in range(rounds):
        for number, window in enumerate(windows):
            for which, one in enumerate(engines):
                began_s = time.thread_time()
                one.answers(window)
                took_s = time.thread_time() - began_s
                quickest[which, number] = min(quickest[which, number], took_s)
    without_s, with_s = quickest.mean(axis=1)
    return float(without_s), float(with_s)


def memory_bytes(pitches_hz: Sequence[float]) -> int:
    """Of this process, unshared, after it has heard everything twice."""
    one = engine(pitches_hz)
    for window in windows_of_the_demo() * 2:
        one.answers(window)
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = [line.split()[1] for line in lines if line.startswith("Private_")]
    return 1024 * sum(map(int, private))


def _memory_of(pitches_hz: Sequence[float]) -> float:
    """The median of several processes."""
    command = [sys.executable, "-m", "benchmarks.taught", "--memory-of", *map(str, pitches_hz)]
    runs = [
        int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    return float(np.median(runs))


def engine(pitches_hz: Sequence[float]) -> TaughtEngine:
    """The shipped network with a taught sound at each pitch."""
    bundle = load_bundle(find_bundle("beep"))
    heads = [
        Head(
            name=f"sound-{number}",
            model_id=bundle.info.model_id,
            threshold=0.9,
            pitches_hz=(hz, hz / 2, hz / 3),
            tolerance=0.005,
            weights=(0.2,) * FEATURES,
            bias=-8.0,
            expected=Expected(examples=0, caught=0, false_alarms_per_month=0.0),
        )
        for number, hz in enumerate(pitches_hz)
    ]
    return TaughtEngine(open_engine(bundle), bundle.info.thresholds, heads)


def windows_of_the_demo() -> list[NDArray[np.int16]]:
    """Windows of 3 s, one a second."""
    recording = files("beepwatch.daemon").joinpath("demo", "kitchen.flac")
    pcm, rate_hz = soundfile.read(str(recording), dtype="int16")
    length = 3 * rate_hz
    return [pcm[first : first + length] for first in range(0, len(pcm) - length + 1, rate_hz)]


if __name__ == "__main__":
    main()
