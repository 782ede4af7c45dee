"""The body of `beepwatch record`: training data, as the microphone heard it.

What the gate lets through is written as WAV at the device's own rate, mono; a JSON beside it tells
how the session was made.
"""

import threading
import wave
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
from rich.console import Console
from rich.live import Live
from rich.text import Text

from beepwatch.capture.listening import Heard, Listener, Speed
from beepwatch.clock import Clock, SystemClock
from beepwatch.config import Capture
from beepwatch.errors import ConfigurationError, MicrophoneNotFound
from beepwatch.messages import Fault, FaultKind, Listening, Quiet, Window

_METER_FROM_DBFS = -70.0
_METER_WIDTH = 30
_FORBIDDEN_IN_LABELS = set('/\\:*?"<>|\0')

log = structlog.get_logger()


class RecordingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One session of recording; it is what the JSON beside the files holds."""

    label: str
    source: str
    device: str
    rate_hz: int | None  # None: nothing was heard
    window_s: float
    gate: bool
    gate_over_floor_db: float
    started: datetime  # UTC
    stopped: datetime | None  # UTC; None while it runs, or after a crash
    complete: bool
    files: tuple[str, ...]
    counts: dict[str, int]
    faults: tuple[str, ...]


def record(
    capture: Capture,
    *,
    label: str,
    minutes: float | None,
    out: Path,
    speed: Speed = 1.0,
    stop: threading.Event,
    console: Console,
    clock: Clock | None = None,
) -> RecordingSummary:
    """Write what is not silent to `out`/`label` until `stop`, the end, or `minutes` of sound.

    Windows follow one another without overlap. Raises ConfigurationError for a label that is no
    folder name or a folder that cannot be written, SourceError for a file that cannot be read,
    MicrophoneNotFound when there is no input to begin with.
    """
    session = _Session(capture, label, out, speed, stop, console, clock or SystemClock())
    return session.run(minutes)


class _Session:
    def __init__(
        self,
        capture: Capture,
        label: str,
        out: Path,
        speed: Speed,
        stop: threading.Event,
        console: Console,
        clock: Clock,
    ) -> None:
        self._capture = msgspec.structs.replace(capture, hop_s=capture.window_s)
        self._label = label
        self._directory = _made(out, label)
        self._console = console
        self._clock = clock
        self._started = clock.utc()
        self._began_mono_s = clock.mono_s()
        self._files: list[str] = []
        self._faults: list[str] = []
        self._rate_hz: int | None = None
        self._listener = Listener(self._capture, rate_hz=None, clock=clock, speed=speed, stop=stop)
        self._json = _free(self._directory, f"session-{_stamp(self._started)}", ".json")

    def run(self, minutes: float | None) -> RecordingSummary:
        """Until it is over; the JSON is whole whatever ends it."""
        until_s = None if minutes is None else minutes * 60
        self._write_json(stopped=None)
        self._console.print(
            f"recording {self._label!r} from {self._listener.source.name} "
            f"into {self._directory}; ^C stops"
        )
        try:
            with Live(console=self._console, auto_refresh=False, transient=True) as live:
                for heard in self._listener:
                    self._note(heard)
                    if self._console.is_terminal:
                        live.update(self._meter(), refresh=True)
                    if until_s is not None and self._heard_s(heard) >= until_s:
                        break
        finally:
            summary = self._write_json(stopped=self._clock.utc())
            self._console.print(
                f"stopped: {len(self._files)} files, "
                f"{summary.counts['quiet_windows']} silent windows left out; {self._json}"
            )
        return summary

    def _note(self, heard: Heard | None) -> None:
        match heard:
            case Window():
                self._write_wav(heard)
            case Listening():
                self._rate_hz = heard.rate_hz
                self._console.print(f"listening at {heard.rate_hz} Hz")
            case Fault() if heard.kind is FaultKind.NO_DEVICE and self._rate_hz is None:
                raise MicrophoneNotFound(heard.text)  # a person is waiting and can mend it
            case Fault():
                state = "over" if heard.cleared else "fault"
                self._faults.append(f"{heard.since.isoformat()} {state}: {heard.kind.value}")
                self._console.print(f"{state}: {heard.text}")
            case _:
                pass

    def _write_wav(self, window: Window) -> None:
        path = _free(self._directory, _stamp(window.started_at), ".wav")
        with path.open("xb") as file, wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(window.rate_hz)
            wav.writeframes(window.pcm)
        self._files.append(path.name)
        log.info("recorded", file=path.name, level_dbfs=round(window.level_dbfs, 1))

    def _heard_s(self, heard: Heard | None) -> float:
        """Sound so far: a recording's own time, the clock's for what is live."""
        if isinstance(heard, Window | Quiet):
            return heard.started_mono_s + self._capture.window_s - self._began_mono_s
        if self._listener.source.live:
            return self._clock.mono_s() - self._began_mono_s
        return 0.0

    def _meter(self) -> Text:
        level_dbfs = max(self._listener.level_dbfs, _METER_FROM_DBFS)
        filled = round(_METER_WIDTH * (1 - level_dbfs / _METER_FROM_DBFS))
        bar = "█" * filled + "░" * (_METER_WIDTH - filled)
        counts = self._listener.counts
        return Text(
            f"{bar} {self._listener.level_dbfs:6.1f} dBFS  {len(self._files)} files, "
            f"{counts.quiet_windows} silent, {counts.lost_samples} samples lost"
        )

    def _write_json(self, stopped: datetime | None) -> RecordingSummary:
        summary = RecordingSummary(
            label=self._label,
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
            counts=self._listener.counts.as_dict(),
            faults=tuple(self._faults),
        )
        # Written beside it and moved over it, so that nobody ever reads half of it.
        draft = self._json.with_suffix(".json.part")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
        draft.replace(self._json)
        return summary


def _made(out: Path, label: str) -> Path:
    if not label.strip(". ") or _FORBIDDEN_IN_LABELS & set(label):
        raise ConfigurationError(
            f"the label {label!r} cannot be the name of a folder. "
            "Use letters, digits, - and _, for example: beep"
        )
    directory = out / label
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be made: {error.strerror}. Name another folder with --out."
        ) from None
    return directory


def _stamp(utc: datetime) -> str:
    """A time as a file name that sorts, to the millisecond."""
    return utc.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"


def _free(directory: Path, stem: str, suffix: str) -> Path:
    """A name that is not taken yet."""
    path = directory / f"{stem}{suffix}"
    number = 2
    while path.exists():
        path = directory / f"{stem}-{number}{suffix}"
        number += 1
    return path
