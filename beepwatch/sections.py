"""What can be configured: one frozen struct for each table of the file, with defaults that work.

Every station receives its own. Where the values come from is `config.py`'s.
"""

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from beepwatch.errors import ConfigurationError
from beepwatch.validation import shortened

_TIME_OF_DAY = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)$")
_QUIET_HOURS = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
ChatId = Annotated[int, Meta(ge=-(2**52), le=2**52)]  # at most 52 bits, says the Bot API's manual


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the configuration file."""


class Capture(Section, frozen=True, kw_only=True):
    """[capture]: where the sound comes from and how it is cut."""

    source: str = "microphone"
    window_s: Annotated[float, Meta(ge=1, le=6)] = 3.0
    hop_s: Annotated[float, Meta(ge=0.1, le=6)] = 1.0
    rate_hz: Annotated[int, Meta(ge=4_000, le=384_000)] = 16_000  # of raw PCM on stdin
    gate: bool = True
    gate_over_floor_db: Annotated[float, Meta(ge=1, le=40)] = 6.0
    queue_windows: Annotated[int, Meta(ge=2, le=3_600)] = 120


class Model(Section, frozen=True, kw_only=True):
    """[model]: what names the sounds."""

    bundle: Annotated[str, Meta(min_length=1)] = "beep"
    runtime: Literal["onnx", "torch"] = "onnx"


class Rule(Section, frozen=True, kw_only=True):
    """[[rules]]: when a sound becomes an alert."""

    label: Annotated[str, Meta(min_length=1)]
    pulses: Annotated[int, Meta(ge=1, le=1_000)] = 1
    within_s: Seconds = 10.0
    cooldown_s: Annotated[float, Meta(ge=0, le=604_800)] = 120.0
    quiet_hours: str = ""
    text: Annotated[str, Meta(max_length=100)] = ""  # what the alert says; the label without

    def quiet_from_to(self) -> tuple[time, time] | None:
        """Local start and end of the quiet hours; None when there are none.

        Raises ConfigurationError when the text is not HH:MM-HH:MM.
        """
        return _from_to("rules.quiet_hours", self.quiet_hours)


class Teaching(Section, frozen=True, kw_only=True):
    """[teaching]: what is learnt without being asked."""

    nightly: str = ""  # HH:MM, when to learn from right and wrong every night; "" never

    def nightly_at(self) -> time | None:
        """The local time; None for never.

        Raises ConfigurationError when the text is not HH:MM.
        """
        if not self.nightly:
            return None
        match = _TIME_OF_DAY.match(self.nightly)
        if match is None:
            raise ConfigurationError(
                f"teaching.nightly is {shortened(repr(self.nightly))}; write it as HH:MM, "
                'for example "03:30", or "" for never.'
            )
        return time(int(match[1]), int(match[2]))


class Machines(Section, frozen=True, kw_only=True):
    """[machines]: when a machine that has been learned is told to sound unusual."""

    drift: Literal["report", "follow"] = "report"  # what comes over days
    enough_s: Annotated[float, Meta(ge=10, le=86_400)] = 60.0  # of entirely strange sound
    quiet_hours: str = ""  # told afterwards, if it is unusual still

    def quiet_from_to(self) -> tuple[time, time] | None:
        """As `Rule.quiet_from_to`."""
        return _from_to("machines.quiet_hours", self.quiet_hours)


class Watchdog(Section, frozen=True, kw_only=True):
    """[watchdog]: the dead man's switch."""

    missing_after_min: Annotated[float, Meta(ge=0, le=525_600)] = 0.0


class Console(Section, frozen=True, kw_only=True):
    """[notify.console]: alerts as lines on standard output."""

    enabled: bool = True


class Telegram(Section, frozen=True, kw_only=True):
    """[notify.telegram]: alerts as Telegram messages; the token is kept elsewhere."""

    chat_ids: tuple[ChatId, ...] = ()
    base_url: str = "https://api.telegram.org/bot"
    token_file: str = ""
    commands: bool = True  # buttons under alerts, and answers to what the chats write


class Notify(Section, frozen=True, kw_only=True):
    """[notify]: who is told, and in whose name."""

    room: str = ""
    notices: bool = True  # tell when the daemon starts and stops
    console: Console = Console()
    telegram: Telegram = Telegram()


class Store(Section, frozen=True, kw_only=True):
    """[store]: where events and clips are kept, and for how long."""

    directory: Annotated[str, Meta(min_length=1)] = "~/.local/share/beepwatch"
    keep_days: Annotated[float, Meta(gt=0, le=36_500)] = 30
    max_mb: Annotated[float, Meta(gt=0, le=1e9)] = 2_048
    min_free_mb: Annotated[float, Meta(ge=0, le=1e9)] = 500

    @property
    def path(self) -> Path:
        """The state directory with ~ expanded. Raises ConfigurationError for an unknown ~user."""
        return expanded("store.directory", self.directory)


class Web(Section, frozen=True, kw_only=True):
    """[web]: where `serve` listens."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8_765


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration; every key has a default that works."""

    capture: Capture = Capture()
    model: Model = Model()
    rules: tuple[Rule, ...] = (Rule(label="beep"),)
    teaching: Teaching = Teaching()
    machines: Machines = Machines()
    watchdog: Watchdog = Watchdog()
    notify: Notify = Notify()
    store: Store = Store()
    web: Web = Web()


def _from_to(key: str, text: str) -> tuple[time, time] | None:
    if not text:
        return None
    match = _QUIET_HOURS.match(text)
    if match is None:
        raise ConfigurationError(
            f"{key} is {shortened(repr(text))}; write it as "
            'HH:MM-HH:MM, for example "22:30-07:00", or "" for none.'
        )
    start_h, start_min, end_h, end_min = (int(part) for part in match.groups())
    return time(start_h, start_min), time(end_h, end_min)


def expanded(key: str, text: str) -> Path:
    """A path with ~ expanded. Raises ConfigurationError, with the key, for an unknown ~user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(
            f"{key} is {shortened(repr(text))}, and there is no such user's home. "
            "Write the whole path."
        ) from None
