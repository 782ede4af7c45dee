"""What every test starts from."""

import logging
from collections.abc import Iterator

import pytest
import rich.console  # noqa: F401 - before beepwatch.daemon.entry keeps it out of this process too
import structlog
from hypothesis import settings

# No test is timed. Where CI is set, Hypothesis draws the same examples every time.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A test that configures logging, as every verb does, leaves none of it to the next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    chatty = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "asyncio")}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in chatty.items():
        logging.getLogger(name).setLevel(before)
