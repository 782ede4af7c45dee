"""Numbers of things read as people say them, and no name breaks out of its line."""

import pytest

from beepwatch.wording import counted, printable


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "no pulses"),
        (1, "1 pulse"),
        (2, "2 pulses"),
        (9_999, "9999 pulses"),
        (10_000, "10,000 pulses"),
    ],
)
def test_one_is_singular_and_none_is_no(count: int, said: str) -> None:
    assert counted(count, "pulse") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Küche, 3 kHz", "Küche, 3 kHz"),
        ("a\nall is well", "a\\nall is well"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\u2028b\udcff", "a\\u2028b\\udcff"),
    ],
)
def test_what_would_end_a_line_or_steer_a_terminal_is_escaped(text: str, said: str) -> None:
    assert printable(text) == said
