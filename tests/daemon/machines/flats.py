"""A flat in which machines are listened to, and what was reported and told there."""

from collections.abc import Iterable
from datetime import UTC, timedelta
from pathlib import Path

import msgspec
import numpy as np

from beepwatch.classify.machines import Machines
from beepwatch.clock import ManualClock
from beepwatch.daemon.machines.room import MachineRoom
from beepwatch.daemon.pipeline import Note
from beepwatch.messages import (
    AlertKind,
    Clip,
    Fault,
    Hum,
    MachineStanding,
    MachineStandings,
)
from beepwatch.sections import Machines as Section
from tests.daemon.loud import START


class Flat:
    """A room, its clock, and what it has reported and told."""

    def __init__(self, state: Path, *, live: bool = True, rate_hz: int = 16_000) -> None:
        self.state = state
        self.shelf = Machines(state)
        self.clock = ManualClock(START, 1_000.0)
        self.faults: list[Fault] = []
        self.stands: list[MachineStandings] = []
        self.live, self.rate_hz = live, rate_hz
        self.section = Section()
        self.room = self.enter()

    def enter(self) -> MachineRoom:
        """A new life."""
        self.room = MachineRoom(
            self.state,
            self.section,
            self.clock,
            zone=UTC,
            live=self.live,
            rate_hz=self.rate_hz,
            clip=self.clip,
            report=self.hears_of,
        )
        return self.room

    def hears_of(self, news: Fault | MachineStandings) -> None:
        if isinstance(news, Fault):
            self.faults.append(news)
        else:
            self.stands.append(news)

    @property
    def fan(self) -> MachineStanding:
        """As was said last."""
        (fan,) = self.stands[-1].machines
        return fan

    def clip(self, length_s: float) -> Clip:
        pcm = np.zeros(round(length_s * 16_000), np.int16)
        return Clip(pcm=pcm.tobytes(), rate_hz=16_000, started_at=START)

    def pass_(self, seconds: float) -> list[Note]:
        self.clock.advance(seconds)
        return self.room.look()

    def hears(self, heard: Iterable[Hum]) -> list[Note]:
        """In the clock's time."""
        notes = []
        for hum in heard:
            self.clock.advance(3.0)
            span = msgspec.structs.replace(
                hum,
                started_mono_s=self.clock.mono_s() - 3.0,
                started_at=self.clock.utc() - timedelta(seconds=3),
            )
            notes += self.room.hear(span)
            self.room.keep()
        return notes


def kinds(notes: list[Note]) -> list[AlertKind]:
    return [note.alert.kind for note in notes if note.alert is not None]
