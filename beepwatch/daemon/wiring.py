"""What the supervisor is made of, and what a configuration makes of its parts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from beepwatch.daemon.child import Child


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor itself is configured by."""

    queue_windows: int
    patient: bool  # the source can be made to wait, so that nothing is dropped
    resumable: bool  # a recording: what was heard of it can be passed over
    notices: bool  # tell of start and stop


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration as the daemon carries it out: each child's settings by its name."""

    terms: Terms
    settings: Mapping[str, Any]


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor is made of."""

    recorder: Child
    classifier: Child
    messenger: Child
    terms: Terms
    state: Path  # the state directory
    reload: Callable[[], Plan | str] | None = None  # a plan, or why there is none
    shelf_changed: Callable[[float], bool] | None = None  # asks for it; takes monotonic time
    home: Callable[[], bool] | None = None  # whether a state in memory can move to its disk
    held_back: Callable[[], bool] | None = None  # whether it can once somebody starts us anew
    remark: str = ""  # of the disk, for the service manager
    again: bool = False  # it has said before that it listens
