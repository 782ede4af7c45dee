"""The supervisor keeps its children alive, carries every window once, and ends in order."""

import os
import re
import signal
import subprocess
import threading
from typing import Any

import psutil
import pytest

import beepwatch.daemon.child
import beepwatch.daemon.storms
import beepwatch.daemon.supervisor
from tests.daemon.stage import Stage


def test_windows_go_from_recorder_to_classifier_in_order_and_the_end_follows(stage: Stage) -> None:
    exit_code = stage.play(lambda: stage.put("end"), windows=30, queue_windows=4)
    assert exit_code == 0
    assert stage.taken == list(range(30))


def test_the_end_goes_from_the_recorder_to_the_messenger(stage: Stage) -> None:
    exit_code = stage.play(lambda: stage.wait_for("took 4"), stage.signal, windows=5)
    assert exit_code == 0
    ends = [line for line in stage.journal if "told to finish" in line or line.endswith("ended")]
    assert ends == [
        "recorder was told to finish",
        "recorder ended",
        "classifier was told to finish",
        "classifier ended",
        "messenger was told to finish",
        "messenger ended",
    ]


def test_a_recorder_that_is_gone_has_its_last_words_heard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end lies in the connection while the queue of a patient source is full."""
    monkeypatch.setattr(beepwatch.daemon.supervisor, "TURN_S", 0.02)

    def is_gone() -> bool:
        return bool(psutil.Process(stage.pid("hasty_recorder")).status() == psutil.STATUS_ZOMBIE)

    def let_it_turn() -> None:
        threading.Event().wait(0.2)

    stage.play(
        lambda: stage.wait_for("hasty_recorder ended"),
        lambda: stage.wait_until(is_gone, "its end"),
        let_it_turn,  # when it could be buried too early
        lambda: stage.put("go"),
        recorder="hasty_recorder",
        classifier="waiting_classifier",
        windows=6,
        queue_windows=2,
    )
    assert stage.taken == list(range(6))
    assert stage.count("hasty_recorder began") == 1


def test_a_killed_classifier_is_back_and_takes_again_the_window_in_flight_and_the_one_before(
    stage: Stage,
) -> None:
    stage.play(
        lambda: stage.wait_for("holds 2"),
        lambda: os.kill(stage.pid("holding_classifier"), signal.SIGKILL),
        lambda: stage.wait_for("took 11"),
        lambda: stage.put("end"),
        classifier="holding_classifier",
        windows=12,
    )
    assert stage.taken == [0, 1, *range(1, 12)]
    assert stage.count("holding_classifier began") == 2
    assert stage.count("poked") == 2  # with each of its ends: what it wrote last it may not say


def test_what_waits_is_not_blamed_for_a_classifier_that_cannot_start(stage: Stage) -> None:
    """It is handed out to who is ready for it."""
    stage.play(
        lambda: stage.wait_for("frail_classifier began", times=5),
        lambda: stage.put("well"),
        lambda: stage.wait_for("took 5"),
        lambda: stage.put("end"),
        classifier="frail_classifier",
        windows=6,
    )
    assert stage.taken == [0, *range(6)]
    assert not (stage.directory / "poison").exists()


@pytest.mark.parametrize("victim", ["recorder", "messenger"])
def test_any_other_killed_child_is_back(stage: Stage, victim: str) -> None:
    stage.play(
        lambda: stage.wait_for(f"{victim} began"),
        lambda: stage.wait_for("classifier began"),
        lambda: os.kill(stage.pid(victim), signal.SIGKILL),
        lambda: stage.wait_for(f"{victim} began", times=2),
        lambda: stage.put("end"),
    )
    assert stage.count(f"{victim} began") == 2
    assert stage.count("classifier began") == 1


@pytest.mark.parametrize("classifier", ["hanging_classifier", "babbling_classifier"])
def test_a_child_that_hangs_or_babbles_is_killed_and_started_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, classifier: str
) -> None:
    monkeypatch.setattr(beepwatch.daemon.child, "STALE_AFTER_S", 2.0)
    monkeypatch.setattr(beepwatch.daemon.child, "STARTING_S", 4.0)
    stage.play(
        lambda: stage.wait_for("took 2"),
        lambda: stage.put("end"),
        classifier=classifier,
        windows=3,
    )
    assert stage.taken == [0, 1, 2]
    assert stage.count(f"{classifier} began") == 2


def test_a_child_that_keeps_dying_is_told_once_and_so_is_its_recovery(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.storms, "LIVES_S", (0.5,))
    monkeypatch.setattr(beepwatch.daemon.child, "FIRST_BACKOFF_S", 0.01)
    stage.play(
        lambda: stage.wait_for("fault: the classifier keeps dying"),
        lambda: stage.wait_for("dying_classifier began", times=7),
        lambda: stage.put("well"),
        lambda: stage.wait_for("recovered: the classifier lives again"),
        lambda: stage.put("end"),
        classifier="dying_classifier",
    )
    told = [line for line in stage.journal if line.startswith(("fault", "recovered"))]
    assert told == [
        "fault: the classifier keeps dying (exit code 1); its log says why",
        "recovered: the classifier lives again",
    ]


def test_a_child_that_hangs_again_and_again_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far apart its deaths are."""
    monkeypatch.setattr(beepwatch.daemon.child, "STALE_AFTER_S", 1.5)
    monkeypatch.setattr(beepwatch.daemon.child, "STORM_S", 0.1)
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 0.5)
    stage.play(
        lambda: stage.wait_for("fault: "),
        stage.signal,
        classifier="stuck_classifier",
    )
    told = [line for line in stage.journal if line.startswith("fault")]
    assert told == ["fault: the classifier keeps dying (it hung); its log says why"]


