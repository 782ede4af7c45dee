"""Configuration enters here, once: TOML file, environment, defaults; each value knows its origin.

Every station receives its own section. Secrets are not part of the sections: `telegram_token`
finds the token, and a `Secret` prints as nothing.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from beepwatch.errors import ConfigurationError
from beepwatch.secrecy import BOT_TOKEN, Secret, without_secrets
from beepwatch.sections import Capture, Config, Rule, Telegram, expanded
from beepwatch.validation import explain, shortened, stream_address

ENVIRONMENT_PREFIX = "BEEPWATCH_"
CONFIG_VARIABLE = "BEEPWATCH_CONFIG"
TOKEN_VARIABLE = "BEEPWATCH_TELEGRAM_TOKEN"  # noqa: S105 - the variable's name, not a token
SYSTEM_FILE = Path("/etc/beepwatch/config.toml")
_MOST_CHARACTERS = 1_000_000  # of a file; a device may have no end
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration with the origin of each value that is not a default."""

    config: Config
    file: Path | None
    origins: dict[str, str]  # "capture.hop_s" → "/etc/beepwatch/config.toml" or a variable's name


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read the configuration: `file`, else $BEEPWATCH_CONFIG, the user's, the system's; defaults.

    `overrides` are what the command line said, by dotted key. Raises ConfigurationError, which
    names the file, the key, the value and what is allowed.
    """
    environment = os.environ if environment is None else environment
    file = file or _existing_file(environment)
    values = _read_toml(file) if file else {}
    origins = {key: str(file) for key in _dotted_keys(values)}
    for key, (value, variable) in _from_environment(environment).items():
        _put(values, key, value, variable)
        origins[key] = variable
    for key, value in (overrides or {}).items():
        _put(values, key, value, "the command line")
        origins[key] = "command line"
    if "store.directory" not in origins and environment.get("STATE_DIRECTORY"):
        _put(values, "store.directory", environment["STATE_DIRECTORY"], "STATE_DIRECTORY")
        origins["store.directory"] = "STATE_DIRECTORY"
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            explain(str(error), values, origins=origins, file=file, root=Config)
        ) from None
    _check_characters(msgspec.to_builtins(config), origins)
    _check_relations(config, origins, file)
    return Loaded(config=config, file=file, origins=origins)


def default_file(environment: Mapping[str, str] | None = None) -> Path:
    """The user's own configuration file, whether or not it exists yet."""
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return expanded("XDG_CONFIG_HOME", base) / "beepwatch" / "config.toml"


def check_time_zone(now: datetime) -> None:
    """Raises ConfigurationError where Python has no local time: a day or more from UTC."""
    try:
        now.astimezone()
    except ValueError:
        raise ConfigurationError(
            f"TZ is {shortened(repr(os.environ.get('TZ')))}, a day or more from UTC. Set it to a "
            "zone such as Europe/Berlin, or leave it out."
        ) from None


class NoTokenFile(ConfigurationError):
    """The token is to be in a file that is not there."""


