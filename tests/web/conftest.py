"""One browser for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.web.chromium import Chromium, chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A real Chromium; each test opens tabs of its own."""
    with chromium(tmp_path_factory.mktemp("browser")) as running:
        yield running
