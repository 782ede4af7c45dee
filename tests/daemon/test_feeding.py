"""The classifier gets windows while it is ready, and a death tells against the one it was at."""

import signal
from pathlib import Path

import pytest

from beepwatch.daemon.feeding import Feeder
from beepwatch.daemon.poison import Poison
from beepwatch.daemon.queue import CRASHED, KILLED, TOO_MUCH, WindowQueue
from beepwatch.messages import Fault, Quiet, Window
from tests.daemon.parts import NOON, window

CRASHES, KILLS = TOO_MUCH // CRASHED, TOO_MUCH // KILLED
KILL = -signal.SIGKILL


class Classifier:
    """What a feeder knows of it."""

    def __init__(self) -> None:
        self.connection: object | None = object()
        self.dismissed = self.hung = self.left = False
        self.taken: list[int] = []

    def send(self, span: Window | Quiet) -> None:
        self.taken.append(span.sequence)


class House:
    """Three windows wait for a classifier that has just been started."""

    def __init__(self, state: Path) -> None:
        self.classifier = Classifier()
        self.queue = WindowQueue(10)
        poison = Poison(state)
        self.feeder = Feeder(self.queue, self.classifier, poison)  # type: ignore[arg-type] # a stand-in
        for sequence in range(3):
            self.queue.push(window(sequence))

    def dies(self, exit_code: int, times: int = 1) -> list[Fault]:
        """Each time in the window that it got first."""
        faults = []
        for _ in range(times):
            self.feeder.has_loaded()
            self.feeder.hand_out()
            faults.append(self.feeder.take_back(exit_code, NOON))
        return [fault for fault in faults if fault is not None]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_nothing_is_handed_out_before_the_model_is_loaded_in_each_life(house: House) -> None:
    house.feeder.hand_out()
    assert house.classifier.taken == []
    house.feeder.has_loaded()
    house.feeder.hand_out()
    house.feeder.take_back(0, NOON)
    house.feeder.hand_out()
    assert house.classifier.taken == [0, 1, 2]


def test_nothing_is_handed_out_to_who_makes_room_or_has_hung_up(house: House) -> None:
    house.feeder.has_loaded()
    house.classifier.dismissed = True
    house.feeder.hand_out()
    house.classifier.dismissed, house.classifier.connection = False, None
    house.feeder.hand_out()
    assert house.classifier.taken == []


@pytest.mark.parametrize(("exit_code", "deaths"), [(1, CRASHES), (-11, CRASHES), (KILL, KILLS)])
def test_the_window_of_which_it_keeps_dying_is_put_aside(
    house: House, exit_code: int, deaths: int
) -> None:
    """Two crashes are enough; of kills, which are somebody's doing, it takes ten."""
    assert house.dies(exit_code, deaths - 1) == []
    (fault,) = house.dies(exit_code)
    house.classifier.taken.clear()
    house.feeder.has_loaded()
    house.feeder.hand_out()
    assert house.classifier.taken == [1, 2]
    assert fault.text.startswith("the classifier keeps dying of the sound of ")


def test_to_be_killed_for_hanging_is_a_crash_unless_something_else_held_it(house: House) -> None:
    house.classifier.hung = house.classifier.left = True
    assert house.dies(KILL, CRASHES) == []
    house.classifier.left = False
    assert len(house.dies(KILL, CRASHES)) == 1


def test_who_is_killed_for_not_making_room_blames_no_window(house: House) -> None:
    house.feeder.has_loaded()
    for _ in range(KILLS):
        house.feeder.hand_out()
        house.classifier.dismissed = True
        assert house.feeder.take_back(KILL, NOON) is None
        house.classifier.dismissed = False
        house.feeder.has_loaded()
    house.feeder.hand_out()
    assert house.classifier.taken == [0, 1, 2] * (KILLS + 1)
