"""The wheel as a service of a booted systemd: what a box in a cupboard goes through."""

import json
import re
from pathlib import Path

import pytest

from beepwatch.config import SYSTEM_FILE
from tests.bot_api import TOKEN, BotApi
from tests.end_to_end.sounds import BEEPS, BEEPS_HZ, decoded, loudest_hz
from tests.service.box import (
    CHAT_ID,
    UNIT,
    Box,
    beeps_for_minutes,
    configuration,
    hand_over_the_token,
)
from tests.service.debian import PROGRAM
from tests.service.machine import Machine
from tests.sound_server import sound_server

pytestmark = [pytest.mark.systemd, pytest.mark.slow, pytest.mark.timeout(600)]

UNIT_FILE = f"/etc/systemd/system/{UNIT}"
DROP_IN = f"{UNIT_FILE}.d/test.conf"
ASOUNDRC = 'pcm.!default {{ type pulse {} hint {{ show on description "Sound server" }} }}\n'
# A disk of its own for the state, as it is, and not a byte free.
FILLED = """\
cp -a "$1" "$1.saved"
mount -t tmpfs -o size=12m,mode=700 none "$1"
cp -a "$1.saved/." "$1"
chown --reference="$1.saved" "$1"
rm "$1/beepwatch.reserve"
cat /dev/zero >"$1/filler" || true
"""
# What the daemon starts at night.
LEARN = "/opt/beepwatch/bin/python3 -P -m beepwatch.daemon.nightly /var/lib/beepwatch beep"
# Run by systemd where the daemon runs: what it can get at.
PROBE = """\
import errno, json, mmap, os, pathlib, socket

def outcome(attempt):
    try:
        got = attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return got if isinstance(got, (str, int, list)) else "done"

def opened(path, flags=os.O_RDWR):
    return lambda: os.close(os.open(path, flags))

print("PROBE", json.dumps({
    "root": os.getuid() == 0,
    "sound card": outcome(opened("/dev/snd/pcmC0D0c")),
    "kernel's memory": outcome(opened("/dev/box-mem", os.O_RDONLY)),
    "write the program": outcome(opened("/opt/beepwatch/new", os.O_WRONLY | os.O_CREAT)),
    "write /etc": outcome(opened("/etc/new", os.O_WRONLY | os.O_CREAT)),
    "homes": outcome(lambda: os.listdir("/home")),
    "others' temporary files": outcome(lambda: os.listdir("/tmp")),
    "token's file": outcome(opened("/etc/beepwatch/telegram-token", os.O_RDONLY)),
    "systemd's environment": outcome(lambda: pathlib.Path("/proc/1/environ").read_text()),
    "code made at run time": outcome(
        lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)),
    "raw packets": outcome(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
    "priority": outcome(lambda: os.nice(-5)),
    "give way": outcome(lambda: os.nice(5)),
}))
"""


@pytest.fixture
def box(machine: Machine) -> Box:
    return Box(machine)


def test_from_the_wheel_to_two_years_in_a_cupboard(box: Box) -> None:
    """After each of these a beep is heard and told as before."""
    beeps_for_minutes(box.machine.shared)
    box.machine.write(DROP_IN, "[Service]\nWatchdogSec=6\n")  # instead of a minute
    hand_over_the_token(box)
    with BotApi() as api:
        box.machine.write(str(SYSTEM_FILE), configuration("file:/shared/beeps.wav", api))
        _install_twice(box, api)
        _kill_each_child(box, api)
        _change_the_settings(box, api)
        _lose_the_supervisor(box, api)
        _reboot(box, api)
        _ask_how_it_is(box)
        _uninstall_twice(box)
    assert TOKEN not in box.journal()


def _install_twice(box: Box, api: BotApi) -> None:
    said = box.install()
    assert f"wrote {UNIT_FILE}" in said
    assert "running: listening to file:/shared/beeps.wav" in said
    assert (box.shown("ActiveState"), box.shown("UnitFileState")) == ("active", "enabled")
    first = api.wait_for("sendVoice", within_s=60)[0]
    assert first.fields["chat_id"] == str(CHAT_ID)
    assert loudest_hz(decoded(first.file)) == pytest.approx(BEEPS_HZ, abs=60)
    before = box.supervisor
    assert "is up to date" in box.install()
    assert box.supervisor == before


