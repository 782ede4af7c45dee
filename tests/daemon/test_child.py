"""How soon a child lives again, told at which moment it died; real processes, virtual time."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

import beepwatch.daemon.child
from beepwatch.daemon.child import (
    FIRST_BACKOFF_S,
    KILLED_BACKOFF_S,
    LEFT_AFTER_S,
    STALE_AFTER_S,
    STARTING_S,
    STORM_S,
    Child,
)
from beepwatch.messages import Failed, Poke, Ready
from tests.daemon.parts import Part
from tests.daemon.stage import PATIENCE_S


@pytest.fixture
def child(tmp_path: Path) -> Child:
    return Child("recorder", "tests.daemon.children", Part(plays="deaf", directory=tmp_path))


def killed(child: Child, now_s: float) -> None:
    """One life that ends at `now_s`."""
    child.start(now_s)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.bury(now_s) == -signal.SIGKILL


def test_after_a_first_death_it_lives_again_at_once(child: Child) -> None:
    killed(child, 100.0)
    assert child.due(100.0)


def test_one_that_keeps_dying_waits_longer_each_time_until_it_has_lived_for_a_while(
    child: Child,
) -> None:
    killed(child, 100.0)
    killed(child, 100.0)
    assert child.due_in_s(100.0) == pytest.approx(FIRST_BACKOFF_S)
    killed(child, 101.0)
    assert child.due_in_s(101.0) == pytest.approx(2 * FIRST_BACKOFF_S)
    killed(child, 102.0 + STORM_S)
    assert child.due(102.0 + STORM_S)


def test_one_that_somebody_kills_all_the_time_never_waits_for_longer_than_half_a_second(
    child: Child,
) -> None:
    """It would have lived; with its start, it is back within two seconds."""
    for number in range(8):
        killed(child, 100.0 + number)
        assert child.due(100.0 + number + KILLED_BACKOFF_S)
    assert KILLED_BACKOFF_S == 0.5


@pytest.mark.parametrize("unread", [False, True])
def test_last_words_are_heard_though_nobody_listens_any_more(tmp_path: Path, unread: bool) -> None:
    """A child that leaves something unread resets the connection instead of closing it."""
    part = Part(plays="failing_classifier", directory=tmp_path)
    child = Child("classifier", "tests.daemon.children", part)
    child.start(0.0)
    if unread:
        assert child.send(Poke())
    assert child.pid is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not child.send(Poke())
    assert child.receive(1.0) == Failed(text="there is no model", exit_code=3)
    assert child.receive(1.0) is None
    assert child.connection is None
    child.put_to_rest()


def test_a_life_after_one_that_hung_has_all_the_time_of_a_first_one(tmp_path: Path) -> None:
    """It loads its model again, and nobody has killed it."""
    part = Part(plays="stuck_classifier", directory=tmp_path)
    child = Child("classifier", "tests.daemon.children", part)
    child.start(0.0)
    assert child.connection is not None
    assert child.connection.poll(PATIENCE_S)
    assert child.receive(1.0) == Ready()
    assert child.stale(1.1 + STALE_AFTER_S)
    child.hung = True
    child.kill()
    assert child.pid is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.bury(20.0) == -signal.SIGKILL
    child.start(30.0)
    assert not child.stale(31.0 + STALE_AFTER_S)
    assert child.stale(31.0 + STARTING_S)
    assert [child.bury(now_s) for now_s in (40.0, 41.0 + LEFT_AFTER_S)] == [None, None]
    assert not child.left
    child.put_to_rest()


def test_a_child_that_stops_in_the_middle_of_a_message_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the supervisor would wait with it, and with all the others, for ever."""
    monkeypatch.setattr(beepwatch.daemon.child, "MESSAGE_WITHIN_S", 1)
    part = Part(plays="stammering_recorder", directory=tmp_path)
    child = Child("recorder", "tests.daemon.children", part)
    child.start(0.0)
    assert child.connection is not None
    assert child.connection.poll(PATIENCE_S)
    assert child.receive(1.0) is None
    assert not child.send(Poke())
    child.put_to_rest()


@pytest.mark.parametrize("hung", [True, False], ids=["hung", "killed by somebody"])
def test_what_it_has_started_ends_with_it(tmp_path: Path, hung: bool) -> None:
    """An ffmpeg that goes on would keep the microphone from the next life."""
    part = Part(plays="deaf_parent", directory=tmp_path)
    child = Child("recorder", "tests.daemon.children", part)
    child.start(0.0)
    assert child.pid is not None
    journal = tmp_path / "journal"
    give_up_s = time.monotonic() + PATIENCE_S
    while not journal.exists() or "started" not in journal.read_text():
        assert time.monotonic() < give_up_s
        threading.Event().wait(0.02)
    started = psutil.Process(int(journal.read_text().split()[-1]))
    if hung:
        child.kill()
    else:
        os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.bury(1.0) == -signal.SIGKILL
    assert psutil.wait_procs([started], timeout=PATIENCE_S)[1] == []


def test_its_lives_leave_nothing_open(child: Child) -> None:
    """It may die every half minute for a year."""
    opened = []
    for number in range(3):
        killed(child, 100.0 * number)
        opened.append(len(list(Path("/proc/self/fd").iterdir())))
    assert max(opened) == opened[0]
