"""The real daemon before a server that fails in another way at each alert."""

import json
from pathlib import Path

import pytest

from tests import bot_api
from tests.bot_api import BotApi, Fault
from tests.end_to_end.daemon import daemon
from tests.end_to_end.sounds import BEEPS, repeated, with_silence

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

HANGS = Fault(hang_s=60.0)  # longer than a message waits for its answer
FAULTS = [  # with what the next alert comes as, and how often
    (bot_api.INTERNAL, "voice", 1),
    (bot_api.BAD_GATEWAY, "voice", 1),
    (bot_api.PORTAL, "voice", 1),
    (bot_api.flood(2), "voice", 1),
    (bot_api.RESET_BEFORE, "voice", 1),
    (bot_api.RESET_AFTER, "voice", 2),
    (bot_api.NO_VOICE, "audio", 1),
    (bot_api.TOO_LARGE, "audio", 1),
    (HANGS, "voice", 1),
]
IN_DOUBT = (bot_api.RESET_BEFORE, bot_api.RESET_AFTER, HANGS)
SPEED = 3


def test_each_alert_arrives_in_order_and_only_what_was_taken_before_a_reset_comes_twice(
    tmp_path: Path,
) -> None:
    one = with_silence(BEEPS, tmp_path / "one.wav", 3.0, 7.0)
    room = repeated(one, tmp_path / "room.wav", len(FAULTS))
    expected: list[str] = []
    with BotApi() as api, daemon(tmp_path) as beepwatch:
        quiet = "[notify]\nnotices = false\n[notify.console]\nenabled = false\n"
        beepwatch.configure(f'{quiet}[[rules]]\nlabel = "beep"\ncooldown_s = 5\n', api)
        api.fail("sendVoice", FAULTS[0][0])
        beepwatch.start("--source", f"file:{room}", "--speed", str(SPEED))
        for number, (_, kind, times) in enumerate(FAULTS, 1):
            expected += [kind] * times
            api.wait_for_message(len(expected), within_s=90)
            if number < len(FAULTS):
                api.fail("sendVoice", FAULTS[number][0])
        assert beepwatch.wait() == 0
        states = [alert["state"] for event in beepwatch.events() for alert in event["alerts"]]
        counted = json.loads(beepwatch.log.read_text().splitlines()[-1])["messenger"]
    assert [message.kind for message in api.messages] == expected
    assert states == ["sent"] * len(FAULTS)
    heard_at = [message.text.splitlines()[1].partition(" · ")[0] for message in api.messages]
    assert heard_at == sorted(heard_at)
    assert len(set(heard_at)) == len(FAULTS)
    assert counted["in_doubt"] == len(IN_DOUBT)
