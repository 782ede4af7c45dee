"""Windows of which the classifier keeps dying: put aside on the disk, where a person can look."""

import os
import wave
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from beepwatch.messages import Fault, FaultKind, Hum, Quiet, Window

DIRECTORY = "poison"
KEPT = 20  # the newest ones
TOLD_EVERY = timedelta(hours=1)  # all are in the log

_log = structlog.get_logger()


class Poison:
    """The folder `poison` in the state directory: private, and never more than `KEPT` files."""

    def __init__(self, state: Path) -> None:
        self._directory = state / DIRECTORY
        self._told_at: datetime | None = None

    def put_aside(self, span: Window | Quiet, now: datetime) -> Fault | None:
        """Keep the window as a WAV file; a fault unless one was told a moment ago."""
        name = f"{span.started_at:%Y%m%dT%H%M%S.%f}-{span.sequence}.wav"
        path: Path | None = self._directory / name
        try:
            self._write(span, self._directory / name)
        except OSError as error:
            _log.error("window_not_kept", file=name, error=error.strerror)
            path = None
        _log.error("window_put_aside", file=path and str(path), sequence=span.sequence)
        if self._told_at is not None and timedelta() <= now - self._told_at < TOLD_EVERY:
            return None
        self._told_at = now
        kept = f"; it is kept as {path}" if path else ""
        text = f"the classifier keeps dying of the sound of {span.started_at:%F %T} UTC{kept}"
        return Fault(kind=FaultKind.MODEL, text=text, since=now)

    def _write(self, span: Window | Quiet, path: Path) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file, wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(span.rate_hz)
            sound.writeframes(span.pcm if isinstance(span, Window | Hum) else b"")
        files = sorted(self._directory.glob("*.wav"), key=lambda one: one.stat().st_mtime_ns)
        for old in files[:-KEPT]:
            old.unlink()