def _kill_each_child(box: Box, api: BotApi) -> None:
    before = box.supervisor
    for killed in box.children():
        box.machine.run("kill", "-KILL", str(killed))
        box.wait_until_replaced(killed)
        box.wait_for_beep(api)
    assert (box.supervisor, box.shown("NRestarts")) == (before, "0")


def _change_the_settings(box: Box, api: BotApi) -> None:
    before = box.supervisor
    text = configuration("file:/shared/beeps.wav", api)
    box.machine.write(str(SYSTEM_FILE), text.replace("cooldown_s = 0", "cooldown_s = 1"))
    box.systemctl("reload", UNIT)
    box.wait_for_journal('"event": "config_reloaded"')
    box.wait_for_beep(api)
    assert box.supervisor == before


def _lose_the_supervisor(box: Box, api: BotApi) -> None:
    """Killed, then hung: only systemd's watchdog finds out about that."""
    for signal, restarts in (("-KILL", "1"), ("-STOP", "2")):
        before = box.supervisor
        box.machine.run("kill", signal, str(before))
        box.wait_until_shown("NRestarts", restarts)
        box.wait_until_shown("ActiveState", "active")
        assert box.supervisor != before
        box.wait_for_beep(api)
    assert "Watchdog timeout" in box.journal()


def _reboot(box: Box, api: BotApi) -> None:
    box.machine.reboot()
    box.wait_until_shown("ActiveState", "active")
    box.wait_for_beep(api)


def _ask_how_it_is(box: Box) -> None:
    status = box.service("status")
    assert status.returncode == 0
    lines = dict(line.split(maxsplit=1) for line in status.stdout.splitlines())
    assert re.fullmatch(r"running since .* \(\d+ s\); starts at boot", lines["state"])
    assert lines["says"].startswith("listening to file:/shared/beeps.wav")
    assert lines["heard"].startswith("beep, ")
    assert "to be told" in lines["waiting"]
    assert lines["restarts"] == "0"


def _uninstall_twice(box: Box) -> None:
    removed = box.service("uninstall")
    assert removed.returncode == 0, removed.stderr
    assert "/var/lib/beepwatch" in removed.stdout
    assert box.shown("ActiveState") == "inactive"
    assert box.machine.attempt("test", "-e", UNIT_FILE).returncode == 1
    assert box.machine.attempt("systemctl", "is-enabled", UNIT).returncode != 0
    box.machine.run("test", "-s", "/var/lib/private/beepwatch/beepwatch.db")
    assert "nothing to remove" in box.service("uninstall").stdout
    assert box.service("status").returncode == 2


def test_a_disk_that_is_full_at_the_start_costs_nothing_that_was_heard(box: Box) -> None:
    """It starts in memory, which outlives a killed supervisor, and leaves nothing there."""
    machine = box.machine
    beeps_for_minutes(machine.shared)
    hand_over_the_token(box)
    with BotApi() as api:
        machine.write(str(SYSTEM_FILE), configuration("file:/shared/beeps.wav", api))
        box.install()
        box.wait_for_beep(api)
        box.systemctl("stop", UNIT)
        machine.run("sh", "-c", FILLED, "sh", "/var/lib/private/beepwatch")
        box.systemctl("start", UNIT)
        assert "is full, what is heard is kept in memory" in box.shown("StatusText")
        box.wait_for_beep(api)
        kept = _heard(box)
        machine.run("kill", "-KILL", str(box.supervisor))
        box.wait_until_shown("NRestarts", "1")
        box.wait_until_shown("ActiveState", "active")
        box.wait_for_beep(api)
        machine.run("rm", "/var/lib/private/beepwatch/filler")
        box.systemctl("restart", UNIT)
        api.wait_until(lambda: "can be written again" in _told(api), "word of the disk")
        assert _told(api).count("is full: No space left on device") == 1
        machine.wait_until(lambda: kept <= _heard(box), "what was heard in memory, on the disk")
        box.service("uninstall")
    assert "Watchdog timeout" not in box.journal()
    assert machine.attempt("ls", "/run/beepwatch").returncode != 0


