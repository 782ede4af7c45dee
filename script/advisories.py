"""Known holes of pinned versions, in a checkout of PyPA's advisory database: DIRECTORY PINS.

Prints a line for each, and on stderr how many packages and advisories were looked at. Ends with an
error if none of the packages is in the database.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

Advisory = Mapping[str, Any]  # a record of OSV's schema


def canonical(name: str) -> str:
    """As PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bound(text: str) -> Version:
    """A version; of what is none, as 2.6.0-cu124, the numbers that it begins with."""
    try:
        return Version(text)
    except InvalidVersion:
        numbers = re.match(r"[\d.]*\d", text)
        return Version(numbers[0] if numbers else "0")


def within(version: Version, events: Iterable[Mapping[str, str]]) -> bool:
    """Whether a range's events, in any order, leave the version open."""
    inside = False
    each = [(bound(at), kind) for event in events for kind, at in event.items()]
    for at, kind in sorted(each, key=lambda pair: pair[0]):
        if kind == "introduced" and version >= at:
            inside = True
        if (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def concerns(advisory: Advisory, name: str, pin: str) -> bool:
    """Whether it is of that version: a record may list versions, or ranges, or both."""
    if "withdrawn" in advisory:
        return False
    affected = [one for one in advisory["affected"] if canonical(one["package"]["name"]) == name]
    if any(pin in one.get("versions", []) for one in affected):
        return True
    ranges = [each for one in affected for each in one.get("ranges", [])]
    return any(
        within(Version(pin), each["events"]) for each in ranges if each["type"] == "ECOSYSTEM"
    )


def main(database: Path, pins: Path) -> None:
    """Look up each `name==version` of the file."""
    folders = {canonical(folder.name): folder for folder in (database / "vulns").iterdir()}
    pinned = [line.split("==") for line in pins.read_text().splitlines() if "==" in line]
    count = 0
    for name, pin in pinned:
        folder = folders.get(canonical(name))
        for path in sorted(folder.glob("*.yaml")) if folder else []:
            with path.open("rb") as file:
                advisory = yaml.load(file, yaml.BaseLoader)  # noqa: S506 — it makes strings alone
            count += 1
            if concerns(advisory, canonical(name), pin):
                print(name, pin, advisory["id"], *advisory.get("aliases", []))
    if not count:
        sys.exit("no advisory there is of a package that is pinned")
    print(f"{len(pinned)} packages looked up, {count} advisories of them read", file=sys.stderr)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
