"""The machines that have been learned: which there are just now, and what is heard of each.

A machine that is taught, taught again or taken away while the daemon runs needs no restart. What
judges them is loaded with the first.
"""

from collections.abc import Callable
from datetime import timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from beepwatch.classify.machines import Machines
from beepwatch.clock import Clock
from beepwatch.daemon.machines.memory import FILE, read_memory, write_memory
from beepwatch.daemon.pipeline import Note
from beepwatch.daemon.watching import ShelfWatch
from beepwatch.decide.condition import MachineWatch
from beepwatch.decide.rules import end_of_quiet
from beepwatch.errors import ModelError
from beepwatch.messages import (
    Alert,
    AlertKind,
    Clip,
    Fault,
    FaultKind,
    Hum,
    MachineStanding,
    MachineStandings,
    Window,
)
from beepwatch.sections import Machines as Section

if TYPE_CHECKING:
    from beepwatch.classify.faults import Diagnostician
    from beepwatch.daemon.machines.watched import Ear, Machine, Told

KEPT_EVERY_S = 600.0  # what is known of a machine
CLIP_S = 30.0
_ID_DIGITS = 12  # of what was learned, as of a model

_log = structlog.get_logger()


class MachineRoom:
    """All machines of a state directory.

    `clip` cuts the last so many seconds of sound; `report` takes faults (a machine that cannot be
    used is one, and the others go on) and how the machines stand; `zone` is the local time of
    quiet hours. Of a `live` source what was heard of a machine outlives the process.
    """

    def __init__(
        self,
        state: Path,
        section: Section,
        clock: Clock,
        *,
        zone: tzinfo,
        live: bool,
        rate_hz: int,
        clip: Callable[[float], Clip | None],
        report: Callable[[Fault | MachineStandings], None],
    ) -> None:
        self._shelf = Machines(state)
        self._section = section
        self._clock = clock
        self._quiet = section.quiet_from_to()
        self._zone = zone
        self._live = live
        self._rate_hz = rate_hz
        self._clip = clip
        self._report = report
        self._machines: dict[str, Machine] = {}
        self._faults: dict[str, Fault] = {}  # by name
        self._digests: dict[str, str] = {}
        self._ear: Ear | None = None
        self._kept_s = clock.mono_s()
        self._news = False  # told, and not kept yet
        self._over: list[str] = []  # whose events nobody will end
        self._said = MachineStandings(machines=())
        self._changes = ShelfWatch(self._shelf)
        self._follow()

    def look(self) -> list[Note]:
        """Take up what was taught since the last look; what was told of what is gone is over."""
        if self._changes.changed(self._clock.mono_s()):
            self._follow()
        over, self._over = self._over, []
        return [Note(ends=name) for name in over]

    def hear(self, span: Window | Hum) -> list[Note]:
        """What there is to tell after a piece of sound."""
        if self._ear is None:
            return []
        window = self._ear.hear(span)
        if window is None:
            return []
        # Imported by now, with the first machine.
        from beepwatch.classify.portraits import portrait

        seen = portrait(window)
        length_s = span.samples / span.rate_hz
        now_s = span.started_mono_s + length_s
        at = span.started_at + timedelta(seconds=length_s)
        told = {name: one.hear(seen, now_s, at) for name, one in self._machines.items()}
        self._say()
        return [self._note(name, one) for name, one in told.items() if one is not None]

    def finish(self) -> list[Note]:
        """A recording is over, and what was unusual in it."""
        unusual = [name for name, one in self._machines.items() if one.watch.unusual]
        return [] if self._live else [Note(ends=name) for name in unusual]

    def keep(self, *, now: bool = False) -> None:
        """Write down what is known of the machines, if something was told or it is time."""
        now_s = self._clock.mono_s()
        if not self._live or not (now or self._news or now_s - self._kept_s >= KEPT_EVERY_S):
            return
        self._kept_s, self._news = now_s, False
        for name, machine in self._machines.items():
            memory = machine.watch.memory(now_s)
            write_memory(self._shelf.directory / name, machine.model_id, memory, self._clock.utc())

    def _say(self) -> None:
        """How they stand, if it is something else."""
        now_s, now = self._clock.mono_s(), self._clock.utc()
        machines = [one.standing(now_s, now) for one in self._machines.values()]
        machines += [MachineStanding(name=name, usable=False) for name in self._faults]
        standing = MachineStandings(machines=tuple(sorted(machines, key=lambda one: one.name)))
        if standing != self._said:
            self._said = standing
            self._report(standing)

    def _note(self, name: str, told: "Told") -> Note:
        self._news = True
        alert = self._held_back(told.alert)
        clip = self._clip(CLIP_S)
        if told.event is None or told.change is None or clip is None:
            ends = name if alert.kind is AlertKind.RECOVERED else None
            return Note(alert=alert, event=told.event, ends=ends)
        # Needed once in a machine's life, with luck.
        from beepwatch.daemon.machines.picture import picture_of

        picture = picture_of(clip, told.change.db)
        return Note(alert=alert, event=told.event, clip=clip, picture=picture)

    def _held_back(self, alert: Alert) -> Alert:
        if self._quiet is None:
            return alert
        due_at = end_of_quiet(alert.due_at.astimezone(self._zone), *self._quiet)
        return msgspec.structs.replace(alert, due_at=due_at)

    # Which there are

    def _follow(self) -> None:
        digests = self._shelf.digests()
        for name in {*digests, *self._digests}:
            if digests.get(name) == self._digests.get(name):
                continue
            before = self._machines.pop(name, None)
            if before is not None or self._was_heard(name):
                self._over.append(name)
            if name not in digests:
                self._clear(name, f"the learned machine {name} was taken away")
            else:
                self._take_up(name, digests[name][:_ID_DIGITS])
        self._digests = digests
        if not self._machines:
            self._ear = None
        self._say()

    def _was_heard(self, name: str) -> bool:
        """Whether an earlier life has heard it; if nobody can tell, it may have."""
        try:
            return (self._shelf.directory / name / FILE).exists()
        except OSError:
            return True

    def _take_up(self, name: str, model_id: str) -> None:
        from beepwatch.daemon.machines.watched import Ear, Machine

        try:
            normal = self._shelf.normal(name)
            self._check_rate()
        except ModelError as error:
            self._tell(name, str(error))
            return
        self._clear(name, f"the learned machine {name} can be used again")
        watch = MachineWatch(self._section.drift, enough_s=self._section.enough_s)
        memory = None
        if self._live:
            memory = read_memory(self._shelf.directory / name, model_id, self._clock.utc())
        if memory is not None:
            watch.recall(memory, self._clock.mono_s())
        if watch.unusual and name in self._over:
            self._over.remove(name)
        self._machines[name] = Machine(normal, model_id, watch, partial(self._doctor, name))
        self._ear = self._ear or Ear()
        _log.info("machine_listened_to", machine=name, normal=model_id, goes_on=memory is not None)

    def _doctor(self, name: str) -> "Diagnostician | None":
        """Read when there is something to name, so that those learned meanwhile count."""
        from beepwatch.classify.faults import Diagnostician

        try:
            faults = self._shelf.faults(name)
        except ModelError as error:
            _log.warning("machine_faults_unusable", machine=name, error=str(error))
            return None
        return None if faults is None else Diagnostician(faults)

    def _check_rate(self) -> None:
        from beepwatch.classify.spectra import RATE_HZ

        if self._rate_hz != RATE_HZ:
            raise ModelError(
                f"machines are heard at {RATE_HZ} Hz, and model.bundle at {self._rate_hz} Hz. "
                "Take the shipped model."
            )

    def _tell(self, name: str, text: str) -> None:
        if name in self._faults and self._faults[name].text == text:
            return
        fault = Fault(kind=FaultKind.MODEL, text=text, since=self._clock.utc())
        self._faults[name] = fault
        self._report(fault)

    def _clear(self, name: str, text: str) -> None:
        fault = self._faults.pop(name, None)
        if fault is not None:
            self._report(msgspec.structs.replace(fault, text=text, cleared=True))
