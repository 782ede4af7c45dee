"""A child's main in a thread of the test, and the supervisor's end of its connection."""

import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import beepwatch.daemon
from beepwatch.daemon import messenger, recorder
from beepwatch.daemon.settings import MessengerSettings, RecorderSettings
from beepwatch.errors import StoreError
from beepwatch.logs import LogSettings
from beepwatch.messages import AnyMessage, Fault, Heartbeat, Place, decode, encode
from beepwatch.secrecy import Secret
from beepwatch.sections import Capture, Console, Notify, Store, Telegram
from beepwatch.store.outbox import Outbox, Written
from tests.bot_api import BotApi

RECORDING = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
QUIET_LOGS = LogSettings(level="critical")


class Conversation:
    """A child's main in a thread, and the supervisor's end of its connection."""

    def __init__(self, main: Callable[[Connection], None]) -> None:
        self.ours, theirs = Pipe(duplex=True)
        self._theirs = theirs
        self._thread = threading.Thread(target=self._run, args=(main,))
        self._thread.start()

    def _run(self, main: Callable[[Connection], None]) -> None:
        try:
            main(self._theirs)
        finally:
            self._theirs.close()

    def say(self, *messages: AnyMessage) -> None:
        for message in messages:
            self.ours.send_bytes(encode(message))

    def hear(self) -> Iterator[AnyMessage]:
        """All messages until it hangs up."""
        try:
            while True:
                assert self.ours.poll(45), "it says nothing more"
                yield decode(self.ours.recv_bytes())
        except (EOFError, ConnectionResetError):  # reset: it left something unread
            assert self.close(), "it hung up and goes on"

    def hear_until(self, kind: type) -> list[AnyMessage]:
        heard: list[AnyMessage] = []
        for message in self.hear():
            heard.append(message)
            if isinstance(message, kind):
                break
        return heard

    def close(self) -> bool:
        """As when the supervisor dies; whether the child has ended."""
        self.ours.close()
        self._thread.join(45)
        return not self._thread.is_alive()


def without_beats(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    return [message for message in messages if not isinstance(message, Heartbeat)]


def recording(
    source: str = f"file:{RECORDING}", speed: float | str = "max", resume: Place | None = None
) -> Conversation:
    settings = RecorderSettings(
        capture=Capture(source=source),
        rate_hz=16_000,
        speed=speed,  # type: ignore[arg-type]
        logs=QUIET_LOGS,
        resume=resume,
    )
    return Conversation(lambda connection: recorder.main(connection, settings))


def messaging(
    directory: Path,
    api: BotApi | None = None,
    chat_ids: tuple[int, ...] = (7,),
    *,
    commands: bool = True,
    memo: int | None = None,
    faults: tuple[Fault, ...] = (),
) -> Conversation:
    """To the console; with a Bot API server, to chats there instead."""
    notify = Notify()
    channels: tuple[str, ...] = ("console",)
    if api is not None:
        telegram = Telegram(chat_ids=chat_ids, base_url=api.base_url, commands=commands)
        notify = Notify(console=Console(enabled=False), telegram=telegram)
        channels = tuple(f"telegram:{chat_id}" for chat_id in chat_ids)
    settings = MessengerSettings(
        notify=notify,
        store=Store(directory=str(directory), min_free_mb=0),
        token=Secret(api.token) if api else None,
        channels=channels,
        logs=QUIET_LOGS,
        memo=memo,
        faults=faults,
    )
    return Conversation(lambda connection: messenger.main(connection, settings))


class FullDisk(Outbox):
    """An outbox on a disk that may be full."""

    full = False

    def write(self, **what: object) -> Written:
        if self.full:
            raise StoreError("the disk is full. Free some.")
        return super().write(**what)  # type: ignore[arg-type]
