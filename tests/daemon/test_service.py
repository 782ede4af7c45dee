"""`beepwatch service` with programs in systemd's place; tests/service/ has the real one."""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

import beepwatch.daemon.service
from beepwatch.clock import ManualClock
from beepwatch.daemon.service import Scope, Service, user_scope
from beepwatch.daemon.units import NAME, own_installation
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.messages import Event
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import beep

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INACTIVE = "ActiveState=inactive\nSubState=dead\nUnitFileState=\nLoadState=not-found\n"
ACTIVE = (
    "ActiveState=active\nSubState=running\nUnitFileState=enabled\nLoadState=loaded\n"
    "StatusText=listening to microphone\nActiveEnterTimestampMonotonic=40000000\nNRestarts=2\n"
)
FAILING = (
    "ActiveState=activating\nSubState=auto-restart\nResult=exit-code\nExecMainStatus=3\n"
    "UnitFileState=disabled\nLoadState=loaded\n"
)
# Notes what it is told; after a restart it shows what lies in `next`, stopped what is in `absent`.
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")" || exit
echo "$*" >>calls
[ "$1" = --user ] && shift
if [ -e refusal ] && [ "$1" != --version ]; then cat refusal >&2; exit 1; fi
case $1 in
    --version) echo "systemd 252 (252.39-1)" ;;
    show) cat shown ;;
    restart) cp next shown ;;
    disable | stop) cp absent shown ;;
esac
"""


class Systemd:
    """A directory of programs that answer as systemd's do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.will("shown", INACTIVE)
        self.will("next", ACTIVE)
        self.will("absent", INACTIVE)
        self.program("systemctl", SYSTEMCTL)
        self.program("systemd-analyze", "#!/bin/sh\nexit 0\n")
        self.program("journalctl", "#!/bin/sh\necho 'beepwatch: no such model.'\necho 'Failed.'\n")

    def program(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)
        (self.directory / name).chmod(0o755)

    def will(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def told(self) -> list[str]:
        """What it was asked to do; looking is not doing."""
        calls = (self.directory / "calls").read_text().splitlines()
        words = [call.removeprefix("--user ") for call in calls]
        return [each for each in words if not each.startswith(("show", "--version"))]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("BEEPWATCH_CONFIG", raising=False)
    for name, place in (
        ("BOOTED", tmp_path),
        ("SYSTEM_FILE", tmp_path / "etc" / "config.toml"),
        ("STATE_DIRECTORY", tmp_path / "state"),
        ("RUNTIME_DIRECTORY", tmp_path / "run"),
    ):
        monkeypatch.setattr(beepwatch.daemon.service, name, place)
    return Systemd(tmp_path / "bin")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def service(systemd: Systemd, tmp_path: Path, said: list[str]) -> Service:
    scope = Scope(user=False, units=tmp_path / "units", boot="at boot")
    return Service(scope, said.append)


@pytest.fixture
def of_user(systemd: Systemd, said: list[str]) -> Service:
    return Service(user_scope(), said.append)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def _reported(service: Service) -> dict[str, str]:
    return dict(service.report(ManualClock(NOW, mono_s=7_690.0)))


# Installing


@pytest.mark.usefixtures("as_root")
def test_it_is_written_enabled_started_and_then_left_alone(
    service: Service, systemd: Systemd, said: list[str], tmp_path: Path
) -> None:
    service.install()
    assert systemd.told() == ["daemon-reload", f"enable {NAME}", f"restart --no-block {NAME}"]
    unit = (tmp_path / "units" / NAME).read_text()
    assert "-P -m beepwatch run\n" in unit
    assert "running: listening to microphone" in said
    assert (tmp_path / "etc" / "config.toml").stat().st_mode & 0o777 == 0o644
    assert any("telegram pair --config" in line for line in said)
    service.install()
    assert len(systemd.told()) == 3
    assert f"{tmp_path / 'units' / NAME} is up to date" in said


@pytest.mark.usefixtures("as_root")
def test_an_update_restarts_it(service: Service, systemd: Systemd, tmp_path: Path) -> None:
    systemd.will("shown", ACTIVE)
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / NAME).write_text("[Service]\nExecStart=/old/beepwatch run\n")
    service.install()
    assert systemd.told() == ["daemon-reload", f"restart --no-block {NAME}"]


