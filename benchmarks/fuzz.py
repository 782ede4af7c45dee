"""Feeds what beepwatch reads from outside with spoilt input, and says what it did not take well.

    python -m benchmarks.fuzz [--audio 20000] [--config 20000] [--bundle 5000] [--seed 1]

Inputs are made of good ones by a seeded generator: input N of a seed is always the same, and
`--only KIND:N` repeats one, `--first N` begins there. They are read by another process, and whoever
watches it notices its death, more than 5 s for one input, more than 300 MB of memory, and every
exception that is no BeepwatchError of one line. Exit code 1 if there was any such finding.

audio    WAV, FLAC, Ogg, Opus, mp3, AIFF, mp4: headers, bodies, lengths; read as `scan` reads, which
         is the standard library, libsndfile, then ffmpeg, and every twentieth as the daemon does
config   TOML files and variables: characters, values, tables, nesting; loaded and shown
bundle   bundle.json, the graph and the weights, with hashes that are made to fit for two thirds;
         loaded, opened with ONNX Runtime, and asked for an answer
"""

import argparse
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzz_inputs import KINDS, prepared

HANG_S = 5.0
START_S = 60.0  # until a reader is ready for its first input
MOST_MB = 300
INPUTS_A_READER = 2_000  # a new one now and then, so that its memory is that of few inputs


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One input that was not taken well."""

    kind: str
    number: int
    what: str


@dataclass(kw_only=True)
class Report:
    """What came of one kind's inputs."""

    kind: str
    inputs: int = 0
    slowest_s: float = 0.0
    most_mb: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def as_text(self, wall_s: float) -> str:
        """For people."""
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        lines = [
            f"{self.kind}: {self.inputs} inputs in {wall_s:.0f} s; slowest {self.slowest_s:.2f} s, "
            f"most memory {self.most_mb:.0f} MB; {outcomes}; {len(self.findings)} findings"
        ]
        lines += [f"  {one.kind}:{one.number} {one.what}" for one in self.findings]
        return "\n".join(lines)


class Reader:
    """The process that reads inputs FIRST to LAST of a kind and prints a line about each."""

    def __init__(
        self, kind: str, seed: int, first: int, last: int, directory: Path, *, ffmpeg: bool
    ) -> None:
        command = [sys.executable, "-m", "benchmarks.fuzz_inputs", kind]
        with (directory / "stderr").open("wb") as complaints:
            self._process = subprocess.Popen(
                [*command, str(seed), str(first), str(last), str(directory)],
                stdout=subprocess.PIPE,
                stderr=complaints,
                process_group=0,
                cwd=Path(__file__).parent.parent,
                env=None if ffmpeg else {"PATH": ""},
            )
        assert self._process.stdout is not None  # noqa: S101 - it is PIPE
        self._out = self._process.stdout.fileno()
        self._rest = b""

    def line(self, within_s: float) -> str | None:
        """The next line; "" at the end; None if none came in time."""
        until_s = time.monotonic() + within_s
        while b"\n" not in self._rest:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([self._out], [], [], left_s)[0]:
                return None
            data = os.read(self._out, 1 << 16)
            if not data:
                return ""
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def end(self) -> int:
        """Kill it if it lives; its exit code."""
        code = self._process.poll()
        if code is None:
            try:
                code = self._process.wait(0.2)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, 9)
                code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code


def fuzz(
    kind: str, seed: int, first: int, count: int, directory: Path, *, ffmpeg: bool = True
) -> Report:
    """Read `count` inputs of a kind from number `first` on."""
    report = Report(kind=kind)
    number, last = first, first + count
    while number < last:
        until = min(last, number + INPUTS_A_READER)
        reader = Reader(kind, seed, number, until, directory, ffmpeg=ffmpeg)
        patience_s = START_S
        while number < until:
            line = reader.line(patience_s)
            if line == "ready":
                patience_s = HANG_S
                continue
            if not line:
                code = reader.end()
                what = f"took more than {HANG_S:.0f} s" if line is None else f"died with {code}"
                last_words = (directory / "stderr").read_text(errors="replace").strip()[-300:]
                report.findings.append(
                    Finding(kind=kind, number=number, what=f"{what} {last_words!r}")
                )
                report.inputs += 1
                number += 1
                break
            number += 1
            if _note(report, line) > MOST_MB:
                break  # the most is that of its whole life: another reader starts low again
        reader.end()
    return report


def _note(report: Report, line: str) -> float:
    """Count NUMBER SECONDS MEGABYTES OUTCOME DETAIL; the megabytes."""
    number, seconds, megabytes, outcome, detail = line.split(" ", 4)
    report.inputs += 1
    report.slowest_s = max(report.slowest_s, float(seconds))
    report.most_mb = max(report.most_mb, float(megabytes))
    report.outcomes[outcome] += 1
    what = detail if outcome == "BUG" else ""
    if float(megabytes) > MOST_MB:
        what = f"{megabytes} MB of memory"
    if what:
        report.findings.append(Finding(kind=report.kind, number=int(number), what=what))
    return float(megabytes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for kind, inputs in KINDS.items():
        parser.add_argument(f"--{kind}", type=int, default=inputs.default, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="Begin with input N.")
    parser.add_argument("--only", metavar="KIND:N", help="One input, again.")
    parser.add_argument(
        "--without-ffmpeg", action="store_true", help="What runs in our own process, soon."
    )
    given = parser.parse_args(arguments)
    wanted = {kind: (given.first, getattr(given, kind)) for kind in KINDS}
    if given.only:
        kind, _, number = given.only.partition(":")
        wanted = {kind: (int(number), 1)}
    found = False
    directory = Path(tempfile.mkdtemp(prefix="beepwatch-fuzz-"))
    try:
        for kind, (first, count) in wanted.items():
            if not count:
                continue
            prepared(kind, directory)
            began_s = time.monotonic()
            report = fuzz(
                kind, given.seed, first, count, directory, ffmpeg=not given.without_ffmpeg
            )
            print(report.as_text(time.monotonic() - began_s), flush=True)
            found = found or bool(report.findings)
    finally:
        shutil.rmtree(directory)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
