"""Faults of the children, injected into the real ones: nothing is lost, nothing comes twice."""

import os
import random
import signal
import threading
import time
import wave
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import beepwatch.daemon.child
import beepwatch.daemon.supervisor
from beepwatch.daemon.child import Child
from beepwatch.daemon.supervisor import Supervisor
from beepwatch.daemon.wiring import Wiring
from beepwatch.messages import AlertKind
from tests.daemon.illnesses import DEADLY_WINDOW, OUTBREAKS
from tests.daemon.playing import Told, notices, play, told, undelivered

pytestmark = pytest.mark.slow

KILLING_S = float(os.environ.get("BEEPWATCH_TEST_KILLING_S", "4"))  # noqa: TID251 - the long form
A_MINUTE_S = 60.0
RECORDING_S = 97.0
SPEED = 20.0  # of the recording


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """What is told when nothing goes wrong."""
    state = tmp_path_factory.mktemp("truth")
    play(state)
    events = told(state)
    assert len(events) > 4
    assert all(event.final for event in events)
    assert sum(event.alerts for event in events) > 2
    return events


def children(recursive: bool = False) -> list[psutil.Process]:
    """Recorder, classifier, messenger, as far as they live just now.

    Not Python's resource tracker, which a test before may have left behind.
    """
    found = psutil.Process().children(recursive=recursive)
    return [process for process in found if not is_tracker(process)]


def is_tracker(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "multiprocessing.resource_tracker" in " ".join(process.cmdline())
    return False


def process_of(child: Child) -> psutil.Process:
    """Once it has spoken."""
    while not child.heard_of or (pid := child.pid) is None:
        threading.Event().wait(0.01)
    return psutil.Process(pid)


@pytest.mark.parametrize(("often_s", "for_s"), [(0.5, KILLING_S), (0.15, 4.0)])
def test_children_killed_again_and_again_lose_nothing(
    tmp_path: Path, truth: list[Told], often_s: float, for_s: float
) -> None:
    """Any of them, twice a second and oftener, at any moment; a kill storm is told."""
    chance = random.Random(round(often_s * 100))  # noqa: S311 - a fault, no secret

    def kill_them(_wiring: Wiring, _supervisor: Supervisor) -> None:
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            threading.Event().wait(often_s * chance.uniform(0.5, 1.5))
            if victims := children():
                chance.choice(victims).kill()

    play(tmp_path, kill_them, speed=min(SPEED, RECORDING_S / for_s))
    assert told(tmp_path) == truth
    assert undelivered(tmp_path) == 0
    storms = notices(tmp_path, AlertKind.FAULT)
    assert all("keeps dying" in text for text in storms)
    assert storms or for_s < A_MINUTE_S


@pytest.mark.parametrize("ill", ["dies before it writes", "dies after it has written"])
def test_a_classifier_killed_around_its_writes_writes_each_event_once(
    tmp_path: Path, truth: list[Told], ill: str
) -> None:
    """Several times; what was written and never said so is sent."""
    play(tmp_path, ill=ill)
    assert (tmp_path / "outbreaks").stat().st_size == OUTBREAKS
    assert told(tmp_path) == truth
    assert undelivered(tmp_path) == 0


def counted(one: Told) -> tuple[int, bool, int]:
    """What does not depend on a few frames."""
    return one.pulses, one.final, one.alerts


@pytest.mark.parametrize("ill", ["crashes", "raises"])
def test_a_window_that_kills_the_classifier_twice_is_put_aside_and_the_next_goes_on(
    tmp_path: Path, truth: list[Told], ill: str
) -> None:
    """What sounded in it is in its neighbours too."""
    play(tmp_path, ill=ill)
    assert (tmp_path / "outbreaks").stat().st_size == 2
    (kept,) = (tmp_path / "poison").iterdir()
    assert kept.name.endswith(f"-{DEADLY_WINDOW}.wav")
    assert kept.stat().st_mode & 0o777 == 0o600
    with wave.open(str(kept)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (16_000, 48_000)
    (fault,) = notices(tmp_path, AlertKind.FAULT)
    assert fault.startswith("the classifier keeps dying of the sound of ")
    assert fault.endswith(str(kept))
    heard = told(tmp_path)
    assert [counted(one) for one in heard] == [counted(one) for one in truth]
    for one, other in zip(heard, truth, strict=True):  # its neighbours saw less of what followed
        assert one.onset_s == pytest.approx(other.onset_s, abs=0.05)
        assert one.duration_s == pytest.approx(other.duration_s, abs=0.05)


def test_a_classifier_that_hangs_is_killed_and_loses_nothing(
    tmp_path: Path, truth: list[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.child, "STALE_AFTER_S", 3.0)
    play(tmp_path, ill="hangs")
    assert (tmp_path / "outbreaks").stat().st_size == 1
    assert not (tmp_path / "poison").exists()
    assert told(tmp_path) == truth


@pytest.mark.parametrize("name", ["recorder", "classifier", "messenger"])
def test_a_stopped_child_is_killed_and_started_again(
    tmp_path: Path, truth: list[Told], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(beepwatch.daemon.child, "STALE_AFTER_S", 3.0)
    stopped: list[psutil.Process] = []

    def stop_it(wiring: Wiring, _supervisor: Supervisor) -> None:
        process = process_of(getattr(wiring, name))
        process.send_signal(signal.SIGSTOP)
        stopped.append(process)

    play(tmp_path, stop_it, speed=SPEED)
    assert not stopped[0].is_running()
    assert told(tmp_path) == truth
    assert undelivered(tmp_path) == 0


def test_a_classifier_ten_times_too_slow_drops_the_oldest_counts_them_and_catches_up(
    tmp_path: Path,
) -> None:
    """Played so fast that it has no chance; the queue never holds more than it may."""
    most = 0

    def watch(wiring: Wiring, supervisor: Supervisor) -> None:
        nonlocal most
        process_of(wiring.messenger)
        while wiring.messenger.pid is not None:
            most = max(most, len(supervisor.queue))
            threading.Event().wait(0.005)

    supervisor = play(tmp_path, watch, ill="is slow", patient=False, speed=240.0)
    dropped = supervisor.queue.dropped
    assert dropped > 5
    assert 25 < most <= 31
    (fault,) = notices(tmp_path, AlertKind.FAULT)
    assert fault.startswith("the classifier is too slow, ")
    assert notices(tmp_path, AlertKind.RECOVERED) == [
        f"the classifier has caught up; {dropped} windows were dropped"
    ]
    assert told(tmp_path)[-1].final


def test_children_that_are_stopped_do_not_keep_the_daemon_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ffmpeg too; nobody is left behind."""
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 0.3)
    everybody: list[psutil.Process] = []

    def stop_all(wiring: Wiring, _supervisor: Supervisor) -> None:
        for child in (wiring.recorder, wiring.classifier, wiring.messenger):
            process_of(child)
        everybody.extend(children(recursive=True))
        for process in everybody:
            process.send_signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGTERM)

    play(tmp_path, stop_all, speed=1.0)
    assert len(everybody) == 4
    gone, alive = psutil.wait_procs(everybody, timeout=60)
    assert (len(gone), alive) == (4, [])
