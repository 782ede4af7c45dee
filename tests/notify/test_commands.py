"""What is written to the bot is understood, or answered with how to write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.notify.commands import DESCRIPTIONS, Asked, Command, help_text, understood


@pytest.mark.parametrize(
    ("text", "command", "length_s"),
    [
        ("/status", Command.STATUS, 0),
        ("is it done?", Command.STATUS, 0),
        ("", Command.STATUS, 0),
        ("/LAST", Command.LAST, 0),
        ("/start abc", Command.HELP, 0),
        ("/listen", Command.LISTEN, 10),
        ("/listen 30", Command.LISTEN, 30),
        ("/listen 5s", Command.LISTEN, 5),
        ("/mute", Command.MUTE, 3_600),
        ("/mute 2h", Command.MUTE, 7_200),
        ("/mute 1h30m", Command.MUTE, 5_400),
        ("/mute 1.5 h", Command.MUTE, 5_400),
        ("/mute 45", Command.MUTE, 2_700),
        ("/mute 7d", Command.MUTE, 604_800),
        ("/unmute please", Command.UNMUTE, 0),
        ("/watch 150m", Command.WATCH, 9_000),
        ("/watch 150 min", Command.WATCH, 9_000),
        ("/watch off", Command.WATCH, 0),
    ],
)
def test_commands_with_their_times(text: str, command: Command, length_s: float) -> None:
    assert understood(text) == Asked(command=command, length_s=length_s)


@pytest.mark.parametrize(
    "text",
    [
        *("/listen 0", "/listen 31", "/listen ten"),
        *("/mute 8d", "/mute 10s", "/mute -2h", "/mute 2x", "/mute 1,5,5h"),
        *("/watch", "/watch tomorrow", "/watch 1h and 1h"),
        *("/frobnicate", "/", "/é1"),
    ],
)
def test_wrong_usage_gets_one_line_that_says_what_to_write(text: str) -> None:
    answer = understood(text)
    assert isinstance(answer, str)
    assert "\n" not in answer
    assert "for example" in answer or "/help" in answer


@given(st.text())
def test_nothing_that_can_be_written_is_too_much(text: str) -> None:
    for command in ("", "/mute ", "/listen ", "/watch "):
        answer = understood(command + text)
        assert isinstance(answer, str) or 0 <= answer.length_s <= 604_800


def test_help_names_each_command_that_telegram_lists() -> None:
    assert [line.split()[0] for line in help_text().splitlines()] == [
        f"/{command}" for command in DESCRIPTIONS
    ]
    assert set(DESCRIPTIONS) == set(Command)
