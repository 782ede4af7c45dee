"""Making the bank: what is near to a beep is in it, for the right model, and small."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify.bundle import find_bundle
from beepwatch.train.teaching import banking
from beepwatch.train.teaching.banking import assembled, events_of, make_bank
from beepwatch.train.teaching.negatives import BANK, FRAMES, read_bank
from tests.train.beeper import RATE_HZ, beeping, shipped
from tests.train.conftest import Trained


def test_a_held_tone_is_nearer_to_a_beep_than_noise() -> None:
    tone = list(events_of(shipped(), beeping(2_000), "music"))
    assert tone[0].pitch_hz[FRAMES // 2, 0] == pytest.approx(2_000, rel=0.005)
    noise = np.random.default_rng(1).normal(0, 500, 4 * RATE_HZ).astype(np.int16)
    others = [event.nearness for event in events_of(shipped(), noise, "a machine")]
    assert tone[0].nearness > 2 * max(others, default=0)


def test_those_that_stand_for_many_count_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 events: the 10 hardest for themselves, 5 of the 30 behind for six each."""
    monkeypatch.setattr(banking, "HARDEST", 10)
    monkeypatch.setattr(banking, "BEHIND_KEPT", 5)
    one = next(iter(events_of(shipped(), beeping(2_000), "music")))
    events = [one._replace(nearness=float(number)) for number in range(40)]
    bank = assembled("0123456789ab", 1.0, events, [], [one._replace(kind="another beep")])
    assert bank.weight.tolist() == [1.0] * 10 + [6.0] * 5 + [0.0]
    assert bank.kinds[bank.kind[-1]] == "another beep"


def test_the_bank_of_a_bundle_is_read_for_that_bundle(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banking, "LOOK_ALIKES", 4)
    bundle = tmp_path / "bundle"
    shutil.copytree(find_bundle("beep"), bundle)
    made = make_bank(bundle, data)
    assert made is not None
    read = read_bank(bundle, shipped().model_id)
    assert read is not None
    assert len(read.kind) == len(made.kind)
    assert read.hours == pytest.approx(6 / 3_600, rel=0.01)  # the fan; the secret is no one's
    assert (bundle / BANK).stat().st_size < 600_000


def test_a_network_that_nothing_can_be_taught_by_has_no_bank(trained: Trained) -> None:
    """Its embedding is narrower; the training that made it went on to its end all the same."""
    assert not (trained.out / BANK).exists()
    assert (trained.out / "report.html").is_file()
