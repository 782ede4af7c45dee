"""What a server hears with: each kind is answered in a form of its own."""

from typing import Literal

import msgspec


class Sounds(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The sounds of a model, and those that were taught."""

    bundle: str
    runtime: Literal["onnx", "torch"]
    state: str  # the state directory, whose taught sounds are heard too


class Machine(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A machine that was learned: how strange it sounds, and which fault that is like."""

    name: str
    state: str  # the state directory
    enough_s: float  # of entirely strange sound, before it is unusual


class Recordings(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A network that names recordings."""

    bundle: str


Settings = Sounds | Machine | Recordings
