"""Configuration enters once: file, environment, command line; errors name what to mend."""

import os
import tomllib
from datetime import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.config import (
    default_file,
    display_values,
    is_journal,
    load,
    service_manager,
    telegram_token,
)
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.secrecy import Secret, without_secrets
from beepwatch.sections import Config, Rule, Store, Telegram

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"  # noqa: S105 - the example of the API's manual


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "beepwatch.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> str:
    """What is said about this file; it begins with the file's path, which is taken off."""
    file = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load(file, {"HOME": str(tmp_path), **(environment or {})})
    return str(caught.value).removeprefix(f"{file}: ").removeprefix(f"{file} ")


def test_without_file_and_environment_every_key_has_its_default(tmp_path: Path) -> None:
    loaded = load(None, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert loaded.config == Config()
    assert loaded.file is None
    assert loaded.config.rules == (Rule(label="beep"),)


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "BEEPWATCH_CONFIG"])
def test_a_home_of_nobody_is_told_with_the_variable(variable: str, tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path), variable: "~nobody-of-that-name/x"}
    with pytest.raises(ConfigurationError, match=f"{variable} is '~nobody.*no such user's home"):
        load(None, environment)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "[capture]\nhop_s = 0.5\nwindow_s = 2\nrate_hz = 8000\n")
    environment = {"BEEPWATCH_CAPTURE__HOP_S": "0.7", "BEEPWATCH_CAPTURE__RATE_HZ": "44100"}
    loaded = load(file, environment, {"capture.rate_hz": 48_000})
    capture = loaded.config.capture
    assert (capture.window_s, capture.hop_s, capture.rate_hz) == (2.0, 0.7, 48_000)
    origins = {key: origin for key, _value, origin in display_values(loaded)}
    assert origins["capture.window_s"] == str(file)
    assert origins["capture.hop_s"] == "BEEPWATCH_CAPTURE__HOP_S"
    assert origins["capture.rate_hz"] == "command line"
    assert origins["capture.source"] == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store = 5", "store is 5; give a table, its keys below [store]."),
        ("capture = 3", "capture is 3; give a table, its keys below [capture]."),
        ("[capture]\nhop_s = nan", "capture.hop_s is nan; give a number from 0.1 to 6."),
        ("[capture]\nhop_s = '1'", "capture.hop_s is '1'; give a number from 0.1 to 6, without q"),
        (
            "[store]\nkeep_days = inf",
            "store.keep_days is inf; give a number above 0 and up to 36500.",
        ),
        ("[store]\nmin_free_mb = -1", "store.min_free_mb is -1; give a number from 0 to 1e+09."),
        ("[capture]\ngate = 1", "capture.gate is 1; give true or false."),
        ("[notify]\nroom = 3", "notify.room is 3; give text in quotes."),
        (
            "[rules]\nlabel = 'beep'",
            "rules is {'label': 'beep'}; give tables, each below [[rules]].",
        ),
        ("[notify.telegram]\nchat_ids = 1", "notify.telegram.chat_ids is 1; give a list in [ ]."),
        (
            f"[notify.telegram]\nchat_ids = [{10**20}]",  # more than a message to a process holds
            f"notify.telegram.chat_ids[0] is {10**20}; give a whole number from -4503599627370496 ",
        ),
        ("[model]\nbundle = ''", "model.bundle is ''; give text in quotes, not empty."),
        ("[captur]\nhop_s = 1", "unknown key captur. Did you mean capture?"),
        ("[capture]\nhops = 1", "unknown key capture.hops. Did you mean hop_s?"),
        (
            "[web]\nzzzzz = 1",
            "unknown key web.zzzzz. Known here: host, port.",
        ),
        (
            "[notify.telegram]\nchat_id = 1",
            "unknown key notify.telegram.chat_id. Did you mean chat_ids?",
        ),
        (
            "[[rules]]\nlabel = 'beep'\npulse = 2",
            "unknown key rules[0].pulse. Did you mean pulses?",
        ),
        (
            "[[rules]]\nlabel = 'a'\n[[rules]]\nlabel = 'b'\npulses = 0",
            "rules[1].pulses is 0; give a whole number from 1 to 1000.",
        ),
        ("[[rules]]\npulses = 1", "rules[0].label is missing. Give it."),
        ("[[rules]]\nlabel = 'a'\nquiet_hours = '25:00'", "rules.quiet_hours is '25:00'; write it"),
        ("[machines]\nquiet_hours = '7-8'", "machines.quiet_hours is '7-8'; write it as HH:MM"),
        (f"[[rules]]\nlabel = 'a'\ntext = '{'a' * 101}'", "rules[0].text is 'aaa"),
        ('[[rules]]\nlabel = "a"\ntext = "two\\nlines"', "rules.text is 'two\\nlines', with"),
        ("[capture]\nhop_s = 4", "capture.hop_s is 4.0 and capture.window_s is 3.0, so sound"),
        ("[capture]\nhop_s = ", "is not valid TOML: Invalid value"),
        (
            "[machines]\ndrift = 'ignore'",
            'machines.drift is \'ignore\'; give "follow" or "report".',
        ),
        ("[machines]\nenough_s = 5", "machines.enough_s is 5; give a number from 10 to 86400."),
        ("[model]\nruntime = 'jax'", 'model.runtime is \'jax\'; give "onnx" or "torch".'),
    ],
)
def test_a_wrong_file_is_one_line_with_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, said: str
) -> None:
    found = refusal(tmp_path, text)
    assert found.startswith(said)
    assert "\n" not in found


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, "", {"BEEPWATCH_CAPTURE__HOP_S": "fast"})
    assert said == (
        "BEEPWATCH_CAPTURE__HOP_S: capture.hop_s is 'fast'; give a number from 0.1 to 6."
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("capture.source", "gramophone"),
        ("capture.hop_s", 4.0),
        ("store.directory", "~nobody-here/x"),
        ("notify.telegram.base_url", "nowhere"),
        ("notify.telegram.base_url", "http://"),
        ("notify.telegram.base_url", "http://[::1/bot"),
        ("notify.telegram.base_url", "http://localhost:port/bot"),
        ("notify.telegram.base_url", "http://localhost:8081"),  # the token would be a port
        ("notify.telegram.base_url", "http://localhost/?bot"),
        ("machines.quiet_hours", "7-8"),
        ("teaching.nightly", "soon"),
    ],
)
def test_what_does_not_come_from_the_file_is_not_said_to(
    tmp_path: Path, key: str, value: object
) -> None:
    with pytest.raises(ConfigurationError, match=rf"^command line: {key} is "):
        load(written(tmp_path, "[capture]\nwindow_s = 3.0\n"), {}, {key: value})


