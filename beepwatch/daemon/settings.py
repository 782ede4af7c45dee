"""What each child needs to know. Travels to it at its start, so nothing heavy is imported here."""

from pathlib import Path
from typing import Literal

import msgspec

from beepwatch.logs import LogSettings
from beepwatch.messages import Fault, Place
from beepwatch.secrecy import Secret
from beepwatch.sections import Capture, Machines, Model, Notify, Rule, Store, Teaching


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """For the recorder."""

    capture: Capture
    rate_hz: int  # of the model
    speed: float | Literal["max"]
    logs: LogSettings
    resume: Place | None = None  # how far an earlier life has come in the same recording
    faults: tuple[Fault, ...] = ()  # that earlier lives have told and not called over
    keepsake: int | None = None  # a descriptor: what they have heard and not told
    directory: Path | None = None  # the state directory, in which learned machines may appear


class ClassifierSettings(msgspec.Struct, frozen=True, kw_only=True):
    """For the classifier."""

    bundle: Path
    model: Model
    rules: tuple[Rule, ...]
    missing_after_s: float
    directory: Path
    channels: tuple[str, ...]
    since_s: float  # monotonic start of the daemon
    live: bool  # time passes without sound; else only with it
    logs: LogSettings
    taught: dict[str, str] = {}  # digest of each sound on the shelf, by its name
    machines: Machines = Machines()
    alone: bool = False  # in a process of its own, whose memory it lays out
    faults: tuple[Fault, ...] = ()  # of the disk, that earlier lives have told and not called over


class MessengerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """For the messenger."""

    notify: Notify
    store: Store
    token: Secret | None
    channels: tuple[str, ...]
    logs: LogSettings
    teaching: Teaching = Teaching()
    bundle: Path | None = None  # that is taught every night
    alone: bool = False  # in a process of its own, whose memory it lays out
    memo: int | None = None  # a descriptor: what earlier lives knew to be still to be told
    faults: tuple[Fault, ...] = ()  # of the disk, that earlier lives have told and not called over
