"""From files to a taught sound on the shelf, and to what a person is told of it."""

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.classify import examples as recordings
from beepwatch.classify.bundle import Bundle
from beepwatch.classify.engines import Engine
from beepwatch.classify.heads import Head, name_problem
from beepwatch.classify.parcels import Parcel
from beepwatch.classify.shelf import Shelf
from beepwatch.errors import BeepwatchError, ConfigurationError, ModelError
from beepwatch.train.teaching.disguise import Sound
from beepwatch.train.teaching.examples import Example, NoBeepFound, find_example
from beepwatch.train.teaching.fitting import MOST_EXAMPLES, Shelved, Taught, taken_for, teach
from beepwatch.train.teaching.negatives import Bank, read_bank
from beepwatch.wording import counted

ROOM_S = 60.0
FULL_SCALE = np.float32(32_768)
Say = Callable[[str], None]


class School:
    """The shipped network, what is taught already, and the room: where lessons are given."""

    def __init__(self, bundle: Bundle, engine: Engine, shelf: Shelf, say: Say) -> None:
        self.engine = engine
        self._bundle = bundle
        self._shelf = shelf
        self._say = say

    def check_name(self, name: str) -> None:
        """Raises ConfigurationError for what can be no taught sound's name."""
        problem = name_problem(name)
        if problem is None and name in self.engine.labels:
            problem = f"the name {name!r} is a label of the model in use"
        if problem:
            raise ConfigurationError(f"{problem}. Give another, for example: washer.")

    def learn(self, name: str, examples: Sequence[Example], now: datetime) -> Taught:
        """Teach a sound and put it on the shelf.

        What is there already and might be taken for it is taught again, with it as what it is not.
        Raises ConfigurationError and NoBeepFound; nothing has changed then.
        """
        self.check_name(name)
        check_count(name, len(examples))
        while True:
            there = self._shelf.digests()
            taught, again = self._compared(name, examples)
            if self._shelf.digests() == there:  # or somebody has taught something meanwhile
                break
        self._shelf.put(taught.head, now, [example.pcm for example in taught.examples])
        self._put_again(again, name, now)
        return taught

    def take_in(self, parcel: Parcel, now: datetime) -> Head:
        """Put a sound on the shelf that somebody else has taught the same network.

        As it is, unless it would take for its own what is there already: then it is taught anew
        from its examples. What would take it is taught again, as by `learn`. Raises as that does,
        and ModelError for examples that are damaged; nothing has changed then.
        """
        name = parcel.head.name
        newcomer = Shelved(name=name, examples=tuple(self._unpacked(parcel)))
        while True:
            there = self._shelf.digests()
            others = self.others(name)
            taken = [one.name for one in others if taken_for(parcel.head, one, self.engine)]
            if taken:
                head = self.learn(name, newcomer.examples, now).head
                self._say(f"{name} was taught again, to tell it from {' and '.join(taken)}.")
                return head
            again = self._told_from(newcomer, others, self.bank(), self.room())
            if self._shelf.digests() == there:
                break
        self._shelf.put_files(parcel.head, now, parcel.files)
        self._put_again(again, name, now)
        return parcel.head

    def taught_anew(self, parcel: Parcel, now: datetime) -> Head:
        """Teach what somebody else has taught another network. Raises as `take_in` does."""
        return self.learn(parcel.head.name, self._unpacked(parcel), now).head

    def _unpacked(self, parcel: Parcel) -> list[Example]:
        name = parcel.head.name
        found = [
            find_example(f"an example of {name}", recordings.decode(content), self.engine)
            for content in parcel.files[:MOST_EXAMPLES]
        ]
        if not found:
            raise NoBeepFound(f"{name} came without examples.")
        return without_copies(found)

    def _compared(self, name: str, examples: Sequence[Example]) -> tuple[Taught, list[Head]]:
        """The sound, and the other heads that have to be others for it."""
        bank, room = self.bank(), self.room()
        others = self.others(name)
        taught = teach(name, examples, self.engine, bank=bank, others=others, room=room)
        # A recording of something else among them holds nothing at the pitch that they share.
        sounding = tuple(one for one in taught.examples if one.sounding.any())
        newcomer = Shelved(name=name, examples=sounding)
        return taught, self._told_from(newcomer, others, bank, room)

    def _told_from(
        self, newcomer: Shelved, others: Sequence[Shelved], bank: Bank | None, room: Sound | None
    ) -> list[Head]:
        """Other heads for those of the others that would take a newcomer for their own."""
        again: list[Head] = []
        for other in others:
            if taken_for(self._shelf.head(other.name), newcomer, self.engine):
                rest = [*(one for one in others if one.name != other.name), newcomer]
                once_more = teach(
                    other.name, other.examples, self.engine, bank=bank, others=rest, room=room
                )
                again.append(once_more.head)
        return again

    def _put_again(self, again: Sequence[Head], name: str, now: datetime) -> None:
        for head in again:
            self._shelf.put(head, now)
            self._say(f"{head.name} was taught again, to tell it from {name}.")

    def room(self) -> Sound | None:
        """The room's own background, if it was recorded and can be used."""
        if not self._shelf.room.is_file():
            return None
        try:
            return sound_of(recordings.read(self._shelf.room))
        except ModelError as error:
            self._say(
                f"{self._shelf.room} is not used: {error} Or record the room again, with --room."
            )
            return None

    def put_room(self, pcm: NDArray[np.int16]) -> None:
        """Keep a minute of the room's own background."""
        self._shelf.put_room(pcm[: round(ROOM_S * self.engine.rate_hz)])

    def put_room_file(self, file: Path) -> None:
        """The same from a recording's first minute. Raises UnreadableAudio, ConfigurationError."""
        most = round(ROOM_S * self.engine.rate_hz)
        pcm = np.zeros(0, np.int16)
        with contextlib.closing(decode(file, self.engine.rate_hz)) as blocks:
            for block in blocks:
                pcm = np.concatenate([pcm, block])[:most]
                if len(pcm) == most:
                    break
        if not pcm.any():
            raise ConfigurationError(f"--room {file} is digital silence. Record the room again.")
        self.put_room(pcm)

    def bank(self) -> Bank | None:
        """The shipped hard negatives of the network in use, if there are any."""
        bank = read_bank(self._bundle.directory, self.engine.model_id)
        if bank is None:
            self._say(
                f"{self._bundle.directory} has no bank of negatives for this model: "
                "how many false alarms to expect cannot be told."
            )
        return bank

    def others(self, name: str) -> list[Shelved]:
        """What else is taught for this network."""
        found: list[Shelved] = []
        for other in self._shelf.digests():
            if other == name:
                continue
            try:
                head = self._shelf.head(other)
                if head.kind == "veto" or head.model_id != self.engine.model_id:
                    continue
                usable = self.examples(other)
            except BeepwatchError as error:
                self._say(f"{other} was not compared with: {error}")
                continue
            if usable:
                found.append(Shelved(name=other, examples=tuple(usable)))
            else:
                self._say(f"{other} was not compared with: it has no examples left.")
        return found

    def kept(self, name: str) -> list[Example]:
        """The examples of before, to teach it again from. Raises ConfigurationError if none are."""
        if name not in self._shelf.digests():
            raise ConfigurationError(
                f"there is nothing to teach {name} from. Give 1 to {MOST_EXAMPLES} recordings, "
                "best 3, or --listen."
            )
        is_veto = False
        with contextlib.suppress(ModelError):  # one whose head is damaged can be taught again
            is_veto = self._shelf.head(name).kind == "veto"
        if is_veto:
            raise ConfigurationError(
                f"{name} silences what you called wrong. To make it anew: "
                "beepwatch teach --from-feedback."
            )
        if found := self.examples(name):
            return found
        raise ConfigurationError(
            f"{name} has no examples left to teach it again from. Give 1 to {MOST_EXAMPLES} "
            "recordings, best 3, or --listen."
        )

    def examples(self, name: str) -> list[Example]:
        """What a taught sound was made from. Raises ModelError and NoBeepFound."""
        files = self._shelf.examples(name)
        return [find_example(name, recordings.read(one), self.engine) for one in files]


