"""The configuration file after pairing."""

import stat
import tomllib
from pathlib import Path

import pytest

from beepwatch.errors import ConfigurationError
from beepwatch.notify.settings import with_telegram, write_again, write_private

TOKEN_FILE = Path("/etc/beepwatch/telegram-token")

FULL = """\
# my laundry room
[capture]
source = "microphone:USB"   # the good one

[notify]
room = "laundry"

[notify.telegram]  # family
base_url = "http://localhost:8081/bot"
chat_ids = [1, 2]  # us
token_file = 'old'

[[rules]]
label = "beep"
chat_ids_of_nobody = true
"""


def test_comments_order_and_other_keys_stay() -> None:
    assert with_telegram(FULL, [1, 2, -100], TOKEN_FILE) == FULL.replace(
        "chat_ids = [1, 2]  # us", "chat_ids = [1, 2, -100]  # us"
    ).replace("token_file = 'old'", f'token_file = "{TOKEN_FILE}"')


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[capture]\nsource = "stdin"',
        "[notify.telegram]\n",
        "[ notify . telegram ]\nbase_url = 'x'\n[web]\nport = 1\n",
        "[notify]\nroom = 'a'\n\n",
    ],
)
def test_missing_keys_and_tables_are_added(text: str) -> None:
    changed = tomllib.loads(with_telegram(text, [5], TOKEN_FILE))
    assert changed["notify"]["telegram"]["chat_ids"] == [5]
    assert changed["notify"]["telegram"]["token_file"] == str(TOKEN_FILE)
    before = tomllib.loads(text)
    assert changed.keys() == before.keys() | {"notify"}


@pytest.mark.parametrize(
    "text",
    [
        "notify = {telegram = {chat_ids = [1]}}\n",
        "[notify]\ntelegram.chat_ids = [1]\n",
        "[notify.telegram]\nchat_ids = [\n  1,\n]\n",
        'text = """\n[notify.telegram]\n"""\n',
    ],
)
def test_what_cannot_be_changed_safely_is_left_to_the_person(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"by hand: chat_ids = \[1, 7\], token_file = "):
        with_telegram(text, [1, 7], TOKEN_FILE)


def test_a_private_file_is_0600_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    write_private(path, "a")
    path.chmod(0o644)
    (path.parent / ".config.toml.new").write_text("left by a crash")
    write_private(path, "b")
    assert path.read_text() == "b"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o644), (0o640, 0o640), (None, 0o600)])
def test_who_may_read_the_settings_does_not_change(
    tmp_path: Path, before: int | None, after: int
) -> None:
    """A service that is not root reads those that root wrote."""
    path = tmp_path / "config.toml"
    if before is not None:
        path.write_text("a")
        path.chmod(before)
    write_again(path, "b")
    assert path.read_text() == "b"
    assert stat.S_IMODE(path.stat().st_mode) == after


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """To a file that is kept elsewhere, with others of its kind."""
    kept = tmp_path / "kept" / "config.toml"
    kept.parent.mkdir()
    kept.write_text("a")
    kept.chmod(0o644)
    link = tmp_path / "config.toml"
    link.symlink_to(kept)
    write_again(link, "b")
    assert link.readlink() == kept
    assert kept.read_text() == "b"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o644


def test_links_that_lead_in_a_circle_are_told(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(ConfigurationError, match="one cannot be written: "):
        write_private(one, "a")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"config\.toml cannot be written: .*--config"):
        write_private(tmp_path / "file" / "config.toml", "a")