def telegram_token(
    telegram: Telegram, environment: Mapping[str, str] | None = None
) -> Secret | None:
    """The bot's token from the environment, systemd's credentials or `token_file`; None without.

    Raises NoTokenFile when `token_file` is missing, ConfigurationError when others can read it.
    """
    environment = os.environ if environment is None else environment
    if token := environment.get(TOKEN_VARIABLE, "").strip():
        return Secret(token)
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory) / "telegram-token"
        # An empty line stands for none, so that the service starts before it has one.
        if credential.is_file() and credential.stat().st_size > len("\n"):
            return _read_secret("the credential telegram-token", credential)
    if not telegram.token_file:
        return None
    path = expanded("notify.telegram.token_file", telegram.token_file)
    if not _is_file(path):
        raise NoTokenFile(
            f"notify.telegram.token_file is {shortened(str(path))}, which is no file. "
            "Run `beepwatch telegram pair`, or set the path of a file that holds the token."
        )
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigurationError(
            f"notify.telegram.token_file {path} has mode {mode:04o}, so others can read it. "
            f"Run: chmod 600 {path}"
        )
    return _read_secret("notify.telegram.token_file", path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _read_secret(name: str, path: Path) -> Secret:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except PermissionError:
        raise ConfigurationError(
            f"{name} is {path}, which is not yours to read. "
            "Run it with sudo if it is the service's."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(
            f"{name} is {path}, which cannot be read: {reason}. Write the bot's token into it."
        ) from None
    if not text:
        raise ConfigurationError(f"{name} is {path}, which is empty. Write the token into it.")
    return Secret(text)


def source_kind(source: str) -> tuple[Literal["microphone", "file", "stream", "stdin"], str]:
    """What `capture.source` names: its kind, and the name, path or URL that goes with it.

    Raises ConfigurationError for a text that is none of the known forms.
    """
    kind, colon, rest = source.partition(":")
    rest = rest.strip()
    match kind.strip().lower():
        case "microphone" if rest or not colon:
            return "microphone", rest
        case "file" if rest:
            return "file", str(expanded("capture.source", rest))
        case "stream" if rest:
            stream_address(rest)
            return "stream", rest
        case "stdin" if not colon:
            return "stdin", ""
    # What was written may be a URL with a password in it.
    shown = kind if colon and "//" in rest else source
    raise ConfigurationError(
        f"capture.source is {shortened(repr(shown))}; write microphone, "
        "microphone:PART-OF-NAME, file:PATH, stream:URL or stdin."
    )


# The threads of numpy's BLAS spin as they start, 60 ms of a core, and have nothing to do here.
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "1")


def tell_libraries(variable: str, value: str) -> None:
    """Set what C libraries of this process read from the environment, unless the user has."""
    os.environ.setdefault(variable, value)


def environment_of_children() -> dict[str, str]:
    """Without the token: it comes to whom it concerns another way, and ffmpeg inherits the rest."""
    return {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}


def forget_the_token() -> None:
    """For a verb that has read it: what a library starts for it gets the rest only."""
    os.environ.pop(TOKEN_VARIABLE, None)


def sound_server_sockets(environment: Mapping[str, str] | None = None) -> list[Path]:
    """Where PulseAudio, or PipeWire in its place, is reached; whether or not it is there."""
    environment = os.environ if environment is None else environment
    if named := environment.get("PULSE_SERVER"):
        path = named.removeprefix("unix:")
        return [Path(path)] if path.startswith("/") else []
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return [Path(runtime) / "pulse" / "native", Path("/run/pulse/native")]


def service_manager(environment: Mapping[str, str] | None = None) -> tuple[str, float | None]:
    """systemd's notification socket ("" without systemd) and its watchdog time in seconds."""
    environment = os.environ if environment is None else environment
    watchdog_us = environment.get("WATCHDOG_USEC", "")
    watchdog_s = int(watchdog_us) / 1e6 if watchdog_us.isdecimal() else None
    return environment.get("NOTIFY_SOCKET", ""), watchdog_s


def is_journal(descriptor: int, environment: Mapping[str, str] | None = None) -> bool:
    """Whether systemd's journal gets what is written there (JOURNAL_STREAM in systemd.exec(5))."""
    environment = os.environ if environment is None else environment
    try:
        status = os.fstat(descriptor)
    except OSError:  # closed
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def display_values(loaded: Loaded) -> list[tuple[str, str, str]]:
    """Every key with its value in one line and where it comes from; no secrets."""
    values = msgspec.to_builtins(loaded.config)
    rows = []
    for key in _dotted_keys(values):
        origin = loaded.origins.get(key) or "default"
        shown = without_secrets(msgspec.json.encode(_get(values, key)).decode())
        rows.append((key, shown, origin))
    return rows


def _existing_file(environment: Mapping[str, str]) -> Path | None:
    if named := environment.get(CONFIG_VARIABLE):
        return expanded(CONFIG_VARIABLE, named)
    for file in (default_file(environment), SYSTEM_FILE):
        try:
            if file.is_file():
                return file
        except PermissionError:  # its directory is not to be looked into; who reads it says so
            return file
    return None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with file.open(encoding="utf-8-sig") as opened:  # some editors mark UTF-8
            text = opened.read(_MOST_CHARACTERS + 1)
        if len(text) > _MOST_CHARACTERS:
            raise ConfigurationError(
                f"the configuration file {file} has more than {_MOST_CHARACTERS:,} characters, so "
                "it is none. Give another with --config."
            )
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigurationError(
            f"the configuration file {file} does not exist. Give an existing one with --config, "
            f"or leave it out: every key has a default."
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the configuration file {file} is not UTF-8 text. Write it as TOML."
        ) from None
    except (ValueError, RecursionError) as error:  # of a number, of a date, of deep nesting too
        reason = shortened(str(error))
        raise ConfigurationError(f"{file} is not valid TOML: {reason}. Mend that line.") from None
    except OSError as error:
        todo = "Give one that you may read with --config."
        if file == SYSTEM_FILE:
            own = default_file()
            todo = f"It is the service's: run it with sudo, or write one of your own, {own}."
        raise ConfigurationError(
            f"the configuration file {file} cannot be read: {error.strerror}. {todo}"
        ) from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """BEEPWATCH_SECTION__KEY=value, the value as TOML where it parses as such, else as text."""
    found = {}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        if _NOT_TEXT.search(text):
            raise ConfigurationError(f"{variable} is no UTF-8 text on one line. Set it again.")
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            value = text
        found[key] = (value, variable)
    return found


def _put(values: dict[str, Any], key: str, value: Any, origin: str) -> None:  # noqa: ANN401 - TOML
    *tables, name = key.split(".")
    table = values
    for part in tables:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigurationError(
                f"{origin} sets {key}, but {part} is not a table. "
                "Lists such as [[rules]] are set in the file."
            )
    table[name] = value


def _get(values: Any, key: str) -> Any:  # noqa: ANN401 - a value of any TOML type
    for part in key.split("."):
        values = values[part]
    return values


def _dotted_keys(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            keys += _dotted_keys(value, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def _check_characters(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """No path and no name has a line's end or a NUL in it."""
    for key in _dotted_keys(values):
        value = _get(values, key)
        if isinstance(value, str) and _NOT_TEXT.search(value):
            raise ConfigurationError(
                f"{origins.get(key, 'configuration')}: {key} is "
                f"{shortened(repr(value))}, with what is no character of a line. "
                "Write it again."
            )


def _check_relations(config: Config, origins: Mapping[str, str], file: Path | None) -> None:
    """What is wrong though each value is of the right kind."""
    checks: dict[str, Callable[[], object]] = {
        "capture.hop_s": lambda: _check_hop(config.capture),
        "notify.telegram.token_file": lambda: _check_token_file(config.notify.telegram),
        "notify.telegram.base_url": lambda: _check_base_url(config.notify.telegram),
        "store.directory": lambda: config.store.path,
        "capture.source": lambda: source_kind(config.capture.source),
        "teaching.nightly": config.teaching.nightly_at,
        "machines.quiet_hours": config.machines.quiet_from_to,
        "rules": lambda: _check_rules(config.rules),
    }
    for key, check in checks.items():
        try:
            check()
        except ConfigurationError as error:
            where = origins.get(key) or file or "configuration"
            raise ConfigurationError(f"{where}: {error}") from None


def _check_hop(capture: Capture) -> None:
    if capture.hop_s > capture.window_s:
        raise ConfigurationError(
            f"capture.hop_s is {capture.hop_s} and capture.window_s is "
            f"{capture.window_s}, so sound between windows would be lost. "
            "Set hop_s to at most window_s."
        )


def _check_token_file(telegram: Telegram) -> None:
    if BOT_TOKEN.search(telegram.token_file):
        raise ConfigurationError(
            "notify.telegram.token_file holds the token itself. Write the token into a "
            "file of mode 0600 and set that file's path, or run `beepwatch telegram pair`."
        )


def _check_base_url(telegram: Telegram) -> None:
    """The token is put behind it: without a path it would be part of host or port."""
    try:
        parts = urlsplit(telegram.base_url)
        usable = parts.hostname and parts.path and not parts.query and not parts.fragment
        _ = parts.port  # which is read only now
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("https", "http"):
        raise ConfigurationError(
            "notify.telegram.base_url is no address with a path. Write it as https://HOST/bot, "
            "or leave it out."
        )


def _check_rules(rules: Iterable[Rule]) -> None:
    for rule in rules:
        rule.quiet_from_to()
        if _NOT_TEXT.search(rule.text):
            raise ConfigurationError(
                f"rules.text is {shortened(repr(rule.text))}, with what is no character of a line. "
                "Write it again."
            )
