"""How fast `beepwatch scan` is: python -m benchmarks.scan [--hours 3] [--workers 1 2].

The whole program is timed, its start included, on hours of a household (`benchmarks/household.py`:
20 beeps an hour and 90 other sounds): as one 16 kHz WAV, as one 44.1 kHz stereo mp3 and as many
files of a minute; then on the demo's recording, repeated, which has a pattern every 16 s; then
memory, for ten minutes and for all the hours. With `--librosa PYTHON`, an interpreter that has
librosa (an environment of its own: `python -m venv V && V/bin/pip install librosa`), its mel
spectrogram of the same WAV is timed in turns with the scan, one core each: features alone against
the whole answer, as whole programs; and once more without librosa's imports and
first call, while beepwatch's start still counts.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks.household import Household

RATE_HZ = 16_000
MP3_RATE_HZ = 44_100
SHORT_FILE_S = 60
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# 64 bands over 25 ms windows every 10 ms, as sound classifiers take; librosa reads the file itself,
# ten minutes at a time, as an hour at once would take it gigabytes.
LIBROSA = """
import sys, time, librosa
path, piece_s = sys.argv[1], 600
def features():
    duration_s = librosa.get_duration(path=path)
    at_s = 0
    while at_s < duration_s:
        sound, rate_hz = librosa.load(path, sr=None, offset=at_s, duration=piece_s)
        librosa.feature.melspectrogram(
            y=sound, sr=rate_hz, n_fft=512, win_length=400, hop_length=160, n_mels=64)
        at_s += piece_s
sound, rate_hz = librosa.load(path, sr=None, duration=5)
librosa.feature.melspectrogram(y=sound, sr=rate_hz, n_fft=512, hop_length=160, n_mels=64)
begun_s = time.monotonic()
features()
print(time.monotonic() - begun_s)
"""


# Started from here, a program would count what this process holds as its own peak.
USED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss / 1e3, used.ru_utime + used.ru_stime)
"""


class Scan:
    """The program, run on recordings of known length."""

    def __init__(self, program: Path | None) -> None:
        self._command = [str(program)] if program else [sys.executable, "-m", "beepwatch"]

    def seconds(self, path: Path, workers: int) -> float:
        """Of one run, from its start to its end."""
        begun_s = time.monotonic()
        self.run(path, workers)
        return time.monotonic() - begun_s

    def run(self, path: Path, workers: int) -> int:
        """Scan; how many episodes were found."""
        command = [*self._command, "scan", str(path), "--json", "--workers", str(workers)]
        done = subprocess.run(command, check=True, capture_output=True)
        return len(done.stdout.splitlines())

    def used(self, path: Path, workers: int) -> tuple[float, float]:
        """Most memory that one run held at a time, MB, and its processor time, s."""
        command = [*self._command, "scan", str(path), "--json", "--workers", str(workers)]
        done = subprocess.run(
            [sys.executable, "-c", USED, *command], check=True, capture_output=True, text=True
        )
        peak_mb, processor_s = map(float, done.stdout.split())
        return peak_mb, processor_s


def household(hours: float) -> NDArray[np.int16]:
    """What a microphone in a home hears."""
    minutes = [minute.pcm for minute in Household().minutes(hours)]
    return np.concatenate(minutes)[: round(hours * 3_600 * RATE_HZ)]


