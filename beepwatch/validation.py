"""Why a configuration or an argument was refused, in words that name the place and the way out."""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import inspect

from beepwatch.errors import ConfigurationError
from beepwatch.secrecy import without_secrets

_VALIDATION = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")
_PART = re.compile(r"[^.\[\]]+")  # of a dotted key: a name, or a number in a list
_UNKNOWN = re.compile(r"contains unknown field `(?P<name>[^`]*)`")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_SCHEMES = ("rtsp", "rtsps", "http", "https")
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")
_MOST_SHOWN = 200  # characters of a value that is wrong


def explain(
    text: str,
    values: Any,  # noqa: ANN401 - TOML
    *,
    origins: Mapping[str, str],
    file: Path | None,
    root: type[msgspec.Struct],
) -> str:
    """One line that names file, key, value and what is allowed, from msgspec's own words.

    `text` is msgspec's error, `values` what was to become a `root`, `origins` where each dotted
    key came from.
    """
    match = _VALIDATION.match(text)
    path = (match["path"] or "") if match else ""
    what = match["what"] if match else text
    if unknown := _UNKNOWN.search(what):
        key = f"{path}.{unknown['name']}".lstrip(".")
        return (
            f"{_origin(key, origins, file)}: unknown key {shortened(key)}."
            f"{_suggestion(root, path, unknown)}"
        )
    origin = _origin(path, origins, file)
    if missing := _MISSING.search(what):
        key = f"{path}.{missing['name']}".lstrip(".")
        return f"{origin}: {key} is missing. Give it."
    unquoted = ""
    try:
        value = values
        for part in _PART.findall(path):
            value = value[int(part)] if part.isdigit() else value[part]
        shown = f"{path} is {shortened(repr(value))}"
        unquoted = ", without quotes" if isinstance(value, str) and _NUMBER.fullmatch(value) else ""
    except (KeyError, IndexError, TypeError):
        shown = path or "the file"
    wanted = _wanted(root, path)
    said = f"; give {wanted}{unquoted}" if wanted else f": {what}"
    return f"{origin}: {shown}{said}."


def shortened(text: str) -> str:
    """On one line, not longer than a person reads, and without secrets: the beginning of one that
    is cut off would not be recognised any more.
    """
    line = " ".join(without_secrets(text).split())
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"


def made(folder: Path) -> Path:
    """The folder that `--out` names, there from now on; ConfigurationError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_be_made(folder, error.strerror) from None
    return folder


def check_can_be_made(folder: Path) -> None:
    """Before hours of work for what `--out` names: raises as `made`, and makes nothing."""
    try:
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    except OSError as error:
        raise _cannot_be_made(folder, error.strerror) from None
    if not there.is_dir():
        raise _cannot_be_made(folder, os.strerror(errno.ENOTDIR))
    if not os.access(there, os.W_OK | os.X_OK):
        raise _cannot_be_made(folder, os.strerror(errno.EACCES))


def _cannot_be_made(folder: Path, reason: str | None) -> ConfigurationError:
    return ConfigurationError(f"{folder} cannot be made: {reason}. Name another folder with --out.")


def stream_address(url: str) -> SplitResult:
    """The parts of a stream's URL. Raises ConfigurationError, which does not show its password."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _SCHEMES and parts.hostname and not _NOT_IN_A_URL.search(url)
        _ = parts.port  # which is read only now
    except ValueError as error:
        raise ConfigurationError(
            f"the address in stream:… cannot be read: {shortened(str(error))}. "
            "Write it as stream:rtsp://HOST:PORT/PATH, anything special in it as %XX."
        ) from None
    if not usable:
        raise ConfigurationError(
            f"the source stream:{shortened(parts.scheme)}… is no URL of {', '.join(_SCHEMES)}. "
            "Write it as stream:rtsp://HOST/PATH or stream:http://HOST/PATH, spaces as %20."
        )
    return parts


def _origin(key: str, origins: Mapping[str, str], file: Path | None) -> str:
    table = re.split(r"\[", key)[0]
    below = (origin for name, origin in origins.items() if name.startswith(f"{table}."))
    return (
        origins.get(key) or origins.get(table) or next(below, None) or str(file or "configuration")
    )


def _wanted(root: type[msgspec.Struct], path: str) -> str | None:
    """What may stand at `path`, in words; None where it is not one kind of thing."""
    kind: inspect.Type | None = inspect.type_info(root)
    for part in _PART.findall(path):
        kind = _below(kind, part)
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(f'"{value}"' for value in kind.values)
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        noun = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
        return " ".join([noun, *_range(kind)])
    if isinstance(kind, inspect.StrType):
        most = f" of up to {kind.max_length} characters" if kind.max_length else ""
        return f"text in quotes{most}{', not empty' if kind.min_length else ''}"
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        of_tables = isinstance(kind.item_type, inspect.StructType)
        return f"tables, each below [[{path}]]" if of_tables else "a list in [ ]"
    if isinstance(kind, inspect.StructType):
        return f"a table, its keys below [{path}]"
    return "true or false" if isinstance(kind, inspect.BoolType) else None


def _below(kind: inspect.Type | None, part: str) -> inspect.Type | None:
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        return kind.item_type
    if isinstance(kind, inspect.StructType):
        return next((field.type for field in kind.fields if field.encode_name == part), None)
    return None


def _range(kind: inspect.IntType | inspect.FloatType) -> list[str]:
    words = []
    if kind.gt is not None:
        words.append(f"above {_digits(kind.gt)}")
    if kind.ge is not None:
        words.append(f"from {_digits(kind.ge)}" + (" on" if kind.le is None else ""))
    if kind.le is not None:
        words.append(f"{'to' if kind.ge is not None else 'and up to'} {_digits(kind.le)}")
    return words


def _digits(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def _suggestion(root: type[msgspec.Struct], path: str, unknown: re.Match[str]) -> str:
    section: Any = root
    for part in re.findall(r"[a-z_]+", path):
        kind = section.__annotations__[part]
        section = get_args(kind)[0] if get_args(kind) else kind  # of a list of tables
    known = [field.name for field in msgspec.structs.fields(section)]
    # Here, as each process of the daemon loads this module and none of them asks.
    from difflib import get_close_matches

    near = get_close_matches(unknown["name"], known, n=1, cutoff=0.5)
    if near:
        return f" Did you mean {near[0]}?"
    return f" Known here: {', '.join(known)}."
