"""What somebody sees who runs the daemon on a terminal: each thing once."""

from pathlib import Path

import pytest

from tests.terminal import INTERRUPT, terminal
from tests.verbs import own_home  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow
NOBODY_THERE = "stream:http://127.0.0.1:9/"  # discard(9): nobody listens


def test_a_fault_is_one_line(tmp_path: Path) -> None:
    """It is an alert, and in the log for those who read that alone."""
    with terminal("run", "--source", NOBODY_THERE) as there:
        fault = there.wait_for(r"(?m)^\d\d:\d\d:\d\d  fault  .*$")
        there.type(INTERRUPT)
        assert there.end() == 0
    what = fault.split("  ")[2]
    assert there.seen.count(what[:40]) == 1
    assert "warning" not in there.seen


def test_without_alerts_on_the_console_a_fault_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEEPWATCH_NOTIFY__CONSOLE__ENABLED", "false")
    with terminal("run", "--source", NOBODY_THERE) as there:
        there.wait_for("warning .* fault .*text=")
        there.type(INTERRUPT)
        assert there.end() == 0


def test_a_source_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with terminal("run", "--source", f"file:{tmp_path}/none.wav") as there:
        assert there.end() == 1
    assert there.seen == f"beepwatch: {tmp_path}/none.wav does not exist. Check the path.\n"
