"""How fast features are made: python -m benchmarks.features --data DIR [--librosa PYTHON].

DIR has a manifest.csv; its 16 kHz clips of the splits train and dev are read, as the FLAC that
they are and as WAV, by every side in turns, each with the same number of processes of one thread:
load + log-mel and load + MFCC by beepwatch, by torchaudio's transforms (loaded by soundfile, as
torchaudio's own loading needs another package) and, with an interpreter that has it, by librosa;
and as limits beepwatch's decoding alone and, of arithmetic, the Fourier transforms alone. Then the
whole verb: its time with one and two workers, its memory for few clips and for all, and a run over
many small files in which nothing has changed.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import soundfile

RATE_HZ = 16_000
SIZE, HOP, BANDS, COEFFICIENTS = 1_024, 512, 64, 20
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SPLITS = ("train", "dev")

RECIPE = f"""
features = [FEATURES]
[sound]
rate_hz = {RATE_HZ}
channel = "mean"
[frames]
fft_samples = {SIZE}
window_samples = {SIZE}
hop_samples = {HOP}
window = "hann"
periodic = true
divided_by = "nothing"
centred = true
padding = "zeros"
precision = "single"
[mel]
bands = {BANDS}
lowest_hz = 0
highest_hz = {RATE_HZ // 2}
scale = "slaney"
norm = "slaney"
power = 2
[log]
base = 10
factor = 10
gain = 1
floor = 1e-10
floor_is = "least"
[normalisation]
kind = "none"
"""
MFCC = f"""
[mfcc]
coefficients = {COEFFICIENTS}
norm = "ortho"
lifter = 0
"""

# What a lane says and hears: ready, go, and then what it took.
LANE = """
import json, sys, time
paths = json.loads(sys.stdin.readline())
sums = [work(paths[0]) for _ in range(2)]
print("ready", flush=True)
sys.stdin.readline()
begun, busy = time.perf_counter(), time.process_time()
checksum = sum(work(path) for path in paths)
print(json.dumps([time.perf_counter() - begun, time.process_time() - busy, checksum]))
"""
LIBROSA = f"""
import librosa, numpy as np
def work(path):
    sound, rate_hz = librosa.load(path, sr={RATE_HZ})
    mel = librosa.feature.melspectrogram(
        y=sound, sr=rate_hz, n_fft={SIZE}, hop_length={HOP}, n_mels={BANDS}, fmax=rate_hz / 2)
    rows = librosa.power_to_db(mel, amin=1e-10, top_db=None)
    if MFCC:
        rows = librosa.feature.mfcc(S=rows, n_mfcc={COEFFICIENTS})
    return float(rows.mean())
"""
TORCHAUDIO = f"""
import soundfile, torch
from beepwatch.train.frontend import torchaudio
torch.set_num_threads(1)
mel = dict(n_fft={SIZE}, hop_length={HOP}, n_mels={BANDS}, f_min=0, f_max={RATE_HZ / 2},
           norm="slaney", mel_scale="slaney", pad_mode="constant")
if MFCC:
    transform = torchaudio.transforms.MFCC({RATE_HZ}, {COEFFICIENTS}, melkwargs=mel)
    transform.amplitude_to_DB.top_db = None
else:
    spectrum = torchaudio.transforms.MelSpectrogram({RATE_HZ}, **mel)
    transform = torch.nn.Sequential(spectrum, torchaudio.transforms.AmplitudeToDB())
def work(path):
    sound, rate_hz = soundfile.read(path, dtype="float32")
    with torch.inference_mode():
        return float(transform(torch.from_numpy(sound)).mean())
"""
BEEPWATCH = """
import io
from pathlib import Path
from threadpoolctl import threadpool_limits
from beepwatch.train.featuring.recipe import read_feature_recipe
from beepwatch.train.featuring.sound import Recording
from beepwatch.train.featuring.work import write_features
recipe = read_feature_recipe(Path(RECIPE))
threadpool_limits(1)
def work(path):
    return write_features(io.BytesIO(), recipe, Recording(Path(path), recipe.sound).pieces())
"""
DECODING = f"""
from pathlib import Path
from beepwatch.train.featuring.recipe import SoundRecipe
from beepwatch.train.featuring.sound import Recording
sound = SoundRecipe(rate_hz={RATE_HZ}, channel="mean")
def work(path):
    return sum(len(piece) for piece in Recording(Path(path), sound).pieces())
"""
TRANSFORMS = f"""
import numpy as np, scipy.fft, soundfile
block = np.random.default_rng(0).normal(size=(128, {SIZE})).astype(np.float32)
def work(path):
    frames = 1 + soundfile.info(path).frames // {HOP}
    for first in range(0, frames, 128):
        scipy.fft.rfft(block[: min(128, frames - first)], axis=1)
    return frames
"""


class Lanes:
    """One way of making features, in as many processes as workers."""

    def __init__(self, name: str, python: str, code: str) -> None:
        self.name = name
        self._command = [python, "-c", code + LANE]

    def run(self, paths: Sequence[str], workers: int) -> tuple[float, float, float]:
        """Seconds until the last process was done, processor seconds of all, and a check sum."""
        lanes = [self._started(paths[number::workers]) for number in range(workers)]
        for lane in lanes:
            assert lane.stdout is not None  # noqa: S101 - it is a pipe
            if lane.stdout.readline().strip() != "ready":
                raise SystemExit(f"{self.name} did not start")
        for lane in lanes:
            assert lane.stdin is not None  # noqa: S101 - it is a pipe
            lane.stdin.write("go\n")
            lane.stdin.flush()
        answers = [json.loads(lane.communicate()[0].splitlines()[-1]) for lane in lanes]
        walls, busy, sums = zip(*answers, strict=True)
        return max(walls), sum(busy), sum(sums)

    def _started(self, paths: Sequence[str]) -> "subprocess.Popen[str]":
        lane = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_CORE, "PYTHONWARNINGS": "ignore"},
        )
        assert lane.stdin is not None  # noqa: S101 - it is a pipe
        lane.stdin.write(json.dumps(list(paths)) + "\n")
        lane.stdin.flush()
        return lane


def clips(data: Path) -> list[tuple[str, float]]:
    """Paths and seconds of the clips at 16 kHz."""
    with (data / "manifest.csv").open(newline="") as file:
        return [
            (str(data / row["path"]), float(row["duration_s"]))
            for row in csv.DictReader(file)
            if row["split"] in SPLITS and row["rate_hz"] == str(RATE_HZ)
        ]


def side_by_side(
    sides: Sequence[Lanes], paths: Sequence[str], duration_s: float, workers: int, times: int
) -> Iterator[str]:
    """All sides in turns, several times; a line each, beside the first."""
    walls: dict[str, list[float]] = {side.name: [] for side in sides}
    busies: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(times):
        for side in sides:
            wall_s, busy_s, _ = side.run(paths, workers)
            walls[side.name].append(wall_s)
            busies[side.name].append(busy_s)
    ours = sides[0].name
    for side in sides:
        wall_s, busy_s = (statistics.median(each[side.name]) for each in (walls, busies))
        ratios = [
            theirs / mine for theirs, mine in zip(busies[side.name], busies[ours], strict=True)
        ]
        yield (
            f"    {side.name:12} {wall_s:7.2f} s ({duration_s / wall_s:6.0f} times real time), "
            f"{busy_s:7.2f} s of processor, {statistics.median(ratios):5.2f} times {ours}'s "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def peak_mb(command: Sequence[str]) -> tuple[float, float]:
    """Most memory that a program and its children held together, MB (PSS), and its seconds."""
    begun_s = time.monotonic()
    running = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0
    while running.poll() is None:
        most = max(most, _held(running))
        time.sleep(0.02)
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {running.returncode}")
    return most / 1e6, time.monotonic() - begun_s


def _held(process: psutil.Process) -> int:
    held = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            held += one.memory_full_info().pss
    except psutil.Error:  # it has ended meanwhile
        return 0
    return held


class Verb:
    """`beepwatch dataset features`."""

    def __init__(self, recipe: Path, out: Path) -> None:
        self._words = [sys.executable, "-m", "beepwatch", "dataset", "features", str(recipe)]
        self._out = out

    def run(self, data: Path, workers: int, *, again: bool = False) -> tuple[float, float]:
        """Its peak of memory, MB, and its seconds; the store is new unless `again`."""
        if not again:
            shutil.rmtree(self._out, ignore_errors=True)
        words = ["--data", str(data), "--out", str(self._out), "--workers", str(workers)]
        return peak_mb([*self._words, *words])


@contextmanager
def linked(paths: Sequence[str], below: Path) -> Iterator[Path]:
    """The clips in one directory with a table of them."""
    root = below / f"clips-{len(paths)}"
    root.mkdir()
    with (root / "dataset.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path"], *([path] for path in paths)])
    yield root
    shutil.rmtree(root)


def whole_verb(paths: Sequence[str], duration_s: float, recipe: Path, below: Path) -> Iterator[str]:
    """Time and memory of the program, for few clips and for all."""
    verb = Verb(recipe, below / "store")
    for some in (paths[:: max(len(paths) // 200, 1)], paths):
        with linked(some, below) as data:
            for workers in (1, 2):
                most_mb, taken_s = verb.run(data, workers)
                yield (
                    f"    {len(some)} clips, {workers} workers: {taken_s:.2f} s, "
                    f"{most_mb:.0f} MB at most in all processes"
                )
            yield f"      again, nothing changed: {verb.run(data, 2, again=True)[1]:.2f} s"
    yield f"    (all clips are {duration_s / 3_600:.2f} h)"


def many_files(count: int, recipe: Path, below: Path) -> Iterator[str]:
    """A run over many files in which nothing has changed."""
    data = below / "many"
    data.mkdir()
    hiss = np.random.default_rng(1).normal(0, 0.1, count + 1_600)
    for number in range(count):
        soundfile.write(data / f"{number:06}.wav", hiss[number : number + 1_600], RATE_HZ)
    time.sleep(2.5)  # a file that fresh is read again
    verb = Verb(recipe, below / "store")
    most_mb, taken_s = verb.run(data, 2)
    yield f"    {count} files of 0.1 s: {taken_s:.2f} s, {most_mb:.0f} MB"
    taken = sorted(verb.run(data, 2, again=True)[1] for _ in range(3))
    yield f"    again, nothing changed: {taken[1]:.2f} s (median of 3)"


def recipes_in(below: Path) -> dict[str, Path]:
    """What both sides make, by its name."""
    found = {"log-mel": below / "logmel.toml", "MFCC": below / "mfcc.toml"}
    found["log-mel"].write_text(RECIPE.replace("FEATURES", '"logmel"'))
    found["MFCC"].write_text(RECIPE.replace("FEATURES", '"mfcc"') + MFCC)
    return found


def sides_of(what: str, recipe: Path, librosa: Path | None) -> list[Lanes]:
    """Everybody who makes such features; the first is beepwatch."""
    mfcc = f"MFCC = {what == 'MFCC'}\n"
    sides = [
        Lanes("beepwatch", sys.executable, f"RECIPE = {str(recipe)!r}\n" + BEEPWATCH),
        Lanes("torchaudio", sys.executable, mfcc + TORCHAUDIO),
    ]
    if librosa:
        sides.append(Lanes("librosa", str(librosa), mfcc + LIBROSA))
    limits = {"decode alone": DECODING, "rfft alone": TRANSFORMS}
    return [*sides, *(Lanes(name, sys.executable, code) for name, code in limits.items())]


def as_wav(paths: Sequence[str], below: Path) -> list[str]:
    """The same clips as 16-bit WAV."""
    (below / "wav").mkdir()
    written = []
    for number, path in enumerate(paths):
        sound, rate_hz = soundfile.read(path, dtype="int16")
        written.append(str(below / "wav" / f"{number:06}.wav"))
        soundfile.write(written[-1], sound, rate_hz)
    return written


def sides(
    paths: Sequence[str], duration_s: float, below: Path, options: argparse.Namespace
) -> Iterator[str]:
    """Everybody's times, by format, feature and number of processes."""
    for form, files in (("FLAC", paths), ("WAV", as_wav(paths, below))):
        for what, recipe in recipes_in(below).items():
            for workers in options.workers:
                yield f"  load {form} + {what}, {len(files)} clips, {workers} processes"
                everybody = sides_of(what, recipe, options.librosa)
                yield from side_by_side(everybody, files, duration_s, workers, options.times)


def main() -> None:
    """Measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a directory with manifest.csv")
    parser.add_argument("--librosa", type=Path, metavar="PYTHON", help="compare with its librosa")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--hours", type=float, default=100.0, help="at most so much of the clips")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--only", choices=["sides", "verb", "files"], help="one part")
    options = parser.parse_args()
    chosen: list[tuple[str, float]] = []
    for clip in clips(options.data):
        if sum(length_s for _, length_s in chosen) < options.hours * 3_600:
            chosen.append(clip)
    paths = [path for path, _ in chosen]
    duration_s = sum(length_s for _, length_s in chosen)
    with tempfile.TemporaryDirectory() as name:
        below = Path(name)
        recipe = recipes_in(below)["MFCC"]
        parts: dict[str, Callable[[], Iterator[str]]] = {
            "sides": lambda: sides(paths, duration_s, below, options),
            "verb": lambda: whole_verb(paths, duration_s, recipe, below),
            "files": lambda: many_files(options.files, recipe, below),
        }
        for part, lines in parts.items():
            if options.only in (None, part):
                print(part, flush=True)
                for line in lines():
                    print(line, flush=True)


if __name__ == "__main__":
    main()
