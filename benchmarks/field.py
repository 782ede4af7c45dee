"""False alarms in hours of music and voices: python -m benchmarks.field [--packages DIR].

Debian's music of games and voices of telephone exchanges hold no appliance, and anyone can fetch
them. What is not in DIR yet is fetched by `apt-get download`, which keeps it there; recordings that
come twice are heard once. `decide/company.py` was chosen with the first table, not with the second.
"""

import argparse
import csv
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import soundfile

from beepwatch.train.judging.detection import poisson_interval

CHOSEN_WITH = {
    "music": [
        "asc-music",
        "asterisk-moh-opsound-wav",
        "colobot-common-sounds",
        "hyperrogue-music",
        "planetblupi-music-ogg",
        "singularity-music",
        "wesnoth-1.16-music",
    ],
    "voices": [
        "asterisk-core-sounds-en-wav",
        "asterisk-core-sounds-es-wav",
        "asterisk-core-sounds-fr-wav",
        "fillets-ng-data-cs",
    ],
}
UNSEEN = {
    "music": ["drascula-music", "frozen-bubble-data", "supertux-data", "warzone2100-music"],
    "voices": [
        "asterisk-core-sounds-it-wav",
        "asterisk-core-sounds-ru-wav",
        "fillets-ng-data-nl",
    ],
}
SUFFIXES = {".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}


@dataclass
class Told:
    """What was found in so much sound."""

    hours: float = 0.0
    alarms: int = 0

    def __str__(self) -> str:
        least, most = poisson_interval(self.alarms, self.hours)
        rate = self.alarms / self.hours
        told = f"{self.hours:5.2f} h, {self.alarms:4d} alarms"
        return f"{told}, {rate:6.1f} an hour (95 %: {least:.1f} to {most:.1f})"


def main() -> None:
    """Fetch, scan, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packages", type=Path, help="where they are kept, some 0.8 GB")
    parser.add_argument("--program", type=Path, default=Path(sys.executable).parent / "beepwatch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        kept = options.packages or Path(scratch) / "packages"
        kept.mkdir(parents=True, exist_ok=True)
        for title, kinds in {"chosen with": CHOSEN_WITH, "unseen": UNSEEN}.items():
            print(title)
            for kind, packages in kinds.items():
                whole = Told()
                for package in packages:
                    one = heard(fetched(package, kept), options.program)
                    whole.hours += one.hours
                    whole.alarms += one.alarms
                    print(f"  {package:30} {one}", flush=True)
                print(f"  {'all ' + kind:30} {whole}")


def fetched(package: str, kept: Path) -> Path:
    """Its archive, from Debian if it is not kept yet."""
    if not any(kept.glob(f"{package}_*.deb")):
        subprocess.run(["apt-get", "download", "-q", package], cwd=kept, check=True)
    return next(kept.glob(f"{package}_*.deb"))


def heard(archive: Path, program: Path) -> Told:
    """What the program finds in an archive's recordings."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
        told = Told()
        for path in recordings(root):
            with suppress(soundfile.LibsndfileError):  # one is damaged
                info = soundfile.info(path)
                told.hours += info.frames / info.samplerate / 3_600
        table = root / "found.csv"
        command: list[str | Path] = [program, "scan", "--csv", table, root]
        if (code := subprocess.run(command, stdout=sys.stderr).returncode) not in (0, 1):
            raise SystemExit(f"{program} scan ends with {code}; 1 were files that nobody can read")
        with table.open(encoding="utf-8", newline="") as file:
            told.alarms = sum(1 for _ in csv.DictReader(file))
        return told


def recordings(root: Path) -> Iterator[Path]:
    """Each once: links and all copies of one but the first are deleted."""
    known = set()
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            path.unlink()
        if path.suffix not in SUFFIXES or not path.is_file():
            continue
        content = hashlib.sha256(path.read_bytes()).digest()
        if content in known:
            path.unlink()
        else:
            known.add(content)
            yield path


if __name__ == "__main__":
    main()
