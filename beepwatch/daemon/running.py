"""`beepwatch run`: the whole daemon in the foreground, put together from its configuration."""

from typing import Literal

import structlog

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.clock import SystemClock
from beepwatch.config import Config, Notify, service_manager, source_kind
from beepwatch.daemon.child import Child
from beepwatch.daemon.settings import ClassifierSettings, MessengerSettings, RecorderSettings
from beepwatch.daemon.supervisor import Supervisor, Wiring
from beepwatch.daemon.systemd import ServiceManager
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.logs import LogSettings, configure_logging
from beepwatch.secrecy import Secret
from beepwatch.store.database import Database

_PATIENT = ("file", "stdin")  # sources that can be made to wait

_log = structlog.get_logger()


def run(
    config: Config,
    *,
    token: Secret | None,
    speed: float | Literal["max"] = 1.0,
    log_level: str = "info",
) -> int:
    """Run until the source ends or a signal comes; the exit code.

    Raises ConfigurationError, ModelError, StoreError before anything is started, and
    BeepwatchError afterwards if the source cannot be read.
    """
    logs = LogSettings(level=log_level, secrets=(token,) if token else ())
    configure_logging(logs)
    clock = SystemClock()
    channels = channel_names(config.notify, token)
    bundle = load_bundle(find_bundle(config.model.bundle))
    _check_rules(config, bundle.info.labels)
    Database(config.store.path).close()  # made and migrated before anybody uses it
    patient = source_kind(config.capture.source)[0] in _PATIENT
    wiring = Wiring(
        recorder=Child(
            "recorder",
            "beepwatch.daemon.recorder",
            RecorderSettings(
                capture=config.capture, rate_hz=bundle.info.rate_hz, speed=speed, logs=logs
            ),
        ),
        classifier=Child(
            "classifier",
            "beepwatch.daemon.classifier",
            ClassifierSettings(
                bundle=bundle.directory,
                model=config.model,
                rules=config.rules,
                missing_after_s=config.watchdog.missing_after_min * 60,
                directory=config.store.path,
                channels=channels,
                since_s=clock.mono_s(),
                live=not patient,
                logs=logs,
            ),
        ),
        messenger=Child(
            "messenger",
            "beepwatch.daemon.messenger",
            MessengerSettings(
                notify=config.notify,
                store=config.store,
                token=token,
                channels=channels,
                logs=logs,
            ),
        ),
        queue_windows=config.capture.queue_windows,
        patient=patient,
        notices=config.notify.notices,
    )
    manager = ServiceManager(*service_manager())
    try:
        supervisor = Supervisor(wiring, clock, manager)
        exit_code = supervisor.run()
    finally:
        manager.close()
    if supervisor.failure is not None:
        error = BeepwatchError(supervisor.failure.text)
        error.exit_code = exit_code  # of the error in the child
        raise error
    return exit_code


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


def _check_rules(config: Config, labels: tuple[str, ...]) -> None:
    for rule in config.rules:
        if rule.label not in labels:
            raise ConfigurationError(
                f"rules.label is {rule.label!r}, but the model {config.model.bundle} knows "
                f"{', '.join(labels)}. Use one of these, or another model.bundle."
            )
