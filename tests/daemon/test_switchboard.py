"""Sound and answers for the bot, through a real supervisor between real processes."""

from pathlib import Path

import pytest

from tests.daemon.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_messenger_is_told_how_it_stands(stage: Stage) -> None:
    """Five windows wait for a classifier that is not ready; the last one's level counts."""
    stage.play(
        lambda: stage.wait_for("recorder sent all"),
        lambda: stage.put("ask"),
        lambda: stage.wait_for("condition"),
        lambda: stage.put("go"),
        lambda: stage.put("end"),
        messenger="asking_messenger",
        classifier="waiting_classifier",
        windows=5,
        patient=False,
    )
    (line,) = [line for line in stage.journal if line.startswith("condition")]
    assert line == "condition 5 waiting, -30 dBFS of test, model "


def test_the_messenger_is_told_how_the_machines_stand(stage: Stage) -> None:
    stage.play(
        lambda: stage.wait_for("took 0"),
        lambda: stage.put("ask"),
        lambda: stage.wait_for("machines"),
        lambda: stage.put("end"),
        messenger="asking_messenger",
        classifier="watching_classifier",
        windows=1,
    )
    assert stage.count("machines ['fan']") == 1


def test_sound_goes_a_piece_at_a_time_and_windows_are_not_held_up(stage: Stage) -> None:
    """30 s of sound, for a messenger that takes its time over the first of it."""
    stage.play(
        lambda: stage.wait_for("took 5"),
        lambda: stage.put("go on"),
        lambda: stage.wait_for("got all"),
        lambda: stage.put("end"),
        recorder="sounding_recorder",
        messenger="slow_listener",
        windows=6,
    )
    got = [line for line in stage.journal if line.startswith("got ")]
    assert got == [*(f"got {number} of 7" for number in range(30)), "got all"]


def test_a_watch_reaches_the_classifier(stage: Stage) -> None:
    stage.play(
        lambda: stage.wait_for("took 0"),
        lambda: stage.put("watch"),
        lambda: stage.wait_for("watches for 9000 s"),
        lambda: stage.put("end"),
        messenger="asking_messenger",
        classifier="watching_classifier",
        windows=1,
    )
    assert stage.count("watches for 9000 s") == 1


def test_pieces_for_a_messenger_that_died_are_not_given_to_the_next(stage: Stage) -> None:
    stage.play(
        lambda: stage.put("listen"),
        lambda: stage.wait_for("forgets 0"),
        lambda: stage.wait_for("dying_listener began", times=2),
        lambda: stage.wait_for("took 5"),
        lambda: stage.put("again"),
        lambda: stage.wait_for("got all"),
        lambda: stage.put("end"),
        recorder="sounding_recorder",
        messenger="dying_listener",
        windows=6,
    )
    got = [line for line in stage.journal if line.startswith("got ")]
    assert got == [*(f"got {number} of 8" for number in range(30)), "got all"]
