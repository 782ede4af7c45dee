"""`beepwatch run`: the whole daemon in the foreground, put together from its configuration."""

import functools
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from beepwatch.capture.keepsake import open_memory
from beepwatch.classify.shelf import Shelf
from beepwatch.clock import Clock, SystemClock
from beepwatch.config import ONE_THREAD, service_manager, tell_libraries
from beepwatch.daemon.child import Child
from beepwatch.daemon.homecoming import HomeWatch, bring_home
from beepwatch.daemon.inheritance import inheriting
from beepwatch.daemon.memo import open_memo
from beepwatch.daemon.planning import Planner, Read, Reloader, channel_names
from beepwatch.daemon.refuge import refuge_from
from beepwatch.daemon.settings import MessengerSettings, RecorderSettings
from beepwatch.daemon.signals import Signals
from beepwatch.daemon.supervisor import Supervisor
from beepwatch.daemon.systemd import ServiceManager
from beepwatch.daemon.watching import ShelfWatch
from beepwatch.daemon.wiring import Wiring
from beepwatch.errors import BeepwatchError, DiskFull, StoreError
from beepwatch.logs import configure_logging
from beepwatch.messages import Alert, AlertKind
from beepwatch.secrecy import Secret, leave_no_core
from beepwatch.sections import Config
from beepwatch.store.claim import claimed
from beepwatch.store.damage import put_aside_if_damaged
from beepwatch.store.database import Database
from beepwatch.store.disk import NO_ANSWER, clear_probes, in_time
from beepwatch.store.outbox import Outbox

_log = structlog.get_logger()

# glibc gives every thread a heap of its own, and none gives back what its largest clip took: 10 MB
# in a messenger after a day (`python -m benchmarks.soak`). The children inherit it.
ONE_HEAP = ("MALLOC_ARENA_MAX", "1")


def run(
    config: Config,
    *,
    token: Secret | None,
    speed: float | Literal["max"] = 1.0,
    log_level: str = "info",
    read_again: Read | None = None,
    hangup_ends: bool = False,
) -> int:
    """Run until the source ends or a signal comes; the exit code.

    SIGHUP has the configuration read by `read_again`, and so has another taught sound. Without
    `read_again`, or with `hangup_ends`, SIGHUP is the end.

    Raises ConfigurationError, ModelError, StoreError before anything is started, and
    BeepwatchError afterwards if the source cannot be read.
    """
    leave_no_core()
    tell_libraries(*ONE_HEAP)
    tell_libraries(*ONE_THREAD)
    planner = Planner(
        speed=speed,
        log_level=log_level,
        since_s=SystemClock().mono_s(),
        alerts=config.notify.console.enabled,
    )
    configure_logging(planner.logs(token))
    recorder: Child | None = None  # of the life before
    hangup_reloads = read_again is not None and not hangup_ends
    with (
        Signals(hangup_reloads=hangup_reloads) as signals,
        closing(ServiceManager(*service_manager())) as manager,
    ):
        while True:
            wiring = functools.partial(_wiring, planner, recorder)
            supervisor, exit_code = _live(wiring, manager, signals, config, token, read_again)
            if not supervisor.moving or supervisor.failure is not None:
                break
            recorder = supervisor.recorder
            config, token = _now(planner, read_again, config, token)
    if supervisor.failure is not None:
        error = BeepwatchError(supervisor.failure.text)
        error.exit_code = exit_code  # of the error in the child
        raise error
    return exit_code


def _live(
    wiring: Callable[..., Wiring],
    manager: ServiceManager,
    signals: Signals,
    config: Config,
    token: Secret | None,
    read_again: Read | None,
) -> tuple[Supervisor, int]:
    """One life of all processes, on the disk or in memory; its supervisor and exit code."""
    clock = SystemClock()
    refuge = refuge_from(config.store.path)
    news: tuple[Alert, ...] = ()
    if refuge is None:
        home, remark = None, ""
    else:
        config, read_again = refuge.applied(config), refuge.reading(read_again)
        home, news, remark = HomeWatch(refuge), (refuge.alert(clock),), refuge.remark
    with closing(home) if home is not None else nullcontext():
        held_back = home.held_back if home is not None and manager.listens else None
        made = wiring(config, token, read_again, home=home, held_back=held_back, remark=remark)
        with claimed(config.store.path):
            channels = channel_names(config.notify, token)
            alive = functools.partial(manager.alive, starting=not made.again)
            _prepare_store(config.store.path, channels, clock, news, alive)
            supervisor = Supervisor(made, clock, manager, signals)
            exit_code = supervisor.run()
            _keep_untold(supervisor, config.store.path, made.messenger.settings.channels)
            return supervisor, exit_code


