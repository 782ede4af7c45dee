"""Two daemons on one state directory: the second ends, and nobody else is hindered."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.daemon import Daemon, daemon
from tests.end_to_end.sounds import BEEPS, with_silence


def beepwatch(one: Daemon, *words: str) -> "subprocess.CompletedProcess[str]":
    """Another `beepwatch` beside the daemon."""
    return subprocess.run(
        [sys.executable, "-m", "beepwatch", *words],
        env=one.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_the_second_names_the_first_and_ends_while_other_verbs_are_not_hindered(
    tmp_path: Path,
) -> None:
    sound = with_silence(BEEPS, tmp_path / "room.wav", before_s=60.0, after_s=5.0)
    with daemon(tmp_path) as one:
        one.configure("[notify]\nnotices = false\n")
        one.start("--source", f"file:{sound}")
        one.wait_for_log('"listening"')
        run = ("run", "--config", str(one.config), "--source", f"file:{sound}")
        second = beepwatch(one, *run)
        others = [
            beepwatch(one, "events", "--config", str(one.config)),
            beepwatch(one, "scan", str(BEEPS)),
            beepwatch(one, "demo", "--speed", "max", "--out", str(tmp_path / "demo")),
        ]
        assert len(one.children()) == 3
        first = one.pid
        assert one.process is not None
        one.process.send_signal(signal.SIGKILL)
        one.process.wait()
        one.log.write_text("")
        one.start("--source", f"file:{sound}")
        one.wait_for_log('"listening"')
        assert one.stop() == 0
    (line,) = second.stderr.splitlines()
    assert line == (
        f"beepwatch: another beepwatch works with {one.state} (process {first}). Stop that one, or "
        "set store.directory to another directory for this one."
    )
    assert second.returncode == 2
    assert [done.returncode for done in others] == [0, 0, 0], others
