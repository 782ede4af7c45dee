"""What people may write to the bot, and what it means. Pure."""

import enum
import re

import msgspec

_WORD = re.compile(r"^/(\w+)(?:@\w+)?$")
_PART = re.compile(r"(\d+(?:[.,]\d+)?)\s*([a-zäöü]*)")
_UNITS_S = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_LONGEST_S = 7 * 86_400.0


class Command(enum.StrEnum):
    """By the word that is typed."""

    STATUS = "status"
    LAST = "last"
    LISTEN = "listen"
    MUTE = "mute"
    UNMUTE = "unmute"
    WATCH = "watch"
    HELP = "help"


#: As Telegram lists them while somebody types.
DESCRIPTIONS = {
    Command.STATUS: "how it stands: level, queue, disk, model, machines",
    Command.LAST: "what was heard last, with its sound",
    Command.LISTEN: "let me hear the room: /listen 10",
    Command.MUTE: "be quiet here for a while: /mute 2h",
    Command.UNMUTE: "tell all again",
    Command.WATCH: "tell me if nothing is heard: /watch 150m",
    Command.HELP: "this list",
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was understood."""

    command: Command
    length_s: float = 0.0  # of listen, mute and watch; a watch of 0 is called off


class _Length(msgspec.Struct, frozen=True, kw_only=True):
    """What a command takes: how much, in what if nothing is said, and an example."""

    shortest_s: float
    longest_s: float
    unit_s: float
    default_s: float | None
    usage: str


_LENGTHS = {
    Command.LISTEN: _Length(
        shortest_s=1,
        longest_s=30,
        unit_s=1,
        default_s=10,
        usage="/listen takes 1 to 30 seconds, for example /listen 10",
    ),
    Command.MUTE: _Length(
        shortest_s=60,
        longest_s=_LONGEST_S,
        unit_s=60,
        default_s=3_600,
        usage="/mute takes a time from 1m to 7d, for example /mute 2h",
    ),
    Command.WATCH: _Length(
        shortest_s=60,
        longest_s=_LONGEST_S,
        unit_s=60,
        default_s=None,
        usage="/watch takes a time from 1m to 7d, for example /watch 150m, or /watch off",
    ),
}


def understood(text: str) -> Asked | str:
    """What is asked for, or a line that says how to ask. What is no command asks how it stands."""
    first, *rest = text.lower().split() or [""]
    if not first.startswith("/"):
        return Asked(command=Command.STATUS)
    match = _WORD.match(first)
    word = "help" if match and match[1] == "start" else match and match[1]
    if word not in [command.value for command in Command]:
        return f"I do not know {first[:32]}. /help lists what I know"
    return _with_length(Command(word), " ".join(rest))


def help_text() -> str:
    """Every command with its description."""
    return "\n".join(f"/{command} - {text}" for command, text in DESCRIPTIONS.items())


def _with_length(command: Command, text: str) -> Asked | str:
    takes = _LENGTHS.get(command)
    if takes is None:
        return Asked(command=command)
    if command is Command.WATCH and text in ("off", "0"):
        return Asked(command=command)
    length_s = _seconds(text, takes.unit_s) if text else takes.default_s
    if length_s is None or not takes.shortest_s <= length_s <= takes.longest_s:
        return takes.usage
    return Asked(command=command, length_s=length_s)


def _seconds(text: str, unit_s: float) -> float | None:
    """ "2h", "90 min", "1h30m", or a bare number of `unit_s`; None for anything else."""
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        return None
    total_s = 0.0
    for number, unit in parts:
        if unit and unit not in _UNITS_S:
            return None
        total_s += float(number.replace(",", ".")) * (_UNITS_S[unit] if unit else unit_s)
    return total_s
