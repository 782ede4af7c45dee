"""The whole program: told to end at any moment, left by its supervisor, configured anew."""

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from beepwatch.clock import SystemClock
from beepwatch.daemon.child import Child
from beepwatch.daemon.settings import RecorderSettings
from beepwatch.logs import LogSettings
from beepwatch.sections import Capture
from beepwatch.store.database import FILE_NAME
from tests.bot_api import BotApi
from tests.daemon.parts import Part
from tests.daemon.playing import RECORDING, Told, told
from tests.end_to_end.daemon import Daemon, daemon

pytestmark = pytest.mark.slow

PATIENCE_S = 45.0
SPEED = "12"


def wait_until(true: Callable[[], bool], what: str) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        threading.Event().wait(0.01)


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _gone, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    assert alive == []


# Nobody is left behind


@pytest.mark.parametrize("children", [0, 1, 2, 3])
def test_a_signal_to_all_while_children_are_started_leaves_nobody(
    tmp_path: Path, children: int
) -> None:
    """As systemd and ^C do it: everybody gets it, from a child's first moment on."""
    before = psutil.Process().children()  # a test before may have left Python's resource tracker
    with daemon(tmp_path) as one:
        one.configure("")
        one.start("--source", f"file:{RECORDING}")
        assert one.process is not None
        program = psutil.Process(one.pid)
        wait_until(lambda: len(program.children()) >= children, "the children")
        everybody = [*program.children(recursive=True), program]
        for process in everybody:
            process.send_signal(signal.SIGTERM)
        exit_code = one.process.wait(PATIENCE_S)
        assert exit_code == 0 if children else exit_code in (0, -signal.SIGTERM)
        wait_until_gone(everybody)
        since = [child for child in psutil.Process().children() if child not in before]
        assert not since, "nor has anybody been started since"


def test_signals_do_not_end_a_child_in_the_middle_of_its_start(tmp_path: Path) -> None:
    """They are the supervisor's to act on."""
    part = Part(plays="messenger", directory=tmp_path)
    child = Child("messenger", "tests.daemon.children", part)
    child.start(0.0)
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(child.pid or 0, number)
        wait_until(lambda: child.receive(0.0) is not None, "its first word")
        assert child.alive
    finally:
        child.put_to_rest()


@pytest.fixture
def deaf_child(tmp_path: Path) -> Iterator[Child]:
    """A child that waits for something else than its supervisor."""
    child = Child("recorder", "tests.daemon.children", Part(plays="deaf", directory=tmp_path))
    child.start(0.0)
    wait_until(lambda: (tmp_path / "journal").exists(), "its first word")
    yield child
    child.put_to_rest()


def test_a_child_that_is_stuck_does_not_outlive_its_supervisor(deaf_child: Child) -> None:
    """It is told by the end of the connection, as when the supervisor has been killed."""
    assert deaf_child.connection is not None
    deaf_child.connection.close()
    wait_until(lambda: not deaf_child.alive, "its end")


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_the_ffmpeg_of_a_killed_recorder_is_ended_too(silent_server: int) -> None:
    """Stopped, so that neither a broken pipe nor its own patience ends it."""
    source = f"stream:http://127.0.0.1:{silent_server}/radio"
    recorder = Child(
        "recorder",
        "beepwatch.daemon.recorder",
        RecorderSettings(
            capture=Capture(source=source),
            rate_hz=16_000,
            speed=1.0,
            logs=LogSettings(level="critical"),
        ),
    )
    clock = SystemClock()
    recorder.start(clock.mono_s())
    ffmpeg: psutil.Process | None = None
    try:
        process = psutil.Process(recorder.pid)
        wait_until(lambda: bool(process.children()), "its ffmpeg")
        (ffmpeg,) = process.children()
        ffmpeg.send_signal(signal.SIGSTOP)
        process.kill()
        wait_until(lambda: recorder.bury(clock.mono_s()) == -signal.SIGKILL, "its death")
        wait_until_gone([ffmpeg])
    finally:
        if ffmpeg is not None and ffmpeg.is_running():
            ffmpeg.kill()
        recorder.put_to_rest()


def test_standard_output_that_nobody_reads_does_not_keep_the_daemon_from_ending(
    tmp_path: Path,
) -> None:
    """The source has ended, and alerts for the console cannot be told."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, bytes(4_096))
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    one = Daemon(tmp_path)
    one.configure("")
    with one.log.open("ab") as log:
        command = [sys.executable, "-m", "beepwatch", "run", "--config", str(one.config)]
        program = subprocess.Popen(
            [*command, "--source", f"file:{RECORDING}", "--speed", "max"],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=log,
        )
    try:
        wait_until(lambda: "source_ended" in one.log.read_text(), "the end of the recording")
        everybody = psutil.Process(program.pid).children(recursive=True)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0
        wait_until_gone(everybody)
    finally:
        program.kill()
        os.close(reading)
        os.close(writing)
    assert sum(event.alerts for event in told(one.state)) > 0


@pytest.mark.parametrize("writable", [True, False])
def test_what_a_messenger_does_not_take_at_the_end_is_told_at_the_next_start_or_named(
    tmp_path: Path, writable: bool
) -> None:
    """It is stopped, and so killed with the supervisor's last words in its hands."""
    listening = f"beepwatch is listening to file:{RECORDING}"

    def said() -> list[str]:
        lines = [posted.text.splitlines()[0] for posted in api.messages]
        return [line for line in lines if line.startswith("beepwatch ")]

    with BotApi() as api, daemon(tmp_path) as one:
        one.configure("[notify.console]\nenabled = false\n", api)
        one.start("--source", f"file:{RECORDING}")
        api.wait_for_message(1, within_s=PATIENCE_S)
        one.wait_for_log('"alert_sent"')
        messenger = one.children()[0]  # the first to be started
        os.kill(messenger, signal.SIGSTOP)
        with closing(sqlite3.connect(one.state / FILE_NAME)) as other:
            if not writable:
                other.execute("BEGIN IMMEDIATE")
            assert one.stop() == 0
        log = one.log.read_text()
        one.start("--source", f"file:{RECORDING}")
        api.wait_until(lambda: said().count(listening) == 2, "other start")
        assert one.stop() == 0
    stopped = ["beepwatch has stopped listening"] * writable
    assert said()[: 2 + writable] == [listening, *stopped, listening]
    assert log.count('"alert_lost"') == (not writable)