def test_faults_are_told_but_not_a_loud_beep(stage: Stage) -> None:
    stage.play(
        lambda: stage.wait_for("recovered"),
        lambda: stage.put("end"),
        recorder="faulty_recorder",
    )
    told = [line for line in stage.journal if line.startswith(("fault:", "recovered:"))]
    assert told == ["fault: no device False", "recovered: no device True"]


def test_start_and_stop_are_told_once_each(stage: Stage) -> None:
    stage.play(lambda: stage.wait_for("started"), stage.signal, notices=True)
    told = [line for line in stage.journal if line.startswith(("started", "stopped"))]
    assert told == [
        "started: beepwatch is listening to test",
        "stopped: beepwatch has stopped listening",
    ]


def test_a_patient_source_waits_and_nothing_is_dropped(stage: Stage) -> None:
    stage.play(
        lambda: stage.wait_for("waiting_classifier began"),
        lambda: stage.wait_for("messenger began"),
        lambda: stage.put("go"),
        lambda: stage.put("end"),
        classifier="waiting_classifier",
        windows=60,
        queue_windows=3,
    )
    assert stage.taken == list(range(60))
    assert stage.count("fault") == 0


def test_a_live_source_never_waits_and_what_it_loses_is_counted_and_told(stage: Stage) -> None:
    """The newest of the windows stay; silence is dropped before sound and is no loss."""
    stage.play(
        lambda: stage.wait_for("recorder sent all"),
        lambda: stage.put("go"),
        lambda: stage.wait_for("recovered"),
        lambda: stage.put("end"),
        classifier="waiting_classifier",
        windows=40,
        queue_windows=10,
        patient=False,
    )
    heard = stage.taken
    assert heard == sorted(heard)
    windows = [sequence for sequence in range(40) if sequence % 4 != 3]
    lost = len(set(windows) - set(heard))
    assert lost > 0
    told = [line for line in stage.journal if line.startswith(("fault", "recovered"))]
    fault, recovered = told
    said = r"fault: the classifier is too slow, (\d+) s behind: the oldest sound is being dropped"
    match = re.fullmatch(said, fault)
    assert match
    assert 10 <= int(match[1]) < 40
    assert recovered == f"recovered: the classifier has caught up; {lost} windows were dropped"


def test_a_child_that_cannot_work_ends_all_with_its_text_and_exit_code(stage: Stage) -> None:
    """Also when a patient source waits for room that nobody makes any more."""
    exit_code = stage.play(classifier="failing_classifier", windows=60, queue_windows=2)
    assert exit_code == 3
    assert stage.supervisor is not None
    assert stage.supervisor.failure is not None
    assert stage.supervisor.failure.text == "there is no model"
    assert stage.count("failing_classifier began") == 1
    assert stage.count("recorder was told to finish") == 1
    assert stage.count("messenger ended") == 1


def test_a_second_signal_ends_all_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 3_600.0)
    exit_code = stage.play(
        lambda: stage.wait_for("stubborn_messenger began"),
        stage.signal,
        lambda: stage.wait_for("messenger was told to finish"),
        stage.signal,
        messenger="stubborn_messenger",
    )
    assert exit_code == 0
    with pytest.raises(ProcessLookupError):
        os.kill(stage.pid("stubborn_messenger"), 0)


def test_a_child_that_does_not_finish_in_time_is_killed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 1.0)
    exit_code = stage.play(
        lambda: stage.wait_for("stubborn_messenger began"),
        stage.signal,
        messenger="stubborn_messenger",
    )
    assert exit_code == 0
    assert stage.count("messenger was told to finish") == 1
    assert stage.count("stubborn_messenger began") == 1


def test_a_child_that_cannot_be_started_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when there is no memory for another process."""
    popen = subprocess.Popen
    refused: list[int] = []

    def refuse(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as Popen takes them
        if len(refused) < 4:
            refused.append(1)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", refuse)
    stage.play(lambda: stage.put("end"), windows=3)
    assert len(refused) == 4
    assert stage.taken == [0, 1, 2]


def test_a_signal_shortens_an_end_that_has_begun(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source has ended, and the messenger may take its time; who wants to stop it need not."""
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 0.3)
    monkeypatch.setattr(beepwatch.daemon.supervisor, "DRAINS_WITHIN_S", 3_600.0)
    stage.play(
        lambda: stage.put("end"),
        lambda: stage.wait_for("messenger was told to finish"),
        stage.signal,
        messenger="stubborn_messenger",
    )
    assert stage.count("stubborn_messenger began") == 1
