"""Where a spawned child begins. Imports nothing heavy before it has kept rich out.

structlog imports rich, where it is installed, for tracebacks in colour that no daemon prints:
6 MB and 60 ms in each process. `None` in sys.modules makes that import fail, which structlog
provides for (structlog/dev.py).
"""

import sys
from importlib import import_module
from multiprocessing.connection import Connection


def live(module: str, connection: Connection, settings: object) -> None:
    """Run `main` of the child's module; only the child imports it."""
    import_module(module).main(connection, settings)


sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # documented meaning of None
