"""The real daemon behind a wire of its own, which is pulled and plugged in again."""

import sys
from pathlib import Path

import pytest

from tests.bot_api import BotApi
from tests.end_to_end.daemon import daemon
from tests.end_to_end.sounds import BEEPS, repeated, with_silence
from tests.wire import wire

pytestmark = pytest.mark.slow

BEEPS_IN_A_ROW = 3
AFTER_S = 15.0  # for what could still come twice


@pytest.mark.parametrize("near", [True, False], ids=["cable pulled", "interface down"])
def test_what_sounds_while_the_wire_is_pulled_is_told_in_order_and_once_when_it_is_back(
    tmp_path: Path, near: bool
) -> None:
    """The first request leaves on a connection that was used a moment ago, and has no answer."""
    one = with_silence(BEEPS, tmp_path / "one.wav", 2.0, 4.0)
    all_of_them = repeated(one, tmp_path / "all.wav", BEEPS_IN_A_ROW)
    room = with_silence(all_of_them, tmp_path / "room.wav", 0.0, AFTER_S)
    with wire() as line, BotApi(host=line.here) as api, daemon(tmp_path) as beepwatch:
        quiet = "[notify.console]\nenabled = false\n"
        beepwatch.configure(f'[[rules]]\nlabel = "beep"\ncooldown_s = 5\n{quiet}', api)
        command = line.inside(sys.executable, "-m", "beepwatch")
        beepwatch.start("--source", f"file:{room}", command=command)
        beepwatch.wait_for_log('"alert_sent"')
        line.pull(near=near)
        beepwatch.wait_for_log('"heard"', times=BEEPS_IN_A_ROW)
        beepwatch.wait_for_log('"alert_not_sent"')
        assert len(api.messages) == 1
        line.plug(near=near)
        api.wait_for_message(1 + BEEPS_IN_A_ROW, within_s=90)
        assert beepwatch.wait() == 0
        events = beepwatch.events()
    started, *beeps, stopped = (message.text.splitlines() for message in api.messages)
    assert "is listening" in started[0]
    assert "has stopped" in stopped[0]
    assert [words[0] for words in beeps] == ["beep"] * BEEPS_IN_A_ROW
    times = [words[1].partition(" · ")[0] for words in beeps]
    assert times == sorted(set(times))
    assert [alert["state"] for event in events for alert in event["alerts"]] == ["sent"] * 3
