"""What every test starts from."""

import logging
from collections.abc import Iterator

import pytest
import rich.console  # noqa: F401 - before beepwatch.daemon.entry keeps it out of this process too
import structlog
from hypothesis import HealthCheck, settings

# No test is timed. Where CI is set, Hypothesis draws the same examples every time.
settings.register_profile(
    "untimed", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where files are shared out among workers those that take long come first.

    So none of them is begun when all the other workers are about to end.
    """
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in long)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A test that configures logging, as every verb does, leaves none of it to the next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    names = ("httpx", "httpcore", "asyncio", "telegram")
    chatty = {name: logging.getLogger(name).level for name in names}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in chatty.items():
        logging.getLogger(name).setLevel(before)
