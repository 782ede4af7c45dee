"""No version that is pinned is older than what mended a hole that is known of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from tests.test_deploy import canonical, pinned

_ROW = re.compile(
    r"^\| (?P<package>[\w-]+) \| (?P<version>[\d.]+) \| (?P<why>.*) \|$", re.MULTILINE
)
_ADVISORY = re.compile(r"CVE-\d{4}-\d{4,}|GHSA(-[23456789cfghjmpqrvwx]{4}){3}|PYSEC-\d{4}-[1-9]\d*")
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
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
    assert len(ROWS) >= 39
    assert too_old(pinned()) == []


@pytest.mark.parametrize("version", ["0.15.9", "0.9", None])
def test_a_pin_that_is_older_or_gone_is_found(version: str | None) -> None:
    pins = {name: pin for name, pin in pinned().items() if name != "h11"}
    assert too_old(pins | ({"h11": version} if version else {})) == ["h11"]


def test_every_row_names_an_advisory() -> None:
    assert [row["package"] for row in ROWS if not _ADVISORY.search(row["why"])] == []


RECORD = """\
id: PYSEC-2026-348
aliases:
- CVE-2025-43859
affected:
- package:
    name: H11
    ecosystem: PyPI
  ranges:
  - type: GIT
    events:
    - introduced: "0"
    - fixed: 114803a29ce50116dc47951c690ad4892b1a36ed
  - type: ECOSYSTEM
    events:
"""
FIXED = """\
    - fixed: 0.16.0
    - introduced: 0.9.0
"""
LAST = """\
    - introduced: 0.9.0
    - last_affected: 0.15.0-cu124
"""
LISTED = """\
  versions:
  - "0.10"
"""


def audited(tmp_path: Path, pin: str, record: str) -> subprocess.CompletedProcess[str]:
    """What script/audit says of one pin, by a database with one record."""
    (tmp_path / "script").mkdir()
    for name in ("audit", "advisories.py"):
        shutil.copy(ROOT / "script" / name, tmp_path / "script")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "constraints.txt").write_text(f"# one pin\nh11=={pin}\n")
    folder = tmp_path / "checkout" / "vulns" / "h11"
    folder.mkdir(parents=True)
    (folder / "PYSEC-2026-348.yaml").write_text(record)
    return asked(tmp_path, tmp_path / "checkout")


def asked(project: Path, service: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "script" / "audit", service], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("pin", "events", "known"),
    [
        ("0.8.9", FIXED, False),
        ("0.9", FIXED, True),
        ("0.15.9", FIXED, True),
        ("0.16", FIXED, False),
        ("0.15.0", LAST, True),
        ("0.15.1", LAST, False),
        ("7.0", '    - introduced: "0"\n', True),
        ("0.10", FIXED.replace("0.9.0", "0.11") + LISTED, True),
        ("0.1", FIXED.replace("0.9.0", "0.11") + LISTED, False),
    ],
)
def test_a_checkout_tells_whether_a_pin_has_a_known_hole(
    tmp_path: Path, pin: str, events: str, known: bool
) -> None:
    done = audited(tmp_path, pin, RECORD + events)
    assert done.returncode == known
    assert (f"h11 {pin} PYSEC-2026-348 CVE-2025-43859" in done.stderr) == known
    assert "1 packages looked up, 1 advisories" in done.stderr


def test_what_was_withdrawn_is_no_hole(tmp_path: Path) -> None:
    done = audited(tmp_path, "0.15.0", RECORD + LAST + 'withdrawn: "2026-07-01T00:00:00Z"\n')
    assert done.returncode == 0


def test_a_record_of_another_package_is_passed_over(tmp_path: Path) -> None:
    done = audited(tmp_path, "0.15.0", RECORD.replace("H11", "h2") + LAST)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("folder", "said"),
    [("", "vulns"), ("empty", "no advisory there"), ("gone", "is no directory")],
)
def test_where_nothing_could_be_looked_up_the_audit_is_no_success(
    tmp_path: Path, folder: str, said: str
) -> None:
    assert audited(tmp_path, "0.16.0", RECORD + FIXED).returncode == 0
    (tmp_path / "empty" / "vulns").mkdir(parents=True)
    done = asked(tmp_path, tmp_path / folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    done = audited(tmp_path, "0.16.0", RECORD + "   - [")
    assert done.returncode == 2
    assert "PYSEC-2026-348.yaml" in done.stderr
