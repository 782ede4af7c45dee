"""How soon a child lives again, told at which moment it died; real processes, virtual time."""

import os
import signal
from pathlib import Path

import pytest

from beepwatch.daemon.child import FIRST_BACKOFF_S, KILLED_BACKOFF_S, STORM_S, Child
from beepwatch.messages import Failed, Poke
from tests.daemon.children import Part


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
