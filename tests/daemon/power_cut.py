"""A writer and a sender on one state directory, forked anew at each word from standard input.

`python -m tests.daemon.power_cut STATE BASE_URL`. Each line "begin N" starts a process group whose
id is answered ("group G"). Its writer writes notes as the classifier does, as fast as the disk
allows but for a breath, and tells of each that was written ("wrote LABEL"); its sender is the
messenger's dispatcher. They run until the group is killed, which is answered ("gone").
"""

import asyncio
import os
import sys
import threading
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from beepwatch.clock import SystemClock
from beepwatch.daemon.pipeline import Note
from beepwatch.daemon.writing import NoteWriter
from beepwatch.logs import LogSettings, configure_logging
from beepwatch.messages import Alert, AlertKind, Clip, Event
from beepwatch.notify.clips import as_wav
from beepwatch.notify.dispatcher import Dispatcher
from beepwatch.notify.telegram import TelegramChannel
from beepwatch.secrecy import Secret
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.bot_api import TOKEN

CHAT = 7
CHANNEL = f"telegram:{CHAT}"
BREATH_S = 0.12
RATE_HZ = 8_000
START = datetime(2026, 3, 1, tzinfo=UTC)  # part of what an episode is known by


def label(round_number: int, number: int) -> str:
    """Of one episode, found again in the caption that tells of it."""
    return f"beep-{round_number}-{number}."


def write_for_ever(state: Path, round_number: int) -> None:
    """The classifier's part: an alert with its clip, then the final event with a longer one."""
    writer = NoteWriter(Outbox(Database(state)), (CHANNEL,))
    for number in count():
        name = label(round_number, number)
        for final in (False, True):
            writer.write([note(name, final=final)])
        os.write(1, f"wrote {name}\n".encode())
        threading.Event().wait(BREATH_S)


def note(name: str, *, final: bool) -> Note:
    """What is written of one episode at its start, and at its end."""
    now = SystemClock().utc()
    pulses = 3 if final else 1
    event = Event(
        label=name,
        onset=now,
        offset=now + timedelta(seconds=pulses),
        pulses=pulses,
        peak_score=0.9,
        model_id="m",
        final=final,
    )
    alert = Alert(kind=AlertKind.HEARD, text=name, created_at=now, due_at=now, dedupe_key=name)
    return Note(
        event=event,
        episode=(name, START),
        clip=Clip(pcm=bytes(RATE_HZ * pulses), rate_hz=RATE_HZ, started_at=now),
        alert=None if final else alert,
    )


async def send_until(state: Path, base_url: str, stop: asyncio.Event) -> None:
    """The messenger's part."""
    database = Database(state)
    dispatcher = Dispatcher(
        Outbox(database),
        Library(database),
        [TelegramChannel(Secret(TOKEN), CHAT, base_url)],
        clock=SystemClock(),
        encode=as_wav,
        room="",
        report=lambda *_fault: None,
        beat=lambda: None,
    )
    running = asyncio.create_task(dispatcher.run(stop))
    try:
        while not running.done() and not stop.is_set():
            dispatcher.poke()
            await asyncio.sleep(BREATH_S)
        await running
    finally:
        database.close()


def main(state: Path, base_url: str) -> None:
    """Fork a group at each word; nothing is open before the fork."""
    configure_logging(LogSettings(level="critical"))
    for line in sys.stdin:
        number = int(line.split()[1])
        writer = os.fork()
        if writer == 0:
            os.setpgid(0, 0)
            write_for_ever(state, number)
        os.setpgid(writer, writer)
        sender = os.fork()
        if sender == 0:
            os.setpgid(0, writer)
            asyncio.run(send_until(state, base_url, asyncio.Event()))
        os.setpgid(sender, writer)
        os.write(1, f"group {writer}\n".encode())
        for pid in (writer, sender):
            os.waitpid(pid, 0)
        os.write(1, b"gone\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
