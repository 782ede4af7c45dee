"""Learned machines on the disk: there whole or not at all, and every change is noticed."""

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.classify.condition import Cloud, Normal, State, encode, packed
from beepwatch.classify.faults import Faults, Rule
from beepwatch.classify.faults import encode as encoded_faults
from beepwatch.classify.machines import Machines
from beepwatch.classify.spectra import BANDS, COARSE_BANDS
from beepwatch.errors import ConfigurationError, ModelError, StoreError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@cache
def well(name: str = "fan", learned_s: float = 300.0) -> Normal:
    """A machine with nothing in it that was ever heard."""
    cloud = Cloud(
        centre=packed(np.zeros(COARSE_BANDS, np.float32)),
        whitening=packed(np.eye(COARSE_BANDS, dtype=np.float32)),
    )
    state = State(
        share=1.0,
        alone=packed(np.full(BANDS, -12.0, np.float32)),
        deviation=packed(np.ones(BANDS, np.float32)),
        heard=cloud,
    )
    return Normal(
        name=name,
        learned_s=learned_s,
        states=(state,),
        usual=0.0,
        spread=1.0,
        lowest_db=-50.0,
        drowned=cloud,
        drowned_within=1.0,
    )


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path / "state")


def test_what_is_put_there_is_read_again(machines: Machines) -> None:
    machines.put(well(), NOW)
    assert machines.normal("fan") == well()
    assert [*machines.digests()] == ["fan"]


def test_nothing_is_there_before_anything_was_learned(machines: Machines) -> None:
    assert machines.digests() == {}
    assert machines.generation() is None
    with pytest.raises(
        ModelError, match=r"no learned machine 'fan' in .*; there are: none yet.*--normal FILES"
    ):
        machines.normal("fan")
    with pytest.raises(ModelError, match="no learned machine"):
        machines.normal("../machines/fan")


def test_every_change_is_another_generation_and_another_digest(machines: Machines) -> None:
    seen = [machines.generation()]
    digests = [machines.digests()]
    changes: list[Callable[[], object]] = [
        lambda: machines.put(well(), NOW),
        lambda: machines.put(well(learned_s=600.0), NOW),
        lambda: machines.put(well("pump"), NOW),
        lambda: machines.rollback("fan"),
        lambda: machines.remove("pump"),
    ]
    for change in changes:
        change()
        seen.append(machines.generation())
        digests.append(machines.digests())
    assert len(set(seen)) == len(seen)
    assert all(one != other for one, other in pairwise(digests))
    assert digests[1] == digests[-1]
    assert [len(one) for one in digests] == [0, 1, 1, 2, 2, 1]


def test_five_versions_are_kept_and_gone_back_to(machines: Machines) -> None:
    for times in range(1, 8):
        machines.put(well(learned_s=100.0 * times), NOW + timedelta(hours=times))
    assert len(machines.versions("fan")) == 5
    assert [machines.rollback("fan").learned_s for _ in range(5)] == [600, 500, 400, 300, 200]
    with pytest.raises(ModelError, match="the learned machine fan has no version before"):
        machines.rollback("fan")
    assert machines.normal("fan").learned_s == 200


def test_a_damaged_version_is_not_gone_back_to(machines: Machines) -> None:
    machines.put(well(learned_s=100.0), NOW)
    machines.put(well(learned_s=200.0), NOW)
    (version,) = machines.versions("fan")
    version.write_bytes(version.read_bytes()[:100])
    with pytest.raises(ModelError, match="no learned normal"):
        machines.rollback("fan")
    assert machines.normal("fan").learned_s == 200
    assert machines.versions("fan") == [version]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no learned normal"),
        (b"{", "is no learned normal"),
        (b"\xff\x00", "is no learned normal"),
        (encode(well("pump")), "is of a machine that is called pump"),
        (json.dumps({"format": 9}).encode(), "is no learned normal"),
        (encode(msgspec.structs.replace(well(), usual=1e6)), "usual and spread"),
        (b" " * 4_000_001, "more than 4000000"),
    ],
)
def test_a_damaged_machine_is_one_line_that_names_its_file(
    machines: Machines, content: bytes, said: str
) -> None:
    machines.put(well(), NOW)
    file = machines.directory / "fan" / "normal.json"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=said) as raised:
        machines.normal("fan")
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [*machines.digests()] == ["fan"]


def test_what_could_not_be_read_again_is_not_put_there(machines: Machines) -> None:
    with pytest.raises(ModelError, match="1 to 40"):
        machines.put(well("../fan"), NOW)
    with pytest.raises(ConfigurationError, match="can have the name 'generation'"):
        machines.put(well("generation"), NOW)
    assert not machines.directory.exists()


def test_a_name_that_is_there_is_no_other_things(machines: Machines) -> None:
    machines.put(well(), NOW)
    machines.check_not_here("pump")
    with pytest.raises(ConfigurationError, match=r"'fan' is the name of a learned machine\."):
        machines.check_not_here("fan")


def test_all_is_the_owners_alone_whatever_the_umask(machines: Machines) -> None:
    before = os.umask(0)
    try:
        machines.put(well(), NOW)
        machines.put(well(learned_s=600.0), NOW)
    finally:
        os.umask(before)
    paths = [machines.directory, *machines.directory.rglob("*")]
    assert {path.name for path in paths} >= {"normal.json", "versions", "generation", "fan"}
    for path in paths:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_state_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="cannot change the learned machines"):
        Machines(tmp_path / "state").put(well(), NOW)


def faults(name: str = "fan", learned_s: float = 60.0) -> Faults:
    return Faults(
        name=name,
        labels=("bearing", "normal"),
        rules=(Rule(weights=bytes(2 * BANDS * 4), biases=bytes(8)),),
        room=Rule(weights=bytes(BANDS * 4), biases=bytes(4)),
        learned_s=learned_s,
    )


def test_faults_are_kept_beside_a_machine_until_it_goes(machines: Machines) -> None:
    machines.put(well(), NOW)
    assert machines.faults("fan") is None
    before = machines.generation()
    machines.put_faults(faults())
    assert machines.generation() != before
    machines.put_faults(faults(learned_s=90.0))
    machines.put(well(learned_s=600.0), NOW)
    machines.rollback("fan")
    assert machines.faults("fan") == faults(learned_s=90.0)
    assert stat.S_IMODE((machines.directory / "fan" / "faults.json").stat().st_mode) == 0o600
    machines.remove("fan")
    machines.put(well(), NOW)
    assert machines.faults("fan") is None


def test_faults_are_those_of_a_machine_that_is_known(machines: Machines) -> None:
    with pytest.raises(ModelError, match="no learned machine 'fan'"):
        machines.put_faults(faults())
    machines.put(well(), NOW)
    with pytest.raises(ModelError, match="learned_s"):
        machines.put_faults(faults(learned_s=0.0))
    assert machines.faults("fan") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "are no learned faults"),
        (encoded_faults(faults("pump")), "is of a machine that is called pump"),
        (b" " * 4_000_001, "more than 4000000"),
    ],
)
def test_damaged_faults_are_one_line_that_names_their_file(
    machines: Machines, content: bytes, said: str
) -> None:
    machines.put(well(), NOW)
    file = machines.directory / "fan" / "faults.json"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=said) as raised:
        machines.faults("fan")
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)
