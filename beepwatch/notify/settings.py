"""Two keys of the configuration file, written by `telegram pair`; the rest stays as it is."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beepwatch.errors import ConfigurationError
from beepwatch.whole_files import PRIVATE, write_whole

_TABLE = "[notify.telegram]"
_HEADER = re.compile(r"^\s*\[")
_TELEGRAM_HEADER = re.compile(r"^\s*\[\s*notify\s*\.\s*telegram\s*\]\s*(#.*)?$")


def with_telegram(text: str, chat_ids: Sequence[int], token_file: Path) -> str:
    """The configuration with these chats and this token file, comments and all else kept.

    Raises ConfigurationError when the file writes the table in a way that cannot be changed
    safely; the text says what to write by hand.
    """
    values = {
        "chat_ids": f"[{', '.join(str(chat_id) for chat_id in chat_ids)}]",
        "token_file": json.dumps(str(token_file), ensure_ascii=False),
    }
    changed = _put_into_table(text, values)
    expected = tomllib.loads(text)
    table = _table(expected, "notify", "telegram")
    table["chat_ids"] = list(chat_ids)
    table["token_file"] = str(token_file)
    if _parsed(changed) != expected:
        lines = ", ".join(f"{key} = {value}" for key, value in values.items())
        raise ConfigurationError(
            f"{_TABLE} is written in a way that is not changed automatically. "
            f"Put into it by hand: {lines}"
        )
    return changed


def write_again(path: Path, text: str) -> None:
    """Write a file that holds no secret: who may read it stays as it was, a new one is private."""
    write_private(path, text, path.stat().st_mode & 0o777 if path.is_file() else PRIVATE)


def write_private(path: Path, text: str, mode: int = PRIVATE) -> None:
    """Write a file that only its owner can read, all of it or nothing. A link stays a link."""
    try:
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, text.encode(), mode=mode)
    except (OSError, RuntimeError) as error:  # RuntimeError: of `resolve`, until Python 3.13
        reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise ConfigurationError(
            f"{path} cannot be written: {reason}. Give a file that you can write with --config."
        ) from error


def _put_into_table(text: str, values: dict[str, str]) -> str:
    lines = text.splitlines()
    header = next((i for i, line in enumerate(lines) if _TELEGRAM_HEADER.match(line)), None)
    if header is None:
        gap = [""] if lines and lines[-1].strip() else []
        added = [_TABLE, *(f"{key} = {value}" for key, value in values.items())]
        return "\n".join([*lines, *gap, *added]) + "\n"
    end = next((i for i in range(header + 1, len(lines)) if _HEADER.match(lines[i])), len(lines))
    body = lines[header + 1 : end]
    for key, value in values.items():
        body = _with_key(body, key, value)
    return "\n".join([*lines[: header + 1], *body, *lines[end:]]) + "\n"


def _with_key(body: list[str], key: str, value: str) -> list[str]:
    """The table's lines with the key changed, or put first; a comment behind it stays."""
    written = re.compile(rf"^(\s*){key}\s*=\s*(?:\[[^\]#]*\]|\"[^\"]*\"|'[^']*')(\s*(?:#.*)?)$")
    for i, line in enumerate(body):
        if match := written.match(line):
            return [*body[:i], f"{match[1]}{key} = {value}{match[2]}", *body[i + 1 :]]
    return [f"{key} = {value}", *body]


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None  # an unlike one: the caller compares


def _table(values: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        values = values.setdefault(name, {})
    return values