def _told(api: BotApi) -> str:
    return "\n".join(message.text for message in api.messages)


def _heard(box: Box) -> set[str]:
    """When what began that the service knows of, on the disk or in memory."""
    places = ("/var/lib/private/beepwatch", "/run/private/beepwatch")
    listed = box.machine.run("find", *places, "-name", "beepwatch.db")
    memory = [place for place in listed.split() if place.startswith("/run")]
    directory = str(Path((memory or listed.split())[0]).parent)
    words = ("env", f"BEEPWATCH_STORE__DIRECTORY={directory}", PROGRAM, "events", "--json")
    return {json.loads(line)["onset"] for line in box.machine.run(*words).splitlines()}


@pytest.mark.mic
def test_the_sandbox_lets_a_microphone_in_and_nothing_else(box: Box) -> None:
    """PortAudio, ALSA, the network, ONNX Runtime and ffmpeg work in it; what else there is, not."""
    machine = box.machine
    (machine.shared / "probe.py").write_text(PROBE)
    first = ("/usr/bin/python3 /shared/probe.py", LEARN)
    machine.write(DROP_IN, "[Service]\n" + "".join(f"ExecStartPre={one}\n" for one in first))
    machine.write("/etc/asound.conf", ASOUNDRC.format('server "unix:/shared/pulse.socket"'))
    machine.run("mkdir", "-p", "/dev/snd", "/home/ada")
    machine.run("mknod", "-m", "660", "/dev/snd/pcmC0D0c", "c", "116", "24")
    machine.run("chgrp", "audio", "/dev/snd/pcmC0D0c")
    machine.run("mknod", "-m", "666", "/dev/box-mem", "c", "1", "1")
    machine.write("/etc/hosts", "127.0.0.1 phone.example\n")
    with sound_server(machine.shared) as server, BotApi() as api:
        settings = configuration("microphone", api).replace("//127.0.0.1:", "//phone.example:")
        machine.write(str(SYSTEM_FILE), settings)
        hand_over_the_token(box)
        box.install()
        (probed,) = [line for line in box.journal().splitlines() if line.startswith("PROBE ")]
        assert json.loads(probed.removeprefix("PROBE ")) == {
            "root": False,
            "sound card": "ENXIO",  # allowed, and no driver behind it here
            "kernel's memory": "EPERM",
            "write the program": "EROFS",
            "write /etc": "EROFS",
            "homes": [],
            "others' temporary files": [],
            "token's file": "EACCES",
            "systemd's environment": "ENOENT",
            "code made at run time": "EPERM",
            "raw packets": "EAFNOSUPPORT",
            "priority": "EPERM",
            "give way": 5,
        }
        assert '{"told":[],"refused":[]}' in box.journal()
        box.wait_for_journal('"event": "listening"')
        server.play(BEEPS)
        assert api.wait_for("sendVoice", within_s=60)[0].token == TOKEN


@pytest.mark.parametrize(
    ("said", "result"), [("manager.alive(starting=True)", "success"), ("pass", "timeout")]
)
def test_a_start_may_take_as_long_as_it_asks_for(machine: Machine, said: str, result: str) -> None:
    """Three seconds where one is allowed."""
    script = (
        "import time\n"
        "from beepwatch.config import service_manager\n"
        "from beepwatch.daemon.systemd import ServiceManager\n"
        "manager = ServiceManager(*service_manager())\n"
        f"{said}\n"
        "time.sleep(3)\n"
        "manager.ready()\n"
        "time.sleep(60)\n"
    )
    (machine.shared / "slow.py").write_text(script)
    limits = ("Type=notify", "NotifyAccess=main", "TimeoutStartSec=1", "WatchdogSec=30")
    words = [f"--property={limit}" for limit in limits]
    python = "/opt/beepwatch/bin/python3"
    machine.attempt("systemd-run", "--unit=slow", *words, python, "/shared/slow.py")
    shown = machine.run("systemctl", "show", "slow", "--property=Result", "--value")
    assert shown.strip() == result