def test_a_file_that_is_marked_as_utf_8_is_one(tmp_path: Path) -> None:
    """As editors on Windows do."""
    file = tmp_path / "a.toml"
    file.write_text("[notify]\nroom = 'Küche'\n", encoding="utf-8-sig")
    assert load(file, {}).config.notify.room == "Küche"


def test_a_variable_of_an_unknown_section_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, "", {"BEEPWATCH_CAPTRUE__HOP_S": "2"})
    assert said == "BEEPWATCH_CAPTRUE__HOP_S: unknown key captrue. Did you mean capture?"


def test_a_variable_below_a_list_says_that_lists_are_set_in_the_file(tmp_path: Path) -> None:
    text = "[[rules]]\nlabel = 'beep'"
    said = refusal(tmp_path, text, {"BEEPWATCH_RULES__LABEL": "melody"})
    assert said.startswith("BEEPWATCH_RULES__LABEL sets rules.label, but rules is not a table.")


def test_variables_are_toml_where_they_parse_and_text_elsewhere(tmp_path: Path) -> None:
    environment = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "BEEPWATCH_NOTIFY__TELEGRAM__CHAT_IDS": "[1, -2]",
        "BEEPWATCH_NOTIFY__ROOM": "laundry room",
        "BEEPWATCH_NOTIFY__NOTICES": "false",
    }
    notify = load(None, environment).config.notify
    assert (notify.telegram.chat_ids, notify.room, notify.notices) == (
        (1, -2),
        "laundry room",
        False,
    )


def test_a_missing_file_is_refused_and_a_directory_too(tmp_path: Path) -> None:
    for file, said in ((tmp_path / "no.toml", "does not exist"), (tmp_path, "cannot be read")):
        with pytest.raises(ConfigurationError, match=said):
            load(file, {})
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(None, {"BEEPWATCH_CONFIG": str(tmp_path / "no.toml")})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load(file, {})


def test_the_users_file_is_found_by_itself(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    file = default_file(environment)
    assert file == tmp_path / "beepwatch" / "config.toml"
    file.parent.mkdir()
    file.write_text("[notify]\nroom = 'cellar'\n")
    loaded = load(None, environment)
    assert (loaded.file, loaded.config.notify.room) == (file, "cellar")


def test_systemds_state_directory_is_used_unless_one_is_configured(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "STATE_DIRECTORY": "/var/lib/beepwatch"}
    assert load(None, environment).config.store.directory == "/var/lib/beepwatch"
    named = environment | {"BEEPWATCH_STORE__DIRECTORY": "/srv"}
    assert load(None, named).config.store.directory == "/srv"


def test_the_home_of_nobody_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"store\.directory is '~nobody-here/x'"):
        _ = Store(directory="~nobody-here/x").path


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_one_line(text: str) -> None:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    environment = {f"BEEPWATCH_{key}__X": "1" for key in values}
    try:
        load(None, environment | {"XDG_CONFIG_HOME": "/nonexistent"}, values)
    except BeepwatchError as error:
        said = str(error)
    else:
        said = "in order"
    assert said


# Rules


def test_quiet_hours_are_two_local_times() -> None:
    assert Rule(label="beep").quiet_from_to() is None
    quiet = Rule(label="beep", quiet_hours="22:30-07:00")
    assert quiet.quiet_from_to() == (time(22, 30), time(7, 0))


