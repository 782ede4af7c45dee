"""Learned faults are told by name, under other sounds too."""

import msgspec
import numpy as np
import pytest

from beepwatch.classify.faults import Diagnostician, Faults, decode, encode
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


def test_one_label_tells_nothing() -> None:
    with pytest.raises(ConfigurationError, match="1 labels"):
        learn_faults("fan", np.zeros((3, 512), np.float32), ["well"] * 3, household(2))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("labels", ["well", "well", "ill"], "labels"),
        ("labels", ["a", "b"], "weights have"),
        ("labels", ["a\n", "b", "c"], "printed"),
        ("name", "", "1 to 40"),
        ("learned_s", 0, "learned_s"),
        ("format", 7, "format 7"),
        ("biases", "AADAfwAAwH8AAMB/", "biases hold"),
    ],
)
def test_what_is_damaged_is_said(field: str, value: object, reason: str) -> None:
    small = Faults(
        name="fan",
        labels=("a", "b", "c"),
        weights=bytes(3 * 512 * 4),
        biases=bytes(12),
        learned_s=60.0,
    )
    plain = msgspec.json.decode(encode(small))
    with pytest.raises(ModelError, match=reason):
        decode(msgspec.json.encode(plain | {field: value}))