@pytest.mark.usefixtures("as_root")
def test_another_edition_of_the_program_is_started(
    service: Service, systemd: Systemd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What runs has the old one in its memory, and nothing else of the unit is another."""
    service.install()
    updated = msgspec.structs.replace(own_installation(), package=tmp_path / "bin")
    monkeypatch.setattr(beepwatch.daemon.service, "own_installation", lambda: updated)
    service.install()
    assert systemd.told()[3:] == ["daemon-reload", f"restart --no-block {NAME}"]


@pytest.mark.usefixtures("as_root")
def test_what_a_run_before_has_only_written_is_carried_out(
    service: Service, systemd: Systemd
) -> None:
    """It was broken off: systemd still has the unit of before."""
    service.install()
    systemd.will("shown", f"{ACTIVE}NeedDaemonReload=yes\n")
    service.install()
    assert systemd.told()[3:] == ["daemon-reload", f"restart --no-block {NAME}"]


@pytest.mark.usefixtures("as_root")
def test_the_service_can_read_its_settings_whatever_roots_umask(
    service: Service, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        service.install()
    finally:
        os.umask(before)
    assert (tmp_path / "etc").stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("as_root")
def test_one_that_does_not_come_up_says_why(service: Service, systemd: Systemd) -> None:
    systemd.will("next", FAILING)
    with pytest.raises(BeepwatchError, match=r"exit code 3\): no such model\. systemd keeps"):
        service.install()


@pytest.mark.usefixtures("as_root")
def test_one_that_takes_too_long_is_not_waited_for_for_ever(
    service: Service, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.service, "ACTIVE_WITHIN_S", 0.4)
    systemd.will("next", "ActiveState=activating\nSubState=start\n")
    with pytest.raises(BeepwatchError, match=r"does not come up \(activating"):
        service.install()


@pytest.mark.usefixtures("as_root")
def test_a_unit_that_systemd_does_not_take_is_not_written(
    service: Service, systemd: Systemd, tmp_path: Path
) -> None:
    systemd.program("systemd-analyze", '#!/bin/sh\nfor f; do :; done\necho "$f:3: bad" >&2\n')
    with pytest.raises(BeepwatchError, match=rf"systemd does not take {NAME}: .*:3: bad"):
        service.install()
    assert not (tmp_path / "units").exists()


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("directory", "file", "named"), [(0o700, 0o644, "etc"), (0o755, 0o640, r"config\.toml")]
)
def test_settings_that_the_service_could_not_read_are_named(
    service: Service, tmp_path: Path, directory: int, file: int, named: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "config.toml").write_text("")
    (tmp_path / "etc" / "config.toml").chmod(file)
    (tmp_path / "etc").chmod(directory)
    with pytest.raises(ConfigurationError, match=rf"{named} has mode .* Run: chmod o\+rX"):
        service.install()


@pytest.mark.usefixtures("as_root")
def test_a_place_that_cannot_be_written_is_named(service: Service, tmp_path: Path) -> None:
    (tmp_path / "units").write_text("a file")
    with pytest.raises(ConfigurationError, match=rf"{NAME} cannot be written: File exists"):
        service.install()


def test_a_users_own_is_written_below_the_users_settings(
    of_user: Service, said: list[str], tmp_path: Path
) -> None:
    of_user.install()
    assert (tmp_path / "config" / "systemd" / "user" / NAME).is_file()
    assert any("enable-linger" in line for line in said)
    assert not (tmp_path / "etc").exists()


# What is missing


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_who_is_not_root_is_told_what_to_type(
    service: Service, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError, match=rf"sudo \S+/beepwatch service {verb}`, or add"):
        getattr(service, verb)()


@pytest.mark.usefixtures("systemd")
def test_without_systemd_there_is_no_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(beepwatch.daemon.service, "BOOTED", tmp_path / "none")
    with pytest.raises(ConfigurationError, match="systemd does not run on this machine"):
        Service(user_scope(), print)


def test_without_a_session_it_says_how_to_get_one(
    of_user: Service, systemd: Systemd, tmp_path: Path
) -> None:
    systemd.will("refusal", "Failed to connect to bus: No medium found\n")
    with pytest.raises(BeepwatchError, match=r"No medium found\. Log in as that user"):
        of_user.install()
    assert not (tmp_path / "config").exists()


def test_a_program_that_cannot_be_run_is_named(
    service: Service, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(systemd.directory))
    systemd.program("systemctl", f"#!{systemd.directory / 'none'}\n")
    with pytest.raises(BeepwatchError, match=r"systemctl could not be run: .*No such file"):
        service.state()


# Removing


@pytest.mark.usefixtures("as_root")
def test_removing_leaves_what_is_the_users(
    service: Service, systemd: Systemd, said: list[str], tmp_path: Path
) -> None:
    service.install()
    (tmp_path / "state").mkdir()
    service.uninstall()
    removing = [
        f"disable --now {NAME}",
        f"clean --what=runtime {NAME}",
        "daemon-reload",
        f"reset-failed {NAME}",
    ]
    assert systemd.told()[-4:] == removing
    assert list((tmp_path / "units").iterdir()) == []
    assert said[-1].endswith(f"{tmp_path / 'state'}, {tmp_path / 'etc'}")
    service.uninstall()
    assert systemd.told()[-4:] == removing
    assert "nothing to remove" in said[-2]


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("fragment", "removing"),
    [
        ("", [f"stop {NAME}", f"disable {NAME}", "daemon-reload", f"reset-failed {NAME}"]),
        ("/usr/lib/systemd/system/beepwatch.service", []),
    ],
)
def test_one_that_runs_without_its_file_is_stopped_unless_its_file_is_anothers(
    service: Service, systemd: Systemd, said: list[str], fragment: str, removing: list[str]
) -> None:
    systemd.will("shown", f"{ACTIVE}FragmentPath={fragment}\n")
    service.uninstall()
    assert systemd.told() == removing
    assert said[0].endswith("is not there: nothing to remove" if fragment else "is gone")


@pytest.mark.usefixtures("as_root")
def test_removing_leaves_what_no_disk_has_taken(
    service: Service, systemd: Systemd, said: list[str], tmp_path: Path
) -> None:
    """What was kept in memory, because the disk was full say."""
    service.install()
    Database(tmp_path / "run" / "beepwatch-1-a").close()
    service.uninstall()
    assert "clean --what=runtime" not in " ".join(systemd.told())
    assert str(tmp_path / "run") in said[-1]


# Telling


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
