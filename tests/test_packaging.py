"""What is pinned, what the scripts refuse, and what the README promises."""

import re
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

from beepwatch.sections import Config

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def normalised(requirement: str) -> str:
    """The name alone, as PEP 503 compares it."""
    name = re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def config_keys(values: dict[str, object], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, value in values.items():
        if isinstance(value, dict):
            keys |= config_keys(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            keys |= config_keys(value[0], f"{prefix}{name}[].")
        else:
            keys.add(prefix + name)
    return keys


def test_every_requirement_is_pinned_to_one_version() -> None:
    pins = re.findall(r"^([\w.-]+)==[\w.]+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    wanted += [each for extra in project["optional-dependencies"].values() for each in extra]
    wanted += PROJECT["build-system"]["requires"]
    assert {normalised(each) for each in wanted} <= {normalised(pin) for pin in pins}


def test_constraints_hold_pins_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    strange = [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)]
    assert strange == []


def test_setup_refuses_a_scope_it_does_not_know() -> None:
    done = subprocess.run(
        [ROOT / "script" / "setup", "everything"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "everything" in done.stderr
    assert "demo, test or all" in done.stderr


@pytest.mark.parametrize("name", ["setup", "demo", "test", "image", "audit", "../deploy/lock"])
def test_scripts_are_executable_posix_sh(name: str) -> None:
    script = ROOT / "script" / name
    assert script.stat().st_mode & 0o111
    assert script.read_text().startswith("#!/bin/sh\n")
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_lists_exactly_the_keys_of_the_configuration() -> None:
    text = (ROOT / "README.md").read_text()
    table = text.partition("| key | default |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    listed = {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}
    keys = config_keys(msgspec.to_builtins(Config()))
    assert listed == set(keys)