def kitchen(duration_s: float) -> NDArray[np.int16]:
    """The demo's recording, as often as it takes."""
    recording = str(files("beepwatch.daemon").joinpath("demo", "kitchen.flac"))
    sound, rate_hz = soundfile.read(recording, dtype="int16")
    if rate_hz != RATE_HZ:
        raise SystemExit(f"{recording} has {rate_hz} Hz; expected {RATE_HZ}")
    samples = round(duration_s * RATE_HZ)
    return np.tile(sound, -(-samples // len(sound)))[:samples]


def write_mp3(path: Path, sound: NDArray[np.int16]) -> None:
    """44.1 kHz stereo at 128 kbit/s, as music players and recorders make it."""
    wav = path.with_suffix(".wav")
    louder = soxr.resample(sound, RATE_HZ, MP3_RATE_HZ)
    soundfile.write(wav, np.stack([louder, louder // 2], axis=1), MP3_RATE_HZ)
    command = ["ffmpeg", "-loglevel", "error", "-i", str(wav), "-b:a", "128k", str(path)]
    subprocess.run(command, check=True)
    wav.unlink()


@contextmanager
def recordings(hours: float) -> Iterator[dict[str, tuple[Path, float]]]:
    """Path and length in seconds of what is scanned, by what it is."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sound = household(hours)
        soundfile.write(directory / "hours.wav", sound, RATE_HZ)
        soundfile.write(directory / "dense.wav", kitchen(hours * 3_600), RATE_HZ)
        soundfile.write(directory / "short.wav", sound[: 600 * RATE_HZ], RATE_HZ)
        write_mp3(directory / "hour.mp3", sound[: 3_600 * RATE_HZ])
        (directory / "many").mkdir()
        pieces = [
            sound[start : start + SHORT_FILE_S * RATE_HZ]
            for start in range(0, min(len(sound), 3_600 * RATE_HZ), SHORT_FILE_S * RATE_HZ)
        ]
        for number, piece in enumerate(pieces):
            soundfile.write(directory / "many" / f"{number:03}.wav", piece, RATE_HZ)
        hour_s = min(hours, 1.0) * 3_600
        yield {
            f"{hours:g} h of 16 kHz WAV": (directory / "hours.wav", hours * 3_600),
            f"{len(pieces)} files of 16 kHz WAV, {SHORT_FILE_S} s each": (
                directory / "many",
                sum(len(piece) for piece in pieces) / RATE_HZ,
            ),
            f"{hour_s / 3_600:g} h of 44.1 kHz stereo mp3": (directory / "hour.mp3", hour_s),
            f"{hours:g} h of 16 kHz WAV, a pattern every 16 s": (
                directory / "dense.wav",
                hours * 3_600,
            ),
            "10 min of 16 kHz WAV": (directory / "short.wav", min(hours * 3_600, 600.0)),
        }


def speed(scan: Scan, path: Path, duration_s: float, workers: int, times: int) -> str:
    """One line of the table: median and best of several runs."""
    taken_s = [scan.seconds(path, workers) for _ in range(times)]
    middle_s = statistics.median(taken_s)
    return (
        f"{workers} workers: {duration_s / middle_s:6.0f} times real time (median of {times}: "
        f"{middle_s:.2f} s; best {min(taken_s):.2f} s)"
    )


def against_librosa(scan: Scan, python: Path, path: Path, times: int) -> list[str]:
    """Both in turns, one core each: each pair's ratio, so that a shared load meets both."""
    rows = []
    for _ in range(times):
        answer_s = scan.seconds(path, 1)
        begun_s = time.monotonic()
        done = subprocess.run(
            [str(python), "-c", LIBROSA, str(path)],
            env={**os.environ, **ONE_CORE},
            check=True,
            capture_output=True,
            text=True,
        )
        rows.append((answer_s, time.monotonic() - begun_s, float(done.stdout)))
    answers_s, programs_s, features_s = zip(*rows, strict=True)
    return [
        _compared("whole programs", answers_s, programs_s),
        _compared("without librosa's start", answers_s, features_s),
    ]


def _compared(what: str, answers_s: Sequence[float], features_s: Sequence[float]) -> str:
    ratios = [theirs_s / ours_s for ours_s, theirs_s in zip(answers_s, features_s, strict=True)]
    return (
        f"{what}: beepwatch's answer {statistics.median(answers_s):.2f} s, librosa's mel "
        f"spectrogram {statistics.median(features_s):.2f} s, {statistics.median(ratios):.2f} times "
        f"as long (median of {len(ratios)} pairs, {min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> None:
    """Write the recordings, scan them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--program", type=Path, help="the beepwatch executable to measure")
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--librosa", type=Path, metavar="PYTHON", help="compare with its librosa")
    options = parser.parse_args()
    scan = Scan(options.program)
    with recordings(options.hours) as given:
        for what, (path, duration_s) in given.items():
            print(f"{what}, {scan.run(path, max(options.workers))} episodes")
            for workers in options.workers:
                print("  " + speed(scan, path, duration_s, workers, options.times))
                peak_mb, processor_s = scan.used(path, workers)
                print(f"    {peak_mb:.0f} MB at most, {processor_s:.2f} s of processor time")
        if options.librosa:
            path, _ = next(iter(given.values()))
            print("\n".join(against_librosa(scan, options.librosa, path, options.times)))


if __name__ == "__main__":
    main()