def check_count(name: str, count: int) -> None:
    """Raises ConfigurationError for no example, or for more than are of use."""
    if not 1 <= count <= MOST_EXAMPLES:
        raise ConfigurationError(
            f"{count} examples of {name!r} were given; give 1 to {MOST_EXAMPLES}, best 3."
        )


def without_copies(examples: Sequence[Example]) -> list[Example]:
    """Each recording once: a head that was made of its twin would be sure to hear it."""
    found: dict[bytes, Example] = {}
    for example in examples:
        found.setdefault(example.pcm.tobytes(), example)
    return list(found.values())


def sound_of(pcm: NDArray[np.int16]) -> Sound:
    """A kept recording with full scale 1."""
    return np.asarray(pcm / FULL_SCALE, dtype=np.float32)


def report(head: Head) -> list[str]:
    """What to expect of a head, in plain words."""
    expected = head.expected
    nearest = f"nearest confusion: {expected.nearest}; " if expected.nearest else ""
    caught = f"would have caught {expected.caught} of {expected.examples}"
    lines = [f"{head.name}: {caught}; {nearest}expected false alarms: {expected.alarms}."]
    if expected.advice:
        lines.append(f"To make it better: {expected.advice}.")
        lines.append(f"To take it away: beepwatch teach --remove {head.name}.")
    elif expected.examples == 1:
        lines.append("To make it better: give 3 recordings, so that each is tried by the others.")
    return lines


def found_line(example: Example, frame_s: float) -> str:
    """What was taken from a recording."""
    spans = example.spans_s(frame_s)
    total_s = sum(end_s - start_s for start_s, end_s in spans)
    by = "" if example.by_network else ", the loudest that holds a pitch"
    return f"{example.text}: {counted(len(spans), 'beep')}, {total_s:.2f} s of sound{by}"
