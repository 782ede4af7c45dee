"""No version that is pinned is older than what mended a hole that is known of it."""

import re
from pathlib import Path

import pytest
from packaging.version import Version

from tests.test_deploy import canonical, pinned

_ROW = re.compile(
    r"^\| (?P<package>[\w-]+) \| (?P<version>[\d.]+) \| (?P<why>.*) \|$", re.MULTILINE
)
_ADVISORY = re.compile(r"CVE-\d{4}-\d{4,}|GHSA(-[23456789cfghjmpqrvwx]{4}){3}")
TEXT = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [match.groupdict() for match in _ROW.finditer(TEXT)]


def too_old(pins: dict[str, str]) -> list[str]:
    """Packages of the table whose pin is older than it says, or that are not pinned."""
    oldest = {canonical(row["package"]): row["version"] for row in ROWS}
    return [
        package
        for package, version in oldest.items()
        if Version(pins.get(package, "0")) < Version(version)
    ]


def test_every_pin_is_as_new_as_what_mended_the_listed_holes() -> None:
    assert len(ROWS) >= 18
    assert too_old(pinned()) == []


@pytest.mark.parametrize("version", ["0.15.9", "0.9", None])
def test_a_pin_that_is_older_or_gone_is_found(version: str | None) -> None:
    pins = {name: pin for name, pin in pinned().items() if name != "h11"}
    assert too_old(pins | ({"h11": version} if version else {})) == ["h11"]


def test_every_row_names_an_advisory() -> None:
    assert [row["package"] for row in ROWS if not _ADVISORY.search(row["why"])] == []
