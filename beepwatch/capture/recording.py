"""The body of `beepwatch record`: training data, as the microphone heard it.

What the gate lets through is written as WAV at the device's own rate, mono; a JSON beside it tells
how the session was made. Nothing that is there is ever written over, whoever else records into the
same folder.
"""

import errno
import itertools
import threading
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec
import structlog
from rich.console import Console
from rich.live import Live
from rich.text import Text

from beepwatch.capture.levels import meter
from beepwatch.capture.listening import Heard, Listener, Speed
from beepwatch.capture.pipes import nothing_came
from beepwatch.capture.sessions import (
    Clerk,
    Judgement,
    Recorded,
    RecordingSummary,
    Subject,
    left_by_earlier,
)
from beepwatch.clock import Clock, SystemClock
from beepwatch.errors import (
    BeepwatchError,
    ConfigurationError,
    DiskFull,
    MicrophoneNotFound,
    SourceError,
)
from beepwatch.messages import Ended, Fault, FaultKind, Listening, Quiet, Window
from beepwatch.sections import Capture
from beepwatch.validation import made
from beepwatch.wording import counted

_FORBIDDEN_IN_LABELS = set('/\\:*?"<>|')
_LONGEST_NAME = 80
_BYTES_PER_KB = 1_000
_LAST_JUDGEMENTS_S = 10.0  # for those of what was recorded last

log = structlog.get_logger()


def record(
    capture: Capture,
    *,
    label: str,
    minutes: float | None,
    out: Path,
    appliance: str = "",
    room: str = "",
    until_kb: float | None = None,
    speed: Speed = 1.0,
    stop: threading.Event,
    console: Console,
    clock: Clock | None = None,
    clerk: Clerk | None = None,
) -> RecordingSummary:
    """Write what is not silent to `out`/`label` until `stop`, the end, or `minutes` of sound.

    Or until there are `until_kb` of it, with what earlier sessions of the same label, appliance and
    room have left in the folder: who is interrupted says the same again. Windows follow one another
    without overlap. Raises ConfigurationError for a label that is no folder name or a folder that
    cannot be written, SourceError for a file that cannot be read or a pipe through which nothing
    comes, MicrophoneNotFound when there is no input to begin with, DiskFull.
    """
    subject = Subject(label=label, appliance=_named("--device", appliance), room=room)
    _named("--room", room)
    with _there(_folder(out, label)) as folder:
        session = _Session(
            capture, subject, folder, speed, stop, console, clock or SystemClock(), clerk
        )
        return session.run(minutes, until_kb)