@given(st.text(alphabet="0123456789:- x", max_size=11))
def test_quiet_hours_are_understood_or_refused(text: str) -> None:
    try:
        found = Rule(label="beep", quiet_hours=text).quiet_from_to()
    except ConfigurationError:
        return
    shown = "" if found is None else f"{found[0]:%H:%M}-{found[1]:%H:%M}"
    assert shown == text


# Secrets


def test_a_secret_prints_as_nothing() -> None:
    secret = Secret(TOKEN)
    assert f"{secret}{secret!r}{[secret]}{secret!s}" == "[]"
    assert secret.reveal() == TOKEN


def test_the_token_comes_from_the_environment_first_then_from_systemd_then_from_its_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    file.write_text("3:c\n")
    file.chmod(0o600)
    (tmp_path / "telegram-token").write_text("2:b\n")
    telegram = Telegram(token_file=str(file))
    environment = {"BEEPWATCH_TELEGRAM_TOKEN": " 1:a ", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    found = []
    for name in (*environment, ""):
        token = telegram_token(telegram, environment)
        found.append(token.reveal() if token else None)
        environment.pop(name, None)
    assert found == ["1:a", "2:b", "3:c"]
    assert telegram_token(Telegram(), {}) is None
    assert telegram_token(Telegram(), {"CREDENTIALS_DIRECTORY": "/nonexistent"}) is None


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"1:a", 0o640, "has mode 0640"),
        (b"1:a", 0o644, "has mode 0644, so others can read it. Run: chmod 600"),
        (b" \n", 0o600, "is empty"),
        (b"\xff\xfe", 0o600, "cannot be read: it is not text"),
        (None, 0, "which is no file"),
    ],
)
def test_a_token_file_that_cannot_be_used_says_why(
    tmp_path: Path, content: bytes | None, mode: int, said: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    with pytest.raises(ConfigurationError, match=said):
        telegram_token(Telegram(token_file=str(file)), {})


@pytest.mark.parametrize(
    "text",
    [
        f"[notify.telegram]\ntoken = '{TOKEN}'",
        f"[notify.telegram]\ntoken_file = '{TOKEN}'",
        f"[notify.telegram]\nchat_ids = '{TOKEN}'",
        f"[notify.telegram]\nbase_url = ['https://api.telegram.org/bot{TOKEN}']",
        f"[notify]\ntelegram = '{TOKEN}'",
        f"{TOKEN}",
        f"['{TOKEN}']\n['{TOKEN}']",
        "[capture]\nsource = ['stream:rtsp://me:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@camera/1']",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated_in_the_error(
    tmp_path: Path, text: str
) -> None:
    assert TOKEN.partition(":")[2] not in refusal(tmp_path, text)


def test_showing_the_configuration_hides_passwords_and_tokens(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "[capture]\nsource = 'stream:rtsp://me:canary@camera/1'\n"
        f"[notify.telegram]\nbase_url = 'https://example.org/bot{TOKEN}'\n",
    )
    shown = {key: value for key, value, _origin in display_values(load(file, {}))}
    assert shown["capture.source"] == '"stream:rtsp://…@camera/1"'
    assert shown["notify.telegram.base_url"] == '"https://example.org/bot…"'


def test_text_without_secrets_stays_as_it_is() -> None:
    assert without_secrets("at 22:30 see https://example.org/a@b") == (
        "at 22:30 see https://example.org/a@b"
    )


# systemd


@pytest.mark.parametrize(
    ("microseconds", "watchdog_s"), [("30000000", 30.0), ("", None), ("soon", None), ("²", None)]
)
def test_systemds_watchdog_time_is_in_microseconds(
    microseconds: str, watchdog_s: float | None
) -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": microseconds}
    assert service_manager(environment) == ("/run/notify", watchdog_s)
    assert service_manager({}) == ("", None)


def test_the_journal_is_known_by_its_stream() -> None:
    reader, writer = os.pipe()
    status = os.fstat(writer)
    its_own = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    assert is_journal(writer, its_own)
    assert not is_journal(writer, {})
    assert not is_journal(writer, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
    os.close(writer)
    os.close(reader)
    assert not is_journal(writer, its_own)


def test_sections_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().capture.source = "stdin"  # type: ignore[misc]
    assert msgspec.structs.replace(Rule(label="beep"), pulses=2).pulses == 2


def test_a_source_in_an_unknown_home_is_refused_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[capture]\nsource = "file:~nobody-here/beep.wav"\n')
    with pytest.raises(ConfigurationError, match="no such user's home"):
        load(file, {})


def test_the_nightly_time_is_a_time_of_day_or_never(tmp_path: Path) -> None:
    assert Config().teaching.nightly_at() is None
    loaded = load(written(tmp_path, '[teaching]\nnightly = "03:30"\n'), {})
    assert loaded.config.teaching.nightly_at() == time(3, 30)
    for wrong in ("3:30", "24:00", "03:60", "at night", "03:30\u0665"):
        said = refusal(tmp_path, f'[teaching]\nnightly = "{wrong}"\n')
        assert said.startswith("teaching.nightly is ")
        assert 'write it as HH:MM, for example "03:30"' in said
