"""Configurations that no person writes: one line, and nothing starts."""

from pathlib import Path

import pytest

from beepwatch.config import load, telegram_token
from beepwatch.errors import ConfigurationError


def refusal(directory: Path, content: bytes, **environment: str) -> str:
    """The one line with which it is refused, when it is read or its token is looked for."""
    file = directory / "config.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        telegram_token(load(file, environment).config.notify.telegram, environment)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1_000
    return text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a = " + "[" * 5_000, "not valid TOML"),
        ("a = " + "[" * 500 + "]" * 500, "not valid TOML"),
        ("a = " + "9" * 5_000, "not valid TOML"),
        ("[web]\nport = " + "9" * 25, "port"),
        ("[store]\nkeep_days = nan", "keep_days"),
        ('[capture]\nsource = "file:\\u0000"', "capture.source"),
        ('[store]\ndirectory = "a\\nb"', "store.directory"),
        (f'[capture]\nsource = "{"x" * 9_000}"', "capture.source"),
        ('[capture]\nsource = "stream:http://h:99999/"', "cannot be read"),
        ('[capture]\nsource = "stream:http://[::1"', "cannot be read"),
        ('[capture]\nsource = "stream:http://me:secret@h:x1/"', "cannot be read"),
        (f'[notify.telegram]\ntoken_file = "{"x" * 9_000}"', "no file"),
    ],
)
def test_absurd_settings_are_refused(tmp_path: Path, text: str, named: str) -> None:
    said = refusal(tmp_path, text.encode())
    assert named in said
    assert "secret" not in said


@pytest.mark.parametrize("value", ["\udcff", "a\nb"])
def test_a_variable_that_is_no_line_of_text_is_refused(tmp_path: Path, value: str) -> None:
    said = refusal(tmp_path, b"", BEEPWATCH_NOTIFY__ROOM=value)
    assert "BEEPWATCH_NOTIFY__ROOM" in said
