"""`beepwatch run`: the whole daemon in the foreground, put together from its configuration."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from beepwatch.capture.keepsake import open_memory
from beepwatch.classify.shelf import Shelf
from beepwatch.clock import Clock, SystemClock
from beepwatch.config import service_manager, tell_libraries
from beepwatch.daemon.child import Child
from beepwatch.daemon.planning import Planner, Read, Reloader, channel_names
from beepwatch.daemon.refuge import refuge_from
from beepwatch.daemon.settings import RecorderSettings
from beepwatch.daemon.supervisor import Supervisor, Wiring
from beepwatch.daemon.systemd import ServiceManager
from beepwatch.daemon.watching import ShelfWatch
from beepwatch.errors import BeepwatchError, DiskFull
from beepwatch.logs import configure_logging
from beepwatch.messages import Alert, AlertKind
from beepwatch.secrecy import Secret, leave_no_core
from beepwatch.sections import Config
from beepwatch.store.claim import claimed
from beepwatch.store.damage import put_aside_if_damaged
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox

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
    planner = Planner(speed=speed, log_level=log_level, since_s=SystemClock().mono_s())
    configure_logging(planner.logs(token))
    clock = SystemClock()
    refuge = refuge_from(config.store.path)
    if refuge is not None:
        config, read_again = refuge.applied(config), refuge.reading(read_again)
    watch = ShelfWatch(Shelf(config.store.path))
    plan = planner.plan(config, token)
    wiring = Wiring(
        recorder=recorder_of(plan.settings["recorder"]),
        classifier=Child("classifier", "beepwatch.daemon.classifier", plan.settings["classifier"]),
        messenger=Child("messenger", "beepwatch.daemon.messenger", plan.settings["messenger"]),
        terms=plan.terms,
        state=config.store.path,
        reload=Reloader(read_again or (lambda: (config, token)), planner, config, token),
        hangup_reloads=read_again is not None and not hangup_ends,
        shelf_changed=watch.changed,
    )
    with claimed(config.store.path), closing(ServiceManager(*service_manager())) as manager:
        news = (refuge.alert(clock),) if refuge is not None else ()
        _prepare_store(config.store.path, channel_names(config.notify, token), clock, news)
        supervisor = Supervisor(wiring, clock, manager)
        exit_code = supervisor.run()
    if supervisor.failure is not None:
        error = BeepwatchError(supervisor.failure.text)
        error.exit_code = exit_code  # of the error in the child
        raise error
    return exit_code


def recorder_of(settings: RecorderSettings) -> Child:
    """The recorder, whose next life has what the one before has heard and not told."""
    memory = open_memory()
    settings = msgspec.structs.replace(settings, keepsake=memory)
    return Child("recorder", "beepwatch.daemon.recorder", settings, lent=(memory,))


def _prepare_store(
    directory: Path, channels: tuple[str, ...], clock: Clock, news: Iterable[Alert]
) -> None:
    """Make and migrate the database before anybody uses it; tell if the old one was damaged, and
    what else there is to tell of the disk.
    """
    damage = put_aside_if_damaged(directory, clock)
    try:
        database = Database(directory)
    except DiskFull:
        database = Database(directory)  # the first try has made it give up its reserve
    try:
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
        for alert in news:
            outbox.write(alert=alert, channels=channels)
    finally:
        database.close()