# Another configuration


RULES = '[[rules]]\nlabel = "beep"\ncooldown_s = {cooldown_s}\n[notify]\nnotices = {notices}\n'


def rules(cooldown_s: float, *, notices: bool = False) -> str:
    return RULES.format(cooldown_s=cooldown_s, notices=str(notices).lower())


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """What is told when nothing is changed."""
    with daemon(tmp_path_factory.mktemp("truth")) as one:
        one.configure(rules(12))
        one.start("--source", f"file:{RECORDING}", "--speed", "max")
        assert one.wait() == 0
        return told(one.state)


def test_settings_changed_again_and_again_lose_no_sample(tmp_path: Path, truth: list[Told]) -> None:
    """Classifier and messenger are replaced while it beeps, the classifier's rules unchanged."""
    chance = random.Random(4)  # noqa: S311 - a fault, no secret
    with daemon(tmp_path) as one:
        one.configure(rules(12))
        one.start("--source", f"file:{RECORDING}", "--speed", SPEED)
        one.wait_for_log('"listening"')
        for number in range(4):
            one.configure(
                rules(12) + f'room = "{number}"\n[watchdog]\nmissing_after_min = {number}\n'
            )
            os.kill(one.pid, signal.SIGHUP)
            wait_until(lambda: one.log.read_text().count("config_reloaded") > number, "it")  # noqa: B023
            threading.Event().wait(chance.uniform(0.5, 1.5))
        exit_code = one.wait()
        log = one.log.read_text()
        assert exit_code == 0, log
        assert log.count('"process_replaced"') >= 6
        assert '"changed": ["watchdog.missing_after_min", "notify.room"]' in log
        assert "process_died" not in log
        assert "process_hangs" not in log
        assert told(one.state) == truth


def test_new_rules_are_applied_while_it_runs(tmp_path: Path, truth: list[Told]) -> None:
    with daemon(tmp_path) as one:
        one.configure(rules(12))
        one.start("--source", f"file:{RECORDING}", "--speed", SPEED)
        one.wait_for_log("heard")
        one.configure(rules(3_600))
        os.kill(one.pid, signal.SIGHUP)
        one.wait_for_log("config_reloaded")
        assert one.wait() == 0
        events = told(one.state)
    assert sum(event.alerts for event in events) == 1
    assert [(one.onset_s, one.pulses) for one in events] == [
        (one.onset_s, one.pulses) for one in truth
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("[[rules]]\nlabel = 'beep'\ncooldown = 3\n", "cooldown_s"),
        ("[capture\n", "is not valid TOML"),
        ("[[rules]]\nlabel = 'doorbell'\n", "rules.label is 'doorbell'"),
        ("[capture]\nhop_s = 3.5\n", "capture.hop_s is 3.5"),
    ],
)
def test_bad_settings_are_refused_in_one_line_and_the_old_ones_kept(
    tmp_path: Path, bad: str, reason: str
) -> None:
    with daemon(tmp_path) as one:
        one.configure(rules(12, notices=False))
        one.start("--source", f"file:{RECORDING}", "--speed", "1")
        one.wait_for_log('"listening"')
        children = sorted(one.children())
        one.config.write_text(bad)
        os.kill(one.pid, signal.SIGHUP)
        one.wait_for_log("config_refused")
        os.kill(one.pid, signal.SIGHUP)
        wait_until(lambda: one.log.read_text().count("config_refused") == 2, "it, once a time")
        assert sorted(one.children()) == children
        assert one.stop() == 0
        (line, _again) = [
            line for line in one.log.read_text().splitlines() if "config_refused" in line
        ]
    assert reason in line


def test_a_store_elsewhere_needs_a_restart(tmp_path: Path) -> None:
    with daemon(tmp_path) as one:
        one.configure("")
        one.start("--source", f"file:{RECORDING}", "--speed", "1")
        one.wait_for_log('"listening"')
        one.state = tmp_path / "elsewhere"
        one.configure("")
        os.kill(one.pid, signal.SIGHUP)
        one.wait_for_log("Restart beepwatch.")
        assert one.stop() == 0
    assert not one.state.exists()
