"""Who has no configuration of their own beside the system's service, whose files are not theirs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_cli import AS_ANYBODY

SYSTEM_S = """
import sys
from pathlib import Path
from beepwatch import config
config.SYSTEM_FILE = Path(sys.argv.pop(1))
from beepwatch.cli import run_command_line
raise SystemExit(run_command_line())
"""


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """The system's configuration, which names a state directory that is the service's alone."""
    file = tmp_path / "etc" / "config.toml"
    file.parent.mkdir()
    state = tmp_path / "lib"
    state.mkdir()
    file.write_text(f'[store]\ndirectory = "{state}"\n')
    return file


def said(system: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What a user of this machine is told, whose home is empty."""
    before = AS_ANYBODY if os.geteuid() == 0 else ()
    home = system.parents[1] / "home"
    home.mkdir(exist_ok=True)
    kept = ("PATH", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
    environment = {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251 - as the shell's
    return subprocess.run(
        [*before, sys.executable, "-c", SYSTEM_S, str(system), *words],
        env=environment | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("verb", ["config check", "events"])
def test_a_state_that_is_the_service_s_is_told_with_the_file_that_names_it(
    verb: str, system: Path
) -> None:
    state = system.parents[1] / "lib"
    state.chmod(0)
    done = said(system, *verb.split())
    state.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"beepwatch: the state directory {state} cannot be used: Permission denied. "
        f"It is the service's, by {system}: run it with sudo and --config {system}, or write a "
        f"configuration of your own, {system.parents[1]}/home/.config/beepwatch/config.toml, "
        "which comes first.\n"
    )


@pytest.mark.parametrize("closed", ["file", "directory"])
def test_a_configuration_that_is_the_service_s_is_told_with_what_else_can_be_done(
    closed: str, system: Path
) -> None:
    locked = system if closed == "file" else system.parent
    locked.chmod(0)
    done = said(system, "config", "check")
    locked.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"beepwatch: the configuration file {system} cannot be read: Permission denied. "
        "It is the service's: run it with sudo, or write one of your own, "
        f"{system.parents[1]}/home/.config/beepwatch/config.toml.\n"
    )
