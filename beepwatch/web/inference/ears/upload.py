"""The sound of one upload, as every ear takes it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.errors import BeepwatchError, SourceError, UnreadableAudio
from beepwatch.web.inference.answers import ModelShown, Refused, Said

LONGEST_S = 3_600.0  # of sound in one upload
_NAMED = "the file"  # what an upload is called in what is said of it


class TooLong(Exception):
    """More than is taken."""


class UploadedSound:
    """Goes through once; then its length is known, and why there is no more of it."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        self._path = path
        self._rate_hz = rate_hz
        self.samples = 0  # so far
        self.problem: str | None = None

    @property
    def duration_s(self) -> float:
        """So far."""
        return round(self.samples / self._rate_hz, 3)

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """What there is of it, mono, each [samples]. Raises TooLong."""
        most = LONGEST_S * self._rate_hz
        try:
            with contextlib.closing(decode(self._path, self._rate_hz)) as blocks:
                for block in blocks:
                    self.samples += len(block)
                    if self.samples > most:
                        raise TooLong
                    yield block
        except (UnreadableAudio, SourceError) as error:
            self.problem = self._without_path(error)

    def _without_path(self, error: BeepwatchError) -> str:
        """What is said of a file, without the path that it has here."""
        return str(error).replace(str(self._path), _NAMED)


class Ear(Protocol):
    """What a worker hears with, ready."""

    model: ModelShown
    problems: list[str]  # of what is left out
    rate_hz: int

    def hear(self, sound: UploadedSound, *, in_full: bool) -> Said | None:
        """The whole of it; None if there is no sound. Enough for a verdict if not in full."""
        ...


def said_of(ear: Ear, path: Path, *, in_full: bool) -> Said | Refused:
    """Of an upload, or why nothing can be."""
    sound = UploadedSound(path, ear.rate_hz)
    try:
        said = ear.hear(sound, in_full=in_full)
    except TooLong:
        return Refused(
            status=413,
            reason=f"it is longer than {LONGEST_S / 60:g} min. Send it in pieces, or use "
            "`beepwatch scan`, which takes any length.",
        )
    if said is None:
        return Refused(status=400, reason=sound.problem or f"{_NAMED} holds no sound.")
    return said
