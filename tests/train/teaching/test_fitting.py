"""A sound is taught from an example: it is heard again, and others are not."""

import msgspec
import numpy as np
import pytest

from beepwatch.classify.heads import Head, encode
from beepwatch.errors import ConfigurationError
from beepwatch.train.teaching import fitting
from beepwatch.train.teaching.banking import assembled, events_of
from beepwatch.train.teaching.examples import Example, NoBeepFound, find_example, heard
from beepwatch.train.teaching.fitting import Shelved, pulses_to_ask_for, taken_for, teach
from tests.train.beeper import beeping, shipped

WASHER_HZ, DRYER_HZ = 2_960.0, 2_350.0


@pytest.fixture(autouse=True)
def _few_disguises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "DISGUISES", 24)
    monkeypatch.setattr(fitting, "TRIED", 8)
    monkeypatch.setattr(fitting, "OF_OTHERS", 4)


def example(pitch_hz: float, seed: int = 1) -> Example:
    """A clip of a beep."""
    return find_example("clip", beeping(pitch_hz, seed=seed), shipped())


@pytest.fixture(scope="module")
def washer() -> Head:
    """Taught from one example, without a bank."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "DISGUISES", 24)
        patch.setattr(fitting, "TRIED", 8)
        return teach("washer", [example(WASHER_HZ)], shipped()).head


def peak(head: Head, pcm: np.ndarray) -> float:
    """How sure a head is of a recording at most."""
    return float(head.probabilities(heard(shipped(), pcm)).max())


def test_another_recording_of_it_is_heard_and_another_device_is_not(washer: Head) -> None:
    assert peak(washer, beeping(WASHER_HZ * 1.002, seed=9, level=600)) >= washer.threshold
    for other_hz in (DRYER_HZ, WASHER_HZ * 1.05, WASHER_HZ / 1.05, 2 * WASHER_HZ):
        assert peak(washer, beeping(other_hz, seed=9)) < washer.threshold
    assert peak(washer, beeping(WASHER_HZ, level=0)) < washer.threshold


def test_what_is_told_is_of_the_examples(washer: Head) -> None:
    assert (washer.expected.caught, washer.expected.examples) == (1, 1)
    assert washer.model_id == shipped().model_id


@pytest.mark.parametrize(("pulses", "asked"), [((3, 5), 2), ((3, 2), 1), ((1,), 1)])
def test_two_pulses_are_asked_for_where_every_example_has_three(
    pulses: tuple[int, ...], asked: int
) -> None:
    first = example(WASHER_HZ)
    several = [
        msgspec.structs.replace(first, sounding=np.array(([True] * 5 + [False] * 5) * count))
        for count in pulses
    ]
    assert pulses_to_ask_for(several, 0.02) == asked


def test_the_same_examples_give_the_same_head(washer: Head) -> None:
    again = teach("washer", [example(WASHER_HZ)], shipped()).head
    assert encode(again) == encode(washer)


def test_a_sound_that_is_the_same_is_told_to_be(washer: Head) -> None:
    twin = Shelved(name="twin", examples=(example(WASHER_HZ, seed=5),))
    other = Shelved(name="dryer", examples=(example(DRYER_HZ),))
    assert taken_for(washer, twin, shipped())
    assert not taken_for(washer, other, shipped())
    head = teach("washer", [example(WASHER_HZ)], shipped(), others=[other]).head
    assert head.expected.nearest != "dryer"
    assert peak(head, beeping(WASHER_HZ, seed=9)) >= head.threshold


def test_no_example_and_too_many_are_refused() -> None:
    one = example(WASHER_HZ)
    for count in (0, 21):
        with pytest.raises(ConfigurationError, match=f"{count} examples"):
            teach("washer", [one] * count, shipped())


def test_examples_that_share_no_pitch_are_refused() -> None:
    several = [example(hz) for hz in (900.0, 1_400.0, 2_100.0, 3_300.0, 4_600.0)]
    with pytest.raises(NoBeepFound, match="share no pitch"):
        teach("washer", several, shipped())


def test_what_sounds_just_so_in_the_bank_is_what_is_warned_of() -> None:
    """The bank's flute holds the washer's pitch just so.

    It is in every other event, the first half: the rate is that of heads that never met it.
    """
    flutes = list(events_of(shipped(), beeping(WASHER_HZ), "music"))[:6]
    voices = list(events_of(shipped(), beeping(620, level=300), "a voice"))[:6]
    several = [event for pair in zip(flutes, voices, strict=False) for event in pair]
    ranked = [one._replace(nearness=-float(number)) for number, one in enumerate(several)]
    bank = assembled(shipped().model_id, 1.0, ranked, [], [])
    expected = teach("washer", [example(WASHER_HZ)], shipped(), bank=bank).head.expected
    assert expected.nearest == "music"
    assert expected.false_alarms_per_month is not None
    assert expected.false_alarms_per_month > 1
