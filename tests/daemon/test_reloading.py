"""Another configuration while the supervisor runs: who is replaced, and what is lost (nothing)."""

import os
import signal

import pytest

import beepwatch.daemon.supervisor
from beepwatch.daemon.wiring import Plan, Terms
from tests.daemon.parts import Part
from tests.daemon.stage import Stage


def plan(stage: Stage, **plays: str) -> Plan:
    """As the stage's own wiring, but for what is given."""
    parts = {name: name for name in ("recorder", "classifier", "messenger")} | plays
    return Plan(
        terms=Terms(queue_windows=100, patient=True, resumable=False, notices=False),
        settings={
            name: Part(plays=part, directory=stage.directory, windows=8 * (name == "recorder"))
            for name, part in parts.items()
        },
    )


def test_only_children_whose_settings_are_others_are_replaced(stage: Stage) -> None:
    """The classifier leaves in peace, and no window comes twice but the one before."""
    stage.play(
        lambda: stage.wait_for("took 7"),
        lambda: os.kill(os.getpid(), signal.SIGHUP),
        lambda: stage.wait_for("waiting_classifier began"),
        lambda: stage.put("go"),
        lambda: stage.wait_for("took 7", times=2),
        lambda: stage.put("end"),
        windows=8,
        queue_windows=50,
        reload=lambda: plan(stage, classifier="waiting_classifier"),
    )
    assert stage.supervisor is not None
    assert stage.supervisor.queue.capacity == 100
    assert stage.count("classifier was told to finish") == 2
    assert stage.count("classifier ended") == 1
    assert stage.count("recorder began") == stage.count("messenger began") == 1
    assert stage.taken == [*range(8), 7]


def test_a_child_that_does_not_make_room_for_its_next_life_is_killed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 0.3)
    stage.play(
        lambda: stage.wait_for("took 7"),
        lambda: os.kill(os.getpid(), signal.SIGHUP),
        lambda: stage.wait_for("messenger began"),
        lambda: stage.put("end"),
        messenger="stubborn_messenger",
        windows=8,
        reload=lambda: plan(stage),
    )
    assert stage.count("stubborn_messenger ended") == 0
    assert stage.count("fault") == 0


def test_settings_that_cannot_be_used_change_nothing(stage: Stage) -> None:
    asked: list[str] = []

    def refuse() -> str:
        asked.append("hop_s is wrong")
        return asked[-1]

    stage.play(
        lambda: stage.wait_for("took 7"),
        lambda: os.kill(os.getpid(), signal.SIGHUP),
        lambda: stage.wait_until(lambda: bool(asked), "the reading"),
        lambda: stage.put("end"),
        windows=8,
        reload=refuse,
    )
    assert len(asked) == 1
    assert [stage.count(f"{one} began") for one in ("recorder", "classifier", "messenger")] == [
        1,
        1,
        1,
    ]


def test_without_settings_to_read_again_a_hangup_ends_the_daemon(stage: Stage) -> None:
    """A terminal that was closed."""
    stage.play(
        lambda: stage.wait_for("messenger began"), lambda: os.kill(os.getpid(), signal.SIGHUP)
    )
    assert stage.count("recorder was told to finish") == 1
