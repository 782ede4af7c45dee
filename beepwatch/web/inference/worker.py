"""A process that hears one upload after another: `python -m beepwatch.web.inference.worker FD`.

FD is a connection to the server. First come the settings, then for every upload a byte, how much is
asked, and with it the descriptor of the sound; every answer goes back with its length before it. A
file that ends this process, or makes it grow or hang, costs no other process anything.
"""

import contextlib
import os
import resource
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import Answers, answers_of_stream, undated
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import TaughtEngine, open_taught
from beepwatch.decide import episodes
from beepwatch.decide.episodes import Change, Closed, EpisodeTracker
from beepwatch.decide.recent import RecentSound
from beepwatch.errors import BeepwatchError, SourceError, UnreadableAudio
from beepwatch.web.inference.answers import Episode, Heard, Ready, Refused, Stretch, Unable

LONGEST_S = 3_600.0  # of sound in one upload
LENGTH = struct.Struct("<I")  # before every message but the uploads
VERDICT, IN_FULL = b"\0", b"\1"  # what is asked of an upload
_MOST_MEMORY_BYTES = 1_500_000_000  # a damaged file may ask for any amount
_DECIDED_AT_ONCE = 250  # frames
_NAMED = "the file"  # what an upload is called in what is said of it


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to hear with."""

    bundle: str
    runtime: Literal["onnx", "torch"]
    state: str  # the state directory, whose taught sounds are heard too


class _TooLong(Exception):
    pass


class Hearing:
    """One upload on its way: scored stretch by stretch, in memory that does not grow with it.

    For a verdict windows are left out, and pulses stay as the network tells them: nobody would see
    either, and to count pulses takes half as long as to hear them.
    """

    def __init__(self, engine: TaughtEngine, window_s: float, *, in_full: bool = True) -> None:
        self._engine = engine
        self._in_full = in_full
        self._recent = RecentSound(engine.rate_hz)
        self._tracker = EpisodeTracker(engine.thresholds, context_s=0.0, ear=self._recent)
        self._window_frames = max(1, round(window_s / engine.frame_s))
        self._frames = 0
        self._samples = 0
        self._episodes: list[Episode] = []
        self._peaks: list[NDArray[np.float32]] = []  # of each window, [labels]
        self._problem: str | None = None

    def of(self, path: Path) -> Heard | Refused:
        """The whole of it, or why not."""
        try:
            for answers in answers_of_stream(self._engine, self._sound(path)):
                self._follow(answers)
        except _TooLong:
            minutes = LONGEST_S / 60
            return Refused(
                status=413,
                reason=f"it is longer than {minutes:g} min. Send it in pieces, or use "
                "`beepwatch scan`, which takes any length.",
            )
        if self._frames == 0:
            return Refused(status=400, reason=self._problem or f"{_NAMED} holds no sound.")
        self._keep(self._tracker.finish())
        return Heard(
            duration_s=round(self._samples / self._engine.rate_hz, 3),
            probabilities=_rounded(np.max(self._peaks, axis=0)),
            events=sorted(self._episodes, key=lambda one: one.onset_s),
            windows=self._windows() if self._in_full else [],
            problem=self._problem,
        )

    def _sound(self, path: Path) -> Iterator[NDArray[np.int16]]:
        """What there is of it; less than a frame is followed by silence, to be one."""
        least = round(self._engine.frame_s * self._engine.rate_hz)
        most = LONGEST_S * self._engine.rate_hz
        try:
            with contextlib.closing(decode(path, self._engine.rate_hz)) as blocks:
                for block in blocks:
                    self._samples += len(block)
                    if self._samples > most:
                        raise _TooLong
                    self._recent.add(block)
                    yield block
        except (UnreadableAudio, SourceError) as error:
            self._problem = _of_the_upload(error, path)
        if 0 < self._samples < least:
            yield np.zeros(least - self._samples, np.int16)

    def _follow(self, answers: Answers) -> None:
        for start in range(0, len(answers.probabilities), _DECIDED_AT_ONCE):
            piece = answers.part(start, _DECIDED_AT_ONCE)
            self._note_peaks(piece.probabilities)
            changes = self._tracker.hear(undated(piece, self._engine, self._frames))
            self._frames += len(piece.probabilities)
            self._keep(changes)

    def _note_peaks(self, probabilities: NDArray[np.float32]) -> None:
        """Of frames that follow those so far, whichever windows they lie in."""
        start = 0
        while start < len(probabilities):
            within = (self._frames + start) % self._window_frames
            piece = probabilities[start : start + self._window_frames - within]
            highest = piece.max(axis=0)
            if within == 0:
                self._peaks.append(highest)
            else:
                self._peaks[-1] = np.maximum(self._peaks[-1], highest)
            start += len(piece)

    def _keep(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Closed):
                told = change.episode
                if self._in_full:
                    told = self._recent.recounted(told)
                self._episodes.append(_shown(told))

    def _windows(self) -> list[Stretch]:
        length_s = self._window_frames * self._engine.frame_s
        end_s = self._samples / self._engine.rate_hz
        return [
            Stretch(
                start_s=round(number * length_s, 3),
                end_s=round(min((number + 1) * length_s, end_s), 3),
                probabilities=_rounded(peaks),
            )
            for number, peaks in enumerate(self._peaks)
        ]


def _shown(told: episodes.Episode) -> Episode:
    return Episode(
        label=told.label,
        onset_s=round(max(0.0, told.pulses[0].onset_s), 3),
        offset_s=round(told.pulses[-1].offset_s, 3),
        pulses=told.count,
        score=round(told.peak_score, 4),
    )


def _rounded(probabilities: NDArray[np.float32]) -> list[float]:
    return [round(float(one), 4) for one in probabilities]


def _of_the_upload(error: BeepwatchError, path: Path) -> str:
    """What is said of a file, without the path that it has here."""
    return str(error).replace(str(path), _NAMED)


def send(connection: socket.socket, message: object) -> None:
    """With its length before it."""
    encoded = msgspec.msgpack.encode(message)
    connection.sendall(LENGTH.pack(len(encoded)) + encoded)


def _receive_settings(connection: socket.socket) -> Settings:
    length = LENGTH.unpack(connection.recv(LENGTH.size, socket.MSG_WAITALL))[0]
    encoded = connection.recv(length, socket.MSG_WAITALL)
    return msgspec.msgpack.decode(encoded, type=Settings)


def _opened(settings: Settings) -> tuple[TaughtEngine, float, Ready]:
    bundle = load_bundle(Path(settings.bundle))
    engine, problems = open_taught(bundle, settings.runtime, Shelf(Path(settings.state)))
    _prepare(engine, bundle.info.window_s)
    ready = Ready(
        name=bundle.info.name,
        model_id=engine.model_id,
        labels=list(engine.labels),
        thresholds=dict(engine.thresholds),
        problems=problems,
    )
    return engine, bundle.info.window_s, ready


def _prepare(engine: TaughtEngine, window_s: float) -> None:
    """Hear silence once, so that the first upload waits for nothing; then set limits."""
    engine.answers(np.zeros(round(window_s * engine.rate_hz), np.int16))
    for limit, value in ((resource.RLIMIT_DATA, _MOST_MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):  # a lower one is set already
            resource.setrlimit(limit, (value, value))
    with contextlib.suppress(OSError):  # if memory runs out, it is this process that goes
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def main(descriptor: int) -> None:
    """Hear until the server closes the connection."""
    with socket.socket(fileno=descriptor) as connection:
        try:
            engine, window_s, ready = _opened(_receive_settings(connection))
            send(connection, ready)
            while (asked := _next(connection)) is not None:
                wanted, sound = asked
                with _path_of(sound) as path:
                    answer = Hearing(engine, window_s, in_full=wanted == IN_FULL).of(path)
                send(connection, answer)
        except (BrokenPipeError, ConnectionResetError):
            return  # the server has ended
        except Exception as error:  # noqa: BLE001 - the server logs it and starts another process
            said = str(error) if isinstance(error, BeepwatchError) else repr(error)
            with contextlib.suppress(OSError):
                send(connection, Unable(reason=said))
            sys.exit(1)


@contextlib.contextmanager
def _path_of(descriptor: int) -> Iterator[Path]:
    """By way of this process's number, as ffmpeg opens it too; closed afterwards."""
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _next(connection: socket.socket) -> tuple[bytes, int] | None:
    """What is asked, and the descriptor of an upload; None once the server has ended."""
    wanted, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    return (wanted, descriptors[0]) if descriptors else None


if __name__ == "__main__":
    main(int(sys.argv[1]))