class _Session:
    def __init__(
        self,
        capture: Capture,
        subject: Subject,
        directory: Path,
        speed: Speed,
        stop: threading.Event,
        console: Console,
        clock: Clock,
        clerk: Clerk | None,
    ) -> None:
        self._capture = msgspec.structs.replace(capture, hop_s=capture.window_s)
        self._subject = subject
        self._directory = directory
        self._console = console
        self._clock = clock
        self._clerk = clerk
        self._started = clock.utc()
        self._began_mono_s = clock.mono_s()
        self._files: list[str] = []
        self._bytes = 0
        self._judgements: dict[str, Judgement] = {}
        self._faults: list[str] = []
        self._rate_hz: int | None = None
        self._listener = Listener(self._capture, rate_hz=None, clock=clock, speed=speed, stop=stop)
        before = left_by_earlier(directory, subject)
        self._files_before = len(before)
        self._bytes_before = sum(file.stat().st_size for file in before)
        self._json, claimed = _claimed(directory, f"session-{_stamp(self._started)}", ".json")
        claimed.close()

    def run(self, minutes: float | None, until_kb: float | None) -> RecordingSummary:
        """Until it is over; the JSON is whole whatever ends it, and gone if nothing began."""
        until_s = None if minutes is None else minutes * 60
        until_bytes = None if until_kb is None else until_kb * _BYTES_PER_KB
        self._write_first_json()
        try:
            with Live(console=self._console, auto_refresh=False, transient=True) as live:
                for heard in self._sound(until_bytes):
                    self._note(heard)
                    if self._console.is_terminal:
                        live.update(self._meter(), refresh=True)
                    if until_s is not None and self._heard_s(heard) >= until_s:
                        break
                    if self._reached(until_bytes):
                        break
        except SourceError:
            summary = self._end()
            if self._rate_hz is None:  # nothing has begun
                self._json.unlink(missing_ok=True)
            else:
                self._say_what_there_is(summary)
            raise
        except BaseException:
            self._say_what_there_is(self._end())
            raise
        summary = self._end()
        self._say_what_there_is(summary)
        return summary

    def _sound(self, until_bytes: float | None) -> Iterable[Heard | None]:
        """Of the source; none if there is enough already."""
        if not self._reached(until_bytes):
            return self._listener
        self._console.print(f"enough is there: {self._before()}")
        return ()

    def _end(self) -> RecordingSummary:
        if self._clerk is not None:
            self._clerk.finish(_LAST_JUDGEMENTS_S)
        return self._write_json(stopped=self._clock.utc())

    def _reached(self, until_bytes: float | None) -> bool:
        return until_bytes is not None and self._bytes_before + self._bytes >= until_bytes

    def _say_what_begins(self) -> None:
        """Once the source is open: from one that is not there nothing is recorded."""
        self._console.print(
            f"recording {self._subject.label!r} from {self._listener.source.name} "
            f"into {self._directory}; ^C stops",
            soft_wrap=True,
        )
        if self._files_before:
            self._console.print(f"goes on after {self._before()}")

    def _before(self) -> str:
        files = counted(self._files_before, "file")
        return f"{files} of earlier sessions, {self._bytes_before / _BYTES_PER_KB:,.0f} kB"

    def _say_what_there_is(self, summary: RecordingSummary) -> None:
        heard = [one for one in self._judgements.values() if one.heard]
        judged = f"; the model hears something in {len(heard)} of them" if self._judgements else ""
        self._console.print(
            f"stopped: {counted(len(self._files), 'file')}, "
            f"{counted(summary.counts['quiet_windows'], 'silent window')} left out, "
            f"{summary.kb:,.0f} kB{judged}; {self._json}",
            soft_wrap=True,  # a path can be copied
        )

    def _note(self, heard: Heard | None) -> None:
        match heard:
            case Window():
                self._write_wav(heard)
            case Listening():
                if self._rate_hz is None:
                    self._say_what_begins()
                self._rate_hz = heard.rate_hz
                self._console.print(f"listening at {heard.rate_hz} Hz")
            case Ended() if self._rate_hz is None:
                raise nothing_came(heard.source)
            case Fault() if heard.kind is FaultKind.NO_DEVICE and self._rate_hz is None:
                raise MicrophoneNotFound(heard.text)  # a person is waiting and can mend it
            case Fault():
                state = "over" if heard.cleared else "fault"
                self._faults.append(f"{heard.since.isoformat()} {state}: {heard.kind.value}")
                self._console.print(f"{state}: {heard.text}", soft_wrap=True)
            case _:
                pass

    def _write_wav(self, window: Window) -> None:
        path, file = _claimed(self._directory, _stamp(window.started_at), ".wav")
        try:
            with file, wave.open(file, "wb") as wav:
                wav.setnchannels(1)
                wav.setsampwidth(2)
                wav.setframerate(window.rate_hz)
                wav.writeframes(window.pcm)
        except OSError as error:
            path.unlink(missing_ok=True)  # half a file is none
            raise _not_written(path, error) from None
        self._files.append(path.name)
        self._bytes += path.stat().st_size
        log.info("recorded", file=path.name, level_dbfs=round(window.level_dbfs, 1))
        if self._clerk is not None:
            self._clerk.take(
                Recorded(
                    path=path,
                    subject=self._subject,
                    session=self._json.stem,
                    source=self._listener.source.name,
                    rate_hz=window.rate_hz,
                    duration_s=window.samples / window.rate_hz,
                )
            )
        self._write_json(stopped=None)  # a session that is cut off is counted as well

    def _heard_s(self, heard: Heard | None) -> float:
        """Sound so far: a recording's own time, the clock's for what is live."""
        if isinstance(heard, Window | Quiet):
            return heard.started_mono_s + self._capture.window_s - self._began_mono_s
        if self._listener.source.live:
            return self._clock.mono_s() - self._began_mono_s
        return 0.0

    def _meter(self) -> Text:
        counts = self._listener.counts
        return Text(
            f"{meter(self._listener.level_dbfs)}  {counted(len(self._files), 'file')}, "
            f"{self._bytes / _BYTES_PER_KB:,.0f} kB, "
            f"{counts.quiet_windows:,} silent, {counts.lost_samples:,} lost",
            no_wrap=True,
            overflow="ellipsis",
        )

    def _write_first_json(self) -> None:
        try:
            self._write_json(stopped=None)
        except BeepwatchError:
            self._json.unlink(missing_ok=True)  # it is empty
            raise

    def _write_json(self, stopped: datetime | None) -> RecordingSummary:
        if self._clerk is not None:
            self._judgements |= self._clerk.judgements()
        summary = RecordingSummary(
            label=self._subject.label,
            appliance=self._subject.appliance,
            room=self._subject.room,
            source=self._listener.source.name,
            device=self._listener.stream_text,
            rate_hz=self._rate_hz,
            window_s=self._capture.window_s,
            gate=self._capture.gate,
            gate_over_floor_db=self._capture.gate_over_floor_db,
            started=self._started,
            stopped=stopped,
            complete=stopped is not None,
            files=tuple(self._files),
            judgements=self._judgements,
            kb=self._bytes / _BYTES_PER_KB,
            kb_before=self._bytes_before / _BYTES_PER_KB,
            counts=self._listener.counts.as_dict(),
            faults=tuple(self._faults),
        )
        # Written beside it and moved over it, so that nobody ever reads half of it.
        draft = self._json.with_suffix(".json.part")
        try:
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
            draft.replace(self._json)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise _not_written(self._json, error) from None
        return summary


