"""The wall clock of the real daemon is set while it listens to a real microphone."""

import subprocess
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from beepwatch.clock import SystemClock
from tests.bot_api import BotApi
from tests.end_to_end.daemon import daemon
from tests.end_to_end.sounds import BEEPS
from tests.sound_server import sound_server

pytestmark = [pytest.mark.slow, pytest.mark.mic, pytest.mark.timeout(400)]

DAY_S = 86_400
IN_1970_S = 3_600 - int(SystemClock().utc().timestamp())
COOLDOWN_S = 20.0
CONFIG = f"""
[notify.console]
enabled = false
[watchdog]
missing_after_min = 60
[[rules]]
label = "beep"
cooldown_s = {COOLDOWN_S}
"""


@pytest.fixture(scope="module")
def settable_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that is loaded before all others."""
    made = tmp_path_factory.mktemp("clock") / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    flags = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", *flags, "-o", made, source], check=True)
    return made


@pytest.mark.parametrize(
    "ahead_s", [DAY_S, -DAY_S, IN_1970_S], ids=["back", "forward", "from 1970"]
)
def test_no_rule_notices_that_the_clock_was_set_and_times_are_true_ones(
    tmp_path: Path, settable_clock: Path, ahead_s: int
) -> None:
    """A beep, the clock is set right, a beep within the cooldown of the first, one after it."""
    clock = tmp_path / "clock"
    clock.write_text(str(ahead_s))
    with (
        BotApi() as api,
        sound_server(tmp_path / "sound") as server,
        daemon(tmp_path, server.environment) as beepwatch,
    ):
        beepwatch.configure(CONFIG, api)
        beepwatch.environment |= {"LD_PRELOAD": str(settable_clock), "WALL_CLOCK": str(clock)}
        begun = SystemClock().utc()
        beepwatch.start()
        api.wait_for("sendMessage", within_s=60)
        server.play(BEEPS)
        told_s = api.wait_for("sendVoice", within_s=60)[0].first_byte_mono_s
        clock.write_text("0")
        server.play(BEEPS)
        beepwatch.wait_for_log('"episode_over"', times=2)
        threading.Event().wait(told_s + COOLDOWN_S + 5 - time.monotonic())
        server.play(BEEPS)
        api.wait_for("sendVoice", count=2, within_s=60)
        assert beepwatch.stop() == 0
        events = beepwatch.events()
        ended = SystemClock().utc()
        log = beepwatch.log.read_text()

    assert str((begun + timedelta(seconds=ahead_s)).year) in log.partition("\n")[0]
    times = [datetime.fromisoformat(event[end]) for event in events for end in ("onset", "offset")]
    assert times == sorted(times)
    assert begun < times[0]
    assert times[-1] < ended
    first, within, after = ({alert["id"] for alert in event["alerts"]} for event in events)
    assert within <= first
    assert first.isdisjoint(after)
    assert len(api.calls("sendVoice")) == 2
    assert [request.fields["text"].split()[2] for request in api.calls("sendMessage")] == [
        "listening",
        "stopped",
    ]


CENTRAL_EUROPE = "CET-1CEST,M3.5.0,M10.5.0/3"  # tzset(3)
CHANGES = {  # and the quiet hours that begin with them
    "spring": (datetime(2027, 3, 28, 1, tzinfo=UTC), "03:00-07:00"),
    "autumn": (datetime(2026, 10, 25, 1, tzinfo=UTC), "02:00-02:30"),
}
BEFORE_S = 60


def test_quiet_hours_are_the_local_clocks_where_summer_time_begins_and_ends(
    tmp_path: Path, settable_clock: Path
) -> None:
    """A beep in the last minute of the old time is told, one in the first of the new one waits."""
    with ExitStack() as stack:
        server = stack.enter_context(sound_server(tmp_path / "sound"))
        homes = []
        begun = SystemClock().utc()
        for season, (change, quiet_hours) in CHANGES.items():
            (tmp_path / season).mkdir()
            clock = tmp_path / season / "clock"
            clock.write_text(str(round((change - begun).total_seconds()) - BEFORE_S))
            api = stack.enter_context(BotApi())
            home = stack.enter_context(daemon(tmp_path / season, server.environment))
            home.configure(f'{CONFIG}quiet_hours = "{quiet_hours}"\n', api)
            home.environment |= {"LD_PRELOAD": str(settable_clock), "WALL_CLOCK": str(clock)}
            home.environment |= {"TZ": CENTRAL_EUROPE}
            home.start()
            homes.append((home, api, change))
        for _, api, _ in homes:
            api.wait_for("sendMessage", within_s=BEFORE_S / 2)
        server.play(BEEPS)
        for _, api, _ in homes:
            api.wait_for("sendVoice", within_s=60)
        passed_s = (SystemClock().utc() - begun).total_seconds()
        threading.Event().wait(BEFORE_S + 2 - passed_s)
        server.play(BEEPS)
        for home, _, _ in homes:
            home.wait_for_log('"episode_over"', times=2)

        for home, api, change in homes:
            assert home.stop() == 0
            before, after = home.events()
            assert datetime.fromisoformat(before["offset"]) < change
            assert change < datetime.fromisoformat(after["onset"]) < change + timedelta(minutes=2)
            assert [alert["state"] for alert in before["alerts"]] == ["sent"]
            assert [alert["state"] for alert in after["alerts"]] == ["pending"]
            assert len(api.calls("sendVoice")) == 1
