"""What `beepwatch service status` tells."""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from beepwatch.clock import ManualClock
from beepwatch.daemon.service import Service
from beepwatch.daemon.units import NAME
from beepwatch.errors import ConfigurationError
from beepwatch.messages import Event
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from tests.daemon.service.programs import ACTIVE, FAILING, Systemd
from tests.small_disk import small_disk
from tests.store.messages_of_a_day import beep

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _reported(service: Service) -> dict[str, str]:
    return dict(service.report(ManualClock(NOW, mono_s=7_690.0)))


@pytest.mark.usefixtures("as_root")
def test_it_tells_of_what_is_in_memory_while_that_is_where_the_state_is(
    service: Service, systemd: Systemd, tmp_path: Path
) -> None:
    systemd.will("shown", ACTIVE)
    for directory, label in (("state", "old"), ("run/beepwatch-1-a", "new")):
        with closing(Database(tmp_path / directory)) as database:
            Outbox(database).write(event=msgspec.structs.replace(beep(), label=label))
    assert _reported(service)["heard"].startswith("new, 1 pulse, ")


def test_it_tells_what_a_person_wants_to_know(
    service: Service, systemd: Systemd, tmp_path: Path
) -> None:
    systemd.will("shown", ACTIVE)
    with closing(Database(tmp_path / "state")) as database:
        onset = NOW - timedelta(minutes=5)
        event = Event(
            label="beep",
            onset=onset,
            offset=onset + timedelta(seconds=4),
            pulses=5,
            peak_score=0.9,
            model_id="m",
        )
        Outbox(database).write(event=event, channels=())
    since = f"{(NOW - timedelta(seconds=7_650)).astimezone():%Y-%m-%d %H:%M}"
    assert _reported(service) == {
        "state": f"running since {since} (2 h 7 min); starts at boot",
        "says": "listening to microphone",
        "heard": f"beep, 5 pulses, {onset.astimezone():%Y-%m-%d %H:%M} (5 min ago)",
        "waiting": "no alerts to be told",
        "restarts": "2",
    }
    assert service.active


@pytest.mark.usefixtures("as_root")
def test_a_full_disk_can_be_looked_at(service: Service, systemd: Systemd, tmp_path: Path) -> None:
    systemd.will("shown", ACTIVE)
    with small_disk(tmp_path / "state") as disk:
        with closing(Database(disk.path)) as database:
            Outbox(database).write(event=beep())
        disk.fill()
        assert _reported(service)["heard"].startswith("beep, 1 pulse, ")


def test_one_that_does_not_run_shows_the_end_of_its_log(
    service: Service, systemd: Systemd, tmp_path: Path
) -> None:
    systemd.will("shown", FAILING)
    told = _reported(service)
    assert told["state"] == "not running (activating, exit-code); does not start at boot"
    assert told["log"] == "no such model"
    assert told["heard"].startswith("nothing yet; ")
    assert not (tmp_path / "state").exists()
    assert not service.active


def test_one_that_was_never_installed_says_how(service: Service) -> None:
    with pytest.raises(ConfigurationError, match=rf"no {NAME}. Install it with: sudo \S+ service"):
        _reported(service)


def test_one_of_the_other_kind_is_named(of_user: Service, tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / NAME).touch()
    with pytest.raises(ConfigurationError, match=r"it is the system .*: sudo \S+ service status\."):
        _reported(of_user)


def test_one_of_the_session_is_named_to_who_asks_for_the_systems(
    service: Service, tmp_path: Path
) -> None:
    units = tmp_path / "config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / NAME).touch()
    with pytest.raises(ConfigurationError, match=r"it is your session .* service status --user\."):
        _reported(service)


def test_what_it_said_last_is_not_told_of_one_that_was_stopped(
    service: Service, systemd: Systemd
) -> None:
    """systemd keeps the text of a unit that is gone."""
    stopped = ACTIVE.replace("=active", "=inactive").replace("=running", "=dead")
    systemd.will("shown", stopped)
    assert "says" not in _reported(service)
    systemd.will("shown", FAILING + "StatusText=listening to microphone\n")
    assert "says" not in _reported(service)
    systemd.will(
        "shown", "ActiveState=activating\nSubState=start\nLoadState=loaded\nStatusText=up\n"
    )
    assert _reported(service)["says"] == "up"


@pytest.mark.parametrize(
    ("user_id", "told"),
    [(1000, f"only root can look: sudo journalctl --unit={NAME}"), (0, "nothing in its log")],
)
def test_a_log_that_is_not_to_be_read_is_not_said_to_be_empty(
    service: Service, systemd: Systemd, monkeypatch: pytest.MonkeyPatch, user_id: int, told: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user_id)
    systemd.will("shown", FAILING)
    systemd.program("journalctl", "#!/bin/sh\n")
    assert _reported(service)["log"] == told


def test_only_root_can_look_into_the_state(
    service: Service, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd.will("shown", ACTIVE)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root can look: sudo" in _reported(service)["heard"]


def test_what_cannot_be_looked_up_hides_nothing_else(
    of_user: Service, systemd: Systemd, tmp_path: Path
) -> None:
    """A database of a later beepwatch; then settings that were changed for the worse."""
    systemd.will("shown", ACTIVE)
    with closing(Database(tmp_path / "state")) as database, database.transaction() as sql:
        sql.execute("PRAGMA user_version = 99")
    told = _reported(of_user)
    assert "has version 99" in told["heard"]
    (tmp_path / "config" / "beepwatch").mkdir(parents=True)
    source = "stream:http://me:word@camera/\\u0007"
    (tmp_path / "config" / "beepwatch" / "config.toml").write_text(
        f'[capture]\nsource = "{source}"\n'
    )
    worse = _reported(of_user)
    assert "capture.source is 'stream:http://…@camera/" in worse["settings"]
    assert told["restarts"] == worse["restarts"] == "2"


def test_an_empty_state_has_heard_nothing(
    of_user: Service, systemd: Systemd, tmp_path: Path
) -> None:
    systemd.will("shown", ACTIVE)
    Database(tmp_path / "state").close()
    assert _reported(of_user)["heard"] == "nothing yet"


@pytest.mark.parametrize(
    ("mono_s", "words"),
    [(40, "0 s"), (99, "59 s"), (100, "1 min"), (90_040, "25 h 0 min"), (400_000, "4 days")],
)
def test_lengths_are_told_in_the_unit_that_matters(
    service: Service, systemd: Systemd, mono_s: float, words: str
) -> None:
    systemd.will("shown", ACTIVE)
    told = dict(service.report(ManualClock(NOW, mono_s=mono_s)))
    assert f"({words})" in told["state"]
