"""What is known of a machine, on the disk: `machines/NAME/heard.json`, for the next life.

Lost is what was heard since it was written last; without it a watch begins anew.
"""

import os
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from beepwatch.classify.bundle import content_of
from beepwatch.decide.condition import Memory

FILE = "heard.json"
_MOST_BYTES = 10_000
_OWNER_ONLY = 0o600

_log = structlog.get_logger()


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """As the file holds it."""

    model_id: str  # of what had been learned: of something else it says nothing
    kept_at: datetime  # UTC
    memory: Memory


def read_memory(home: Path, model_id: str, now: datetime) -> Memory | None:
    """What an earlier life knew; None if it knew nothing of this."""
    try:
        kept = msgspec.json.decode(content_of(home / FILE, _MOST_BYTES), type=_Kept)
        passed_s = max((now - kept.kept_at).total_seconds(), 0.0)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, TypeError) as error:
        _log.warning("machine_memory_unusable", file=str(home / FILE), error=str(error))
        return None
    if kept.model_id != model_id:
        return None
    return msgspec.structs.replace(kept.memory, since_ago_s=kept.memory.since_ago_s + passed_s)


def write_memory(home: Path, model_id: str, memory: Memory, now: datetime) -> None:
    """The whole file at once; a disk that does not take it costs no more than a line in the log."""
    fresh = home / f".{FILE}.fresh"
    try:
        fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(fresh, flags, _OWNER_ONLY), "wb") as file:
            file.write(msgspec.json.encode(_Kept(model_id=model_id, kept_at=now, memory=memory)))
        fresh.replace(home / FILE)
    except FileNotFoundError:
        return  # the machine was taken away just now
    except OSError as error:
        _log.warning("machine_memory_not_written", file=str(home / FILE), error=error.strerror)
