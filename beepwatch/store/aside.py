"""What was put aside for a person to look at: damaged databases, and states that fitted nowhere.

It lies beside the database and counts as its clips do, so that years of a failing disk do not fill
it. The newest of each kind stays, whatever it takes.
"""

import re
import shutil
from collections import defaultdict
from pathlib import Path

import msgspec
import structlog

CORRUPT = "beepwatch.db.corrupt-"  # before UTC; so are its -wal and -shm
APART = "apart-"  # before UTC
KEPT = 3  # of each kind
_PUT_ASIDE = re.compile(
    rf"(?P<kind>{re.escape(CORRUPT)}|{APART})(?P<at>\d{{8}}T\d{{6}}Z)(-(?P<number>\d+))?(-wal|-shm)?"
)

_log = structlog.get_logger()


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: a database with its -wal and -shm, or a directory."""

    paths: tuple[Path, ...]
    size_bytes: int


def put_aside_in(directory: Path) -> dict[str, list[Aside]]:
    """What lies in a state directory, by kind, the newest last. Raises OSError."""
    groups: dict[str, dict[tuple[str, int], list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in directory.iterdir():
        if match := _PUT_ASIDE.fullmatch(path.name):
            groups[match["kind"]][match["at"], int(match["number"] or 1)].append(path)
    return {
        kind: [
            Aside(paths=tuple(paths), size_bytes=sum(map(_size_bytes, paths)))
            for _, paths in sorted(of_kind.items())
        ]
        for kind, of_kind in groups.items()
    }


def let_go(lying: dict[str, list[Aside]], surplus_bytes: float) -> int:
    """Delete all but the newest `KEPT` of each kind, and of these the oldest while there is a
    surplus; how many bytes that were. Raises OSError.
    """
    freed_bytes = 0
    for kind, of_kind in lying.items():
        for position, one in enumerate(of_kind[:-1]):
            if len(of_kind) - position <= KEPT and freed_bytes >= surplus_bytes:
                break
            for path in one.paths:
                _delete(path)
            freed_bytes += one.size_bytes
            _log.info("put_aside_deleted", kind=kind, names=[path.name for path in one.paths])
    return freed_bytes


def _size_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
