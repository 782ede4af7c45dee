"""Learned faults are told by name, under other sounds too."""

import msgspec
import numpy as np
import pytest

from beepwatch.classify.condition import packed
from beepwatch.classify.faults import Diagnostician, Faults, Named, Rule, decode, encode, fault_text
from beepwatch.errors import ConfigurationError, ModelError
from beepwatch.train.machines.household import overlaid
from beepwatch.train.machines.learning import spectra_of
from beepwatch.train.machines.naming import learn_faults
from tests.train.machines.fan import fan, household

WHINES_HZ = {"well": None, "bearing": 3_100.0, "coil": 6_050.0}


def learned() -> Faults:
    per_label = {
        label: spectra_of([fan(number, 30, whine_hz=hz)])
        for number, (label, hz) in enumerate(WHINES_HZ.items())
    }
    labels = [label for label, rows in per_label.items() for _ in rows]
    return learn_faults("fan", np.concatenate([*per_label.values()]), labels, household())


def test_each_fault_has_its_name() -> None:
    doctor = Diagnostician(decode(encode(learned())))
    rng = np.random.default_rng(4)
    for number, (label, hz) in enumerate(WHINES_HZ.items(), 10):
        rows = spectra_of([fan(number, 12, whine_hz=hz)])
        noisy = overlaid(rng, rows, household(60)[40:], 2, (0.0, 0.0))
        for heard in (rows, noisy):
            probabilities = doctor.probabilities(heard)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)
            right = probabilities.argmax(axis=1) == doctor.labels.index(label)
            assert right.mean() > 0.9, label


def test_how_much_there_is_of_a_label_says_nothing_of_the_others() -> None:
    """A machine that is well is heard at many loudnesses, for ten times as long or not."""
    whines_hz = [hz for hz in WHINES_HZ.values() if hz]
    ill = np.concatenate([spectra_of([fan(3, 20, whine_hz=hz)]) for hz in whines_hz])
    well = np.concatenate([spectra_of([fan(4, 4, loud=loud)]) for loud in np.geomspace(0.2, 5, 9)])
    labels = ["bearing"] * (len(ill) // 2) + ["coil"] * (len(ill) // 2)
    heard = spectra_of([fan(11, 12, whine_hz=WHINES_HZ["bearing"])])
    any_room = Rule(weights=bytes(512 * 4), biases=bytes(4))
    odds = []
    for times in (1, 10):
        rows = np.concatenate([ill, *[well] * times])
        told = labels + ["well"] * (len(well) * times)
        faults = learn_faults("fan", rows, told, household())
        still = msgspec.structs.replace(faults, rules=faults.rules[-1:], room=any_room)
        probabilities = Diagnostician(still).probabilities(heard)
        odds.append(float(np.log(probabilities[:, 0] / probabilities[:, 1]).mean()))
    assert odds[1] == pytest.approx(odds[0], rel=0.05)


def test_a_strange_machine_is_given_a_faults_name_and_never_that_of_one_that_is_well() -> None:
    doctor = Diagnostician(learned())
    coil = doctor.fault(spectra_of([fan(11, 6, whine_hz=WHINES_HZ["coil"])]))
    assert coil is not None
    assert coil.label == "coil"
    usual = Diagnostician(msgspec.structs.replace(learned(), labels=("normal", "bearing", "coil")))
    assert learned().labels == ("bearing", "coil", "well")
    assert usual.fault(spectra_of([fan(11, 6, whine_hz=WHINES_HZ["bearing"])])) is None


def test_what_is_like_several_faults_has_no_name() -> None:
    nothing = Rule(weights=bytes(3 * 512 * 4), biases=bytes(12))
    undecided = msgspec.structs.replace(learned(), rules=(nothing,) * len(learned().rules))
    assert Diagnostician(undecided).fault(np.zeros((2, 512), np.float32)) is None


def test_each_room_has_a_rule_of_its_own() -> None:
    """Two labels that a loud room makes the other's: the first band tells which room it is."""
    sign = np.zeros((2, 512), np.float32)
    sign[:, 1] = 5, -5
    loudness = np.zeros((2, 512), np.float32)
    loudness[:, 0] = -9, 9
    faults = Faults(
        name="fan",
        labels=("coil", "normal"),
        rules=tuple(Rule(weights=packed(one), biases=bytes(8)) for one in (sign, -sign)),
        room=Rule(weights=packed(loudness), biases=bytes(8)),
        learned_s=60.0,
    )
    heard = np.zeros((3, 512), np.float32)
    heard[:, 1] = 1
    heard[:, 0] = -1, 1, 0
    told = Diagnostician(decode(encode(faults))).probabilities(heard)
    assert np.abs(told - np.array([[1, 0], [0, 1], [0.5, 0.5]])).max() < 1e-3


def test_a_fault_in_words() -> None:
    named = Named(label="worn bearing", probability=0.968)
    assert fault_text(named, "3.1 kHz whine") == "worn bearing (97 %): 3.1 kHz whine"
    assert fault_text(None, "3.1 kHz whine") == "3.1 kHz whine"


def test_one_label_tells_nothing() -> None:
    with pytest.raises(ConfigurationError, match="1 labels"):
        learn_faults("fan", np.zeros((3, 512), np.float32), ["well"] * 3, household(2))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("labels", ["well", "well", "ill"], "labels"),
        ("labels", ["a", "b"], "weights have"),
        ("rules", [], "0 rules"),
        ("room", {"weights": "", "biases": ""}, "weights have 0 bytes, expected 4096"),
        ("labels", ["a\n", "b", "c"], "printed"),
        ("name", "", "1 to 40"),
        ("learned_s", 0, "learned_s"),
        ("format", 7, "format 7, this beepwatch reads 2. Upgrade beepwatch, or learn them again"),
        ("format", 1, "format 1, this beepwatch reads 2. Learn them again"),
        ("room", {"weights": "A" * 5_460 + "AA==", "biases": "AADAfwAAwH8="}, "biases hold"),
    ],
)
def test_what_is_damaged_is_said(field: str, value: object, reason: str) -> None:
    small = Faults(
        name="fan",
        labels=("a", "b", "c"),
        rules=(Rule(weights=bytes(3 * 512 * 4), biases=bytes(12)),) * 2,
        room=Rule(weights=bytes(2 * 512 * 4), biases=bytes(8)),
        learned_s=60.0,
    )
    plain = msgspec.json.decode(encode(small))
    with pytest.raises(ModelError, match=reason):
        decode(msgspec.json.encode(plain | {field: value}))
