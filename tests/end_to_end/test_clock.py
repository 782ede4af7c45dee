"""The wall clock of the real daemon is set while it listens to a real microphone."""

import subprocess
import threading
import time
from datetime import datetime, timedelta
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
