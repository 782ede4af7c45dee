"""A chat and the whole program: what is asked is answered, and a tap is kept."""

from pathlib import Path

import pytest

from tests.bot_api import BotApi, Posted
from tests.daemon.playing import RECORDING
from tests.end_to_end.daemon import CHAT_ID, Daemon, daemon

WITHIN_S = 45.0


def answer(api: BotApi, text: str, begins: str) -> Posted:
    """What the chat is answered; alerts, which have buttons, and notices come in between."""
    before = len(api.messages)
    api.write_to_bot(CHAT_ID, text)

    def answers() -> list[Posted]:
        fresh = api.messages[before:]
        return [one for one in fresh if one.text.startswith(begins) and not one.buttons]

    api.wait_until(lambda: bool(answers()), f"answer to {text}", WITHIN_S)
    return answers()[0]


def alert(api: BotApi) -> Posted:
    api.wait_until(lambda: any(one.buttons for one in api.messages), "alert", WITHIN_S)
    return next(one for one in api.messages if one.buttons)


def converse(api: BotApi, beepwatch: Daemon) -> None:
    api.wait_for_message(1, WITHIN_S)  # it listens
    assert answer(api, "/listen 3", "3 s from ").kind == "voice"
    status = answer(api, "/status", "beepwatch\nup since ").text
    assert " dBFS from file:" in status
    assert "windows wait, 0 lost" in status
    assert "model beep " in status
    told = alert(api)
    api.tap(told, "wrong")
    api.wait_until(lambda: "✓ wrong" in told.labels, "verdict", WITHIN_S)
    assert answer(api, "/last", "beep").kind == "voice"
    answer(api, "/watch 1m", "if nothing is heard until ")
    assert beepwatch.events()[0]["verdict"] == "wrong"


@pytest.mark.slow
def test_a_chat_asks_listens_corrects_and_watches(tmp_path: Path) -> None:
    with BotApi() as api, daemon(tmp_path) as beepwatch:
        beepwatch.configure("", api)
        beepwatch.start("--source", f"file:{RECORDING}", "--speed", "2")
        converse(api, beepwatch)
        assert beepwatch.stop() == 0
    log = beepwatch.log.read_text()
    assert "bot_bug" not in log
    assert "process_died" not in log
