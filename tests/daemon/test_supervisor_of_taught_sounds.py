"""Another sound on the shelf: the classifier alone begins anew, and no window is lost."""

import os
import signal

from beepwatch.classify.shelf import Shelf
from beepwatch.daemon.watching import ShelfWatch
from beepwatch.daemon.wiring import Plan
from tests.classify.pitched import pitched
from tests.daemon.loud import START
from tests.daemon.stage import Stage
from tests.daemon.test_reloading import plan


def teach(stage: Stage) -> None:
    Shelf(stage.directory).put(pitched("washer", 2_000.0), START)


def test_a_taught_sound_replaces_the_classifier_without_a_signal_and_without_a_loss(
    stage: Stage,
) -> None:
    stage.play(
        lambda: stage.wait_for("took 7"),
        lambda: teach(stage),
        lambda: stage.wait_for("waiting_classifier began"),
        lambda: stage.put("go"),
        lambda: stage.wait_for("took 7", times=2),
        lambda: stage.put("end"),
        windows=8,
        reload=lambda: plan(stage, classifier="waiting_classifier"),
        shelf_changed=ShelfWatch(Shelf(stage.directory)).changed,
    )
    assert stage.count("recorder began") == stage.count("messenger began") == 1
    assert stage.taken == [*range(8), 7]


def test_on_a_terminal_a_hangup_ends_all_and_a_taught_sound_does_not(stage: Stage) -> None:
    asked: list[None] = []

    def ask() -> Plan | str:
        asked.append(None)
        return "refused"

    stage.play(
        lambda: stage.wait_for("took 3"),
        lambda: teach(stage),
        lambda: stage.wait_until(lambda: bool(asked), "the reading"),
        lambda: os.kill(os.getpid(), signal.SIGHUP),
        windows=4,
        reload=ask,
        hangup_reloads=False,
        shelf_changed=ShelfWatch(Shelf(stage.directory)).changed,
    )
    assert len(asked) == 1
    assert stage.count("classifier began") == 1
    assert stage.count("recorder was told to finish") == 1
