"""Where a spawned child begins. Imports nothing heavy before it has kept rich out.

structlog imports rich, where it is installed, for tracebacks in colour that no daemon prints:
6 MB and 60 ms in each process. `None` in sys.modules makes that import fail, which structlog
provides for (structlog/dev.py).
"""

import signal
import sys
from importlib import import_module
from multiprocessing.connection import Connection


def live(module: str, connection: Connection, settings: object) -> None:
    """Run `main` of the child's module; only the child imports it.

    Signals are the supervisor's business: ^C and systemd's SIGTERM reach the whole group, and the
    children are told over their connections, so that what is begun is finished in order.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        import_module(module).main(connection, settings)
    except Exception:  # noqa: BLE001 - through the log, which keeps secrets out of tracebacks too
        import structlog

        structlog.get_logger().exception("process_crashed", module=module)
        sys.exit(1)


SIGNALS = (signal.SIGINT, signal.SIGTERM)  # blocked from the child's birth until they are ignored

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # documented meaning of None
