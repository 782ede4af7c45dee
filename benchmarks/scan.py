"""How fast `beepwatch scan` reads: python -m benchmarks.scan [--hours 1] [--workers 1].

The whole program is timed, its start included, on the demo's recording, repeated; 16 kHz WAV.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile


def main() -> None:
    """Write the recording, scan it, print the ratio to real time."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--program", type=Path, help="the beepwatch executable to measure")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    recording = str(files("beepwatch.daemon").joinpath("demo", "kitchen.flac"))
    sound, rate_hz = soundfile.read(recording, dtype="int16")
    copies = round(options.hours * 3_600 * rate_hz / len(sound))
    command: list[str | Path] = (
        [options.program] if options.program else [sys.executable, "-m", "beepwatch"]
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "hours.wav"
        soundfile.write(path, np.tile(sound, copies), rate_hz)
        duration_s = copies * len(sound) / rate_hz
        taken_s = []
        for _ in range(options.times):
            begun_s = time.monotonic()
            done = subprocess.run(
                [*command, "scan", path, "--json", "--workers", str(options.workers)],
                check=True,
                capture_output=True,
            )
            taken_s.append(time.monotonic() - begun_s)
    best_s, median_s = min(taken_s), sorted(taken_s)[len(taken_s) // 2]
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    found = len(done.stdout.splitlines())
    print(
        f"{duration_s:.0f} s of sound in {median_s:.2f} s (median of {options.times}; "
        f"best {best_s:.2f} s): {duration_s / median_s:.0f} times real time, "
        f"{found} episodes, {peak_mb:.0f} MB at most"
    )


if __name__ == "__main__":
    main()