def _wiring(
    planner: Planner,
    before: Child | None,
    config: Config,
    token: Secret | None,
    read_again: Read | None,
    *,
    home: HomeWatch | None,
    held_back: Callable[[], bool] | None,
    remark: str,
) -> Wiring:
    plan = planner.plan(config, token)
    recorder = plan.settings["recorder"]
    if before is not None:
        recorder = inheriting(recorder, before.settings)
    return Wiring(
        recorder=recorder_of(recorder),
        classifier=Child("classifier", "beepwatch.daemon.classifier", plan.settings["classifier"]),
        messenger=messenger_of(plan.settings["messenger"]),
        terms=plan.terms,
        state=config.store.path,
        reload=Reloader(read_again or (lambda: (config, token)), planner, config, token),
        shelf_changed=ShelfWatch(Shelf(config.store.path)).changed,
        home=home,
        held_back=held_back,
        remark=remark,
        again=before is not None,
    )


def _now(
    planner: Planner, read_again: Read | None, config: Config, token: Secret | None
) -> tuple[Config, Secret | None]:
    """What is configured by now, if that can be used; another state directory needs a restart."""
    if read_again is None:
        return config, token
    try:
        read = read_again()
        planner.plan(*read)
    except BeepwatchError as error:
        _log.error("config_refused", reason=str(error), kept="the configuration before")
        return config, token
    return read if read[0].store.path == config.store.path else (config, token)


def recorder_of(settings: RecorderSettings) -> Child:
    """The recorder, whose next life has what the one before has heard and not told."""
    memory = open_memory()
    settings = msgspec.structs.replace(settings, keepsake=memory)
    return Child("recorder", "beepwatch.daemon.recorder", settings, lent=(memory,))


def messenger_of(settings: MessengerSettings) -> Child:
    """The messenger, whose next life knows what the one before knew to be still to be told."""
    memo = open_memo()
    settings = msgspec.structs.replace(settings, memo=memo)
    return Child("messenger", "beepwatch.daemon.messenger", settings, lent=(memo,))


def _prepare_store(
    directory: Path,
    channels: tuple[str, ...],
    clock: Clock,
    news: Iterable[Alert],
    alive: Callable[[], None],
) -> None:
    """Make and migrate the database before anybody uses it, with what was kept in memory; tell if
    the old one was damaged, and what else there is to tell of the disk.
    """
    clear_probes(directory)
    damage = put_aside_if_damaged(directory, clock)
    with closing(_opened(directory)) as database:
        home = bring_home(database, channels, clock, alive)
        outbox = Outbox(database)
        for alert in damage.untold if damage else ():
            outbox.write(alert=alert, channels=channels)
        if damage is not None:
            now = clock.utc()
            fault = Alert(
                kind=AlertKind.FAULT,
                text=damage.text,
                created_at=now,
                due_at=now,
                dedupe_key=f"damaged:{now.isoformat()}",
            )
            outbox.write(alert=fault, channels=channels)
        for alert in (*news, *filter(None, (home,))):
            outbox.write(alert=alert, channels=channels)


def _opened(directory: Path) -> Database:
    try:
        return Database(directory)
    except DiskFull:
        return Database(directory)  # the first try has made it give up its reserve


def _keep_untold(supervisor: Supervisor, directory: Path, channels: tuple[str, ...]) -> None:
    """What no messenger took any more waits in the outbox for the next start."""
    alerts = supervisor.untold
    if not alerts:
        return
    # A disk that hangs would hold this process too.
    reason = NO_ANSWER if supervisor.disk_hangs else _why_unwritten(alerts, directory, channels)
    for alert in alerts if reason else ():
        _log.error("alert_lost", text=alert.text, error=reason)


def _why_unwritten(alerts: Iterable[Alert], directory: Path, channels: tuple[str, ...]) -> str:
    """Nothing if they were written."""

    def write() -> None:
        with closing(_opened(directory)) as database:
            outbox = Outbox(database)
            for alert in alerts:
                outbox.write(alert=alert, channels=channels)

    try:
        in_time(write)
    except TimeoutError:
        return NO_ANSWER
    except StoreError as error:
        return str(error)
    return ""