def test_an_installation_that_the_sandbox_hides_is_shown_to_the_service_alone(box: Box) -> None:
    """As `python3 -m venv ~/beepwatch` makes it; then one among temporary files."""
    machine = box.machine
    beeps_for_minutes(machine.shared)
    machine.run("useradd", "--create-home", "--home-dir", "/home/ada", "ada")
    machine.run("mkdir", "/home/ada/letters")
    machine.run("chmod", "700", "/home/ada")
    hand_over_the_token(box)
    with BotApi() as api:
        machine.write(str(SYSTEM_FILE), configuration("file:/shared/beeps.wav", api))
        for place in ("/home/ada", "/var/tmp"):
            machine.run("mkdir", f"{place}/beep watch")
            machine.run("mount", "--bind", "/opt/beepwatch", f"{place}/beep watch")
            words = (f"{place}/beep watch/bin/python3", "-m", "beepwatch", "service", "install")
            assert "running: " in machine.run(*words)
            box.wait_for_beep(api)
            seen = machine.run("nsenter", f"--target={box.supervisor}", "--mount", "ls", place)
            assert seen.split("\n") == ["beep watch", ""]


def test_what_keeps_it_from_running_is_one_line(box: Box) -> None:
    """Settings that cannot be read change nothing; a daemon that does not come up says why."""
    machine = box.machine
    machine.write(str(SYSTEM_FILE), "[capture]\nhop_s = 'often'\n")
    for mode, said in ((0o600, "chmod o+rX /etc/beepwatch/config.toml"), (0o644, "capture.hop_s")):
        machine.run("chmod", f"{mode:o}", str(SYSTEM_FILE))
        refused = box.service("install")
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
        assert said in refused.stderr
        assert machine.attempt("test", "-e", UNIT_FILE).returncode == 1
    machine.write(str(SYSTEM_FILE), f"[notify.telegram]\nchat_ids = [{CHAT_ID}]\n")
    failed = box.service("install")
    assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1)
    assert "does not come up" in failed.stderr
    assert "there is no bot token" in failed.stderr
    status = box.service("status")
    assert status.returncode == 1
    assert "not running" in status.stdout
    hand_over_the_token(box)
    machine.write("/etc/asound.conf", "")
    assert "running: " in box.install()  # nor does a microphone that is not there keep it from it


@pytest.mark.mic
def test_a_users_service_hears_the_sound_server_of_the_session(machine: Machine) -> None:
    user = 1000
    box = Box(machine, user)
    home = f"/home/{user}"
    machine.run("useradd", f"--uid={user}", "--create-home", f"--home-dir={home}", "ada")
    machine.write("/etc/asound.conf", ASOUNDRC.format(""))
    machine.run("systemctl", "start", f"user@{user}.service")
    machine.run("mkdir", "--mode=700", f"/run/user/{user}/pulse")
    machine.run("ln", "-s", "/shared/pulse.socket", f"/run/user/{user}/pulse/native")
    machine.run("chown", "-R", f"{user}:{user}", f"/run/user/{user}/pulse")
    refused = machine.attempt("/opt/beepwatch/bin/beepwatch", "service", "install", user=user)
    assert refused.returncode == 2
    assert refused.stderr.startswith("beepwatch: `beepwatch service install` changes the system")
    assert len(refused.stderr.splitlines()) == 1
    with sound_server(machine.shared) as server:
        (machine.shared / "pulse.socket").chmod(0o777)
        said = box.install()
        assert f"wrote {home}/.config/systemd/user/{UNIT}" in said
        assert "enable-linger" in said
        box.wait_for_journal('"event": "listening"')
        server.play(BEEPS)
        box.wait_for_journal('"event": "heard"')
        status = box.service("status")
        assert "heard     beep, " in status.stdout
        assert box.service("uninstall").returncode == 0
        assert box.shown("ActiveState") == "inactive"
    machine.run("test", "-s", f"{home}/.local/share/beepwatch/beepwatch.db")
