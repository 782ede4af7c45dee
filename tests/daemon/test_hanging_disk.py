"""A disk that never answers holds who writes to it in the kernel, where SIGKILL does not reach."""

import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import beepwatch.daemon.child
import beepwatch.daemon.classifier
import beepwatch.daemon.footing
import beepwatch.daemon.storeless
import beepwatch.daemon.supervisor
import beepwatch.daemon.unwritten
import beepwatch.daemon.writing
import beepwatch.store.disk
from beepwatch.clock import SystemClock
from beepwatch.config import load
from beepwatch.daemon import refuge
from beepwatch.daemon.child import LEFT_AFTER_S, Child
from beepwatch.daemon.doctor import checks
from beepwatch.daemon.unwritten import WITHOUT_STORE
from beepwatch.messages import (
    Alert,
    AlertKind,
    Done,
    Fault,
    Finish,
    Finished,
    Heartbeat,
    Noted,
    Poke,
    Quiet,
    Ready,
    Window,
)
from beepwatch.store.database import FILE_NAME, Database
from tests.bot_api import BotApi
from tests.daemon.conversation import messaging, recording
from tests.daemon.parts import Part
from tests.daemon.stage import Stage
from tests.daemon.test_classifier import classifying
from tests.small_disk import BrokenDisk, broken_disk, is_held

NOW = SystemClock().utc()
BEEP = Alert(kind=AlertKind.HEARD, text="beep", created_at=NOW, due_at=NOW, dedupe_key="heard:1")
ANSWERS_WITHIN_S = 0.5


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokenDisk]:
    monkeypatch.setattr(beepwatch.store.disk, "ANSWERS_WITHIN_S", ANSWERS_WITHIN_S)
    monkeypatch.setattr(beepwatch.daemon.storeless, "ANSWERS_WITHIN_S", ANSWERS_WITHIN_S)
    with broken_disk(tmp_path) as one:
        Database(one.path / "state").close()
        yield one


@pytest.fixture
def state(disk: BrokenDisk) -> Path:
    return disk.path / "state"


@pytest.fixture
def kitchen() -> list[Window | Quiet]:
    """The first 30 s of the demo's recording."""
    heard = recording().hear()
    return [message for message in heard if isinstance(message, Window | Quiet)][:30]


def test_a_child_that_cannot_be_killed_is_left_and_lives_anew(
    disk: BrokenDisk, tmp_path: Path
) -> None:
    """It waits for the disk with the first line of its journal."""
    child = Child("classifier", "tests.daemon.children", Part(plays="deaf", directory=disk.path))
    with disk.hanging():
        child.start(100.0)
        held = child.pid
        assert held is not None
        wait_until_held(held)
        child.hung = True
        child.kill()
        assert child.bury(115.0) is None
        assert child.bury(115.0 + LEFT_AFTER_S / 2) is None
        assert child.bury(115.0 + LEFT_AFTER_S) == -signal.SIGKILL
        left = [child.left]
        child.settings = Part(plays="deaf", directory=tmp_path)
        assert child.due(120.0)
        child.start(120.0)
        assert child.alive
        assert child.pid != held
        assert [*left, child.left] == [True, False]
    child.put_to_rest()


def wait_until_held(pid: int) -> None:
    while not is_held(pid):
        threading.Event().wait(0.02)


def test_a_window_is_not_to_blame_for_what_holds_the_classifier(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hangs put it aside, but not of those that cannot be killed."""
    monkeypatch.setattr(beepwatch.daemon.child, "STALE_AFTER_S", 1.5)
    monkeypatch.setattr(beepwatch.daemon.child, "LEFT_AFTER_S", 0.1)
    monkeypatch.setattr(beepwatch.daemon.child, "FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 0.5)
    kill = beepwatch.daemon.child._kill_group
    held: list[int] = []
    monkeypatch.setattr(beepwatch.daemon.child, "_kill_group", held.append)

    def let_go() -> None:
        monkeypatch.setattr(beepwatch.daemon.child, "_kill_group", kill)
        for pid in held:
            kill(pid)

    stage.play(
        lambda: stage.wait_for("stuck_classifier began", times=4),
        let_go,
        stage.signal,
        classifier="stuck_classifier",
        windows=1,
    )
    assert len(set(held)) >= 3
    assert not (stage.directory / "poison").exists()


def test_a_classifier_whose_disk_hangs_hears_and_hands_over_until_it_answers(
    disk: BrokenDisk, state: Path, kitchen: list[Window | Quiet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.writing, "HAND_OVER_S", 0.0)
    monkeypatch.setattr(beepwatch.daemon.classifier, "IDLE_S", 0.05)
    monkeypatch.setattr(beepwatch.daemon.footing, "TRY_AGAIN_S", 0.05)
    with disk.hanging():
        child = classifying(state)
        first = child.hear_until(Ready)
        child.say(*kitchen)
        first += child.hear_until(Alert)
        first += child.hear_until(Heartbeat)
    first += child.hear()
    assert isinstance(first[-1], Finished)
    faults = [one for one in first if isinstance(one, Fault)]
    assert [one.cleared for one in faults] == [False, True]
    assert "does not answer" in faults[0].text
    assert not any(one.at_rest for one in first if isinstance(one, Done) and one.sequence > 20)
    child = classifying(state)
    child.hear_until(Ready)
    child.say(*kitchen)
    child.hear_until(Poke)
    child.say(Finish(within_s=20.0))
    assert [type(message) for message in child.hear()][-1] is Finished


def test_a_messenger_whose_disk_hangs_tells_what_comes_until_it_answers(
    disk: BrokenDisk, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of the classifier, so that the supervisor tells them once."""
    monkeypatch.setattr(beepwatch.daemon.unwritten, "TELL_ANYWAY_S", 0.1)
    monkeypatch.setattr(beepwatch.daemon.unwritten, "STORE_AGAIN_S", 0.05)
    monkeypatch.setattr(beepwatch.daemon.storeless, "TRY_FIRST_S", 0.05)
    monkeypatch.setattr(beepwatch.daemon.storeless, "TRY_AGAIN_S", 0.5)
    with BotApi() as api:
        with disk.hanging(), closing(classifying(state)) as classifier:
            said = next(one for one in classifier.hear() if isinstance(one, Fault))
            child = messaging(state, api)
            heard = child.hear_until(Ready)
            child.say(BEEP)
            while not {Noted, Fault} <= {type(one) for one in heard}:
                heard.append(next(child.hear()))
        heard += child.hear()
        (posted,) = api.messages
    assert posted.text.startswith(f"beep ({WITHOUT_STORE})")
    faults = [one for one in heard if isinstance(one, Fault)]
    assert [one.cleared for one in faults] == [False, True]
    assert faults[0].text == said.text
    assert isinstance(heard[-1], Finished)


def test_at_the_start_the_state_of_a_disk_that_hangs_goes_into_memory_and_nothing_is_read(
    disk: BrokenDisk, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refuge, "PLACES", (tmp_path / "memory",))
    (tmp_path / "memory").mkdir()
    with disk.hanging():
        found = refuge.refuge_from(state)
    assert found is not None
    assert not (found.memory / FILE_NAME).exists()
    text = found.alert(SystemClock()).text
    assert "cannot be written: it does not answer. What sounds is told" in text


def test_the_doctor_does_not_wait_for_a_disk_that_hangs(
    disk: BrokenDisk, state: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[capture]\nsource = "stdin"\n[store]\ndirectory = "{state}"\n')
    with disk.hanging():
        found = {check.name: check for check in checks(load(config, {}))}["disk"]
    assert not found.ok
    assert "takes nothing any more: it does not answer" in found.found
