"""Which recordings were brought in already, and as which clips: `.beepwatch/imported.jsonl`."""

import contextlib
import hashlib
from pathlib import Path
from typing import IO

import msgspec

from beepwatch.train.datasets.gathering import Job, Manner
from beepwatch.train.datasets.surveying import FOLDER

_NAME = "imported.jsonl"
Cells = dict[str, str]


class _Receipt(msgspec.Struct, kw_only=True):
    """A recording as it was, how it was brought in, and its clips."""

    key: str
    clips: tuple[Cells, ...]


class Receipts:
    """Lines on disk; a line that is no receipt counts for nothing."""

    def __init__(self, out: Path, manner: Manner) -> None:
        self._out = out
        self._file = out / FOLDER / _NAME
        self._manner = msgspec.json.encode(manner, enc_hook=str)
        self._begins: dict[str, int] = {}
        self._handle: IO[bytes]

    def __enter__(self) -> "Receipts":
        self._handle = self._file.open("a+b")
        self._handle.seek(0)
        begin = 0
        for line in self._handle:
            with contextlib.suppress(msgspec.MsgspecError):
                self._begins[msgspec.json.decode(line, type=_Receipt).key] = begin
            begin += len(line)
        self._handle.write(b"\n")  # the last line may have been cut off
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def find(self, job: Job) -> tuple[Cells, ...] | None:
        """The clips of a recording that has not changed, if all of them are there."""
        begin = self._begins.get(self._key(job) or "")
        if begin is None:
            return None
        self._handle.seek(begin)
        clips = msgspec.json.decode(self._handle.readline(), type=_Receipt).clips
        return clips if all((self._out / clip["path"]).is_file() for clip in clips) else None

    def keep(self, job: Job, clips: tuple[Cells, ...]) -> None:
        """These clips are there now."""
        if key := self._key(job):
            self._handle.write(msgspec.json.encode(_Receipt(key=key, clips=clips)) + b"\n")
            self._handle.flush()

    def _key(self, job: Job) -> str | None:
        """Of what the clips depend on: the file, its names, what is known of it, how it is cut."""
        try:
            status = job.file.stat()
            changed_ns = job.origin.stat().st_ctime_ns  # which nobody can set as it was
        except OSError:
            return None
        looks = (status.st_size, status.st_mtime_ns, str(job.origin), changed_ns)
        parts = (job.source, job.stem, *looks)
        described = msgspec.json.encode(job.described)
        text = b"\n".join([repr(parts).encode(), described, self._manner])
        return hashlib.sha256(text).hexdigest()
