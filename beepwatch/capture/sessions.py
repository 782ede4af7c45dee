"""What a session of recording is: what for, its files, and the JSON beside them."""

from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

log = structlog.get_logger()


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a session records: every file of it is taken for this."""

    label: str
    appliance: str = ""  # `--device`
    room: str = ""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is whole on the disk."""

    path: Path
    subject: Subject
    session: str  # the stem of its JSON
    source: str
    rate_hz: int
    duration_s: float


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes a file for, before anybody has listened to it."""

    label: str  # the likeliest
    score: float  # its highest frame probability
    heard: bool  # whether that is enough for an alert


class Clerk(Protocol):
    """Looks after files once they are written, beside the recording."""

    def take(self, recorded: Recorded) -> None:
        """One more; does not wait."""
        ...

    def judgements(self) -> dict[str, Judgement]:
        """Those that have come since this was last asked, by the file's name."""
        ...

    def finish(self, within_s: float) -> None:
        """Be done with what was taken; what takes longer is left."""
        ...


class RecordingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One session of recording; it is what the JSON beside the files holds."""

    label: str
    appliance: str = ""
    room: str = ""
    source: str
    device: str  # which microphone
    rate_hz: int | None  # None: nothing was heard
    window_s: float
    gate: bool
    gate_over_floor_db: float
    started: datetime  # UTC
    stopped: datetime | None  # UTC; None while it runs, or after a crash
    complete: bool
    files: tuple[str, ...]
    judgements: dict[str, Judgement] = {}
    kb: float = 0.0  # of the files
    kb_before: float = 0.0  # of those of earlier sessions of the same
    counts: dict[str, int]
    faults: tuple[str, ...]


class _Earlier(msgspec.Struct, kw_only=True):
    """As much of an earlier session's JSON as tells what it left."""

    label: str
    appliance: str = ""
    room: str = ""
    files: tuple[str, ...] = ()


def left_by_earlier(directory: Path, subject: Subject) -> list[Path]:
    """The files that sessions of the same subject have left, as far as they are still there."""
    files = []
    for session in sorted(directory.glob("session-*.json")):
        try:
            written = session.read_bytes()
            if not written:
                continue  # just begun
            earlier = msgspec.json.decode(written, type=_Earlier)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("session_not_read", file=session.name, error=str(error))
            continue
        same = Subject(label=earlier.label, appliance=earlier.appliance, room=earlier.room)
        if same == subject:
            # By their bare names: whatever stands there, nothing outside the folder is counted.
            files += [directory / Path(name).name for name in earlier.files]
    return [file for file in files if file.is_file()]