def _folder(out: Path, label: str) -> Path:
    usable = label.isprintable() and label == label.strip() and label.strip(".")
    if not usable or _FORBIDDEN_IN_LABELS & set(label):
        raise ConfigurationError(
            f"the label {label!r} cannot be the name of a folder. "
            "Use letters, digits, - and _, for example: beep"
        )
    return out / label


@contextmanager
def _there(folder: Path) -> Iterator[Path]:
    """The folder, made where it was not; after an error, what was made and is empty goes again."""
    try:
        new = [one for one in (folder, *folder.parents) if not one.exists()]
    except OSError:  # `made` says what it is
        new = []
    try:
        yield made(folder)
    except BeepwatchError:
        with suppress(OSError):  # something is in it
            for one in new:
                one.rmdir()
        raise


def _stamp(utc: datetime) -> str:
    """A time as a file name that sorts, to the millisecond."""
    return utc.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"


def _claimed(directory: Path, stem: str, suffix: str) -> tuple[Path, IO[bytes]]:
    """A new file under a name that was not taken, whoever else takes names there."""
    for number in itertools.count(1):
        path = directory / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        try:
            return path, path.open("xb")
        except FileExistsError:
            continue
        except OSError as error:
            raise _not_written(path, error) from None
    raise AssertionError("there are more numbers than files")


def _not_written(path: Path, error: OSError) -> ConfigurationError | DiskFull:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"the disk is full: {path} was not written. Free some space.")
    return ConfigurationError(
        f"{path} cannot be written: {error.strerror}. Name another folder with --out."
    )


def _named(option: str, name: str) -> str:
    if len(name) > _LONGEST_NAME or not (name.isprintable() and name == name.strip()):
        raise ConfigurationError(
            f"{option} is {name!r}; give a name of up to {_LONGEST_NAME} characters, "
            "for example: washer"
        )
    return name
