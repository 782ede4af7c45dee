"""From a configuration to what supervisor and children are given: checked before anything starts.

SIGHUP reads the configuration again. What cannot be carried out leaves the daemon as it is.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec
import structlog

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.shelf import Shelf
from beepwatch.config import is_journal, source_kind
from beepwatch.daemon.settings import ClassifierSettings, MessengerSettings, RecorderSettings
from beepwatch.daemon.wiring import Plan, Terms
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.logs import LogSettings, configure_logging
from beepwatch.secrecy import Secret
from beepwatch.sections import Capture, Config, Notify, Rule

_PATIENT = ("file", "stdin")  # sources that can be made to wait
_STANDARD_ERROR = 2  # its file descriptor, which the children inherit

Read = Callable[[], tuple[Config, Secret | None]]

_log = structlog.get_logger()


class Planner(msgspec.Struct, frozen=True, kw_only=True):
    """Makes plans of configurations; what the command line said is the same for all of them."""

    speed: float | Literal["max"]
    log_level: str
    since_s: float  # monotonic start of the daemon
    alerts: bool = False  # they were lines on standard output when it started

    def logs(self, token: Secret | None) -> LogSettings:
        """For the processes that know the token."""
        return LogSettings(
            level=self.log_level,
            secrets=(token,) if token else (),
            journal=is_journal(_STANDARD_ERROR),
            alerts=self.alerts,
        )

    def plan(self, config: Config, token: Secret | None) -> Plan:
        """What it means. Raises ConfigurationError and ModelError."""
        channels = channel_names(config.notify, token)
        bundle = load_bundle(find_bundle(config.model.bundle))
        shelf = Shelf(config.store.path)
        taught = shelf.digests()
        check_rules(config, bundle.info.labels, taught)
        kind, _ = source_kind(config.capture.source)
        logs = self.logs(None)
        capture = msgspec.structs.replace(config.capture, queue_windows=Capture().queue_windows)
        recorder = RecorderSettings(
            capture=capture,
            rate_hz=bundle.info.rate_hz,
            speed=self.speed,
            logs=logs,
            directory=config.store.path,
        )
        classifier = ClassifierSettings(
            bundle=bundle.directory,
            model=config.model,
            rules=with_defaults(config.rules, shelf.pulses()),
            missing_after_s=config.watchdog.missing_after_min * 60,
            directory=config.store.path,
            channels=channels,
            since_s=self.since_s,
            live=kind not in _PATIENT,
            logs=logs,
            taught=taught,
            machines=config.machines,
            alone=True,
        )
        messenger = MessengerSettings(
            notify=config.notify,
            store=config.store,
            token=token,
            channels=channels,
            logs=self.logs(token),
            teaching=config.teaching,
            bundle=bundle.directory,
            alone=True,
        )
        return Plan(
            terms=Terms(
                queue_windows=config.capture.queue_windows,
                patient=kind in _PATIENT,
                resumable=kind == "file",
                notices=config.notify.notices,
            ),
            settings={"recorder": recorder, "classifier": classifier, "messenger": messenger},
        )


class Reloader:
    """Reads the configuration again; the reason, and a line in the log, if it cannot be used."""

    def __init__(self, read: Read, planner: Planner, config: Config, token: Secret | None) -> None:
        self._read = read
        self._planner = planner
        self._config = config
        self._token = token
        self._plan = planner.plan(config, token)

    def __call__(self) -> Plan | str:
        """The plan of what is configured now, or why there is none."""
        try:
            config, token = self._read()
            plan = self._planner.plan(config, token)
            self._check_can_change(config, plan)
        except BeepwatchError as error:
            _log.error("config_refused", reason=str(error), kept="the configuration before")
            return str(error)
        changed = changed_keys(msgspec.to_builtins(self._config), msgspec.to_builtins(config))
        if token != self._token:
            changed.append("the bot token")
            configure_logging(self._planner.logs(token))
        if _taught(plan) != _taught(self._plan):
            changed.append("the taught sounds")
        self._config, self._token, self._plan = config, token, plan
        _log.info("config_reloaded", changed=changed)
        return plan

    def _check_can_change(self, config: Config, plan: Plan) -> None:
        """What the queue and the outbox are full of must stay usable."""
        rate_hz = plan.settings["recorder"].rate_hz
        rate_now_hz = self._plan.settings["recorder"].rate_hz
        if rate_hz != rate_now_hz:
            raise ConfigurationError(
                f"the model {config.model.bundle} hears at {rate_hz} Hz, and the one in use at "
                f"{rate_now_hz} Hz. Restart beepwatch."
            )
        if config.store.path != self._config.store.path:
            raise ConfigurationError(
                f"store.directory is {config.store.directory!r} now, and alerts may still wait in "
                f"{self._config.store.directory!r}. Restart beepwatch."
            )


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys whose values differ."""
    changed = []
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            changed += changed_keys(before, value, f"{prefix}{key}.")
        elif value != before:
            changed.append(f"{prefix}{key}")
    return changed


def channel_names(notify: Notify, token: Secret | None) -> tuple[str, ...]:
    """Where alerts go, as deliveries name it.

    Raises ConfigurationError when chats are configured and there is no token.
    """
    chats = notify.telegram.chat_ids
    if chats and token is None:
        raise ConfigurationError(
            f"notify.telegram.chat_ids is {list(chats)}, but there is no bot token. Run "
            "`beepwatch telegram pair`, or set BEEPWATCH_TELEGRAM_TOKEN."
        )
    console = ("console",) if notify.console.enabled else ()
    return (*console, *(f"telegram:{chat_id}" for chat_id in chats))


def with_defaults(rules: tuple[Rule, ...], taught: Mapping[str, int]) -> tuple[Rule, ...]:
    """The rules with one for each taught sound that has none: who teaches wants to be told.

    `taught` says how many pulses each asks for.
    """
    ruled = {rule.label for rule in rules}
    unruled = [name for name in sorted(taught) if name not in ruled]
    return (*rules, *(Rule(label=name, pulses=taught[name]) for name in unruled))


def check_rules(config: Config, labels: Iterable[str], taught: Iterable[str]) -> None:
    """Raise ConfigurationError for a rule that nothing could ever satisfy."""
    known = [*labels, *taught]
    for rule in config.rules:
        if rule.label not in known:
            raise ConfigurationError(
                f"rules.label is {rule.label!r}, but the model {config.model.bundle} knows "
                f"{', '.join(labels)}, and taught are: {', '.join(taught) or 'none'}. Use one of "
                f"these, teach it first (beepwatch teach {rule.label} FILES), or take another "
                "model.bundle."
            )


def _taught(plan: Plan) -> Any:  # noqa: ANN401 - each child has its own settings
    return plan.settings["classifier"].taught
