"""What a listener counts, for heartbeats and for who asks how it went."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """What has come, what was let through and what was lost since listening began."""

    windows: int = 0  # quiet ones not included
    quiet_windows: int = 0
    early_windows: int = 0  # beginnings of windows that came before the whole
    overflows: int = 0
    lost_samples: int = 0  # at the source's rate
    dropped_blocks: int = 0
    openings: int = 0  # that gave samples
    faults: int = 0

    def as_dict(self) -> dict[str, int]:
        """For a heartbeat."""
        return {name: getattr(self, name) for name in self.__slots__}
