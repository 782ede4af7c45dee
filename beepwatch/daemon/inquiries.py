"""The messenger's questions to the other processes, which answer over the supervisor."""

import asyncio
import secrets
from collections.abc import Callable

from beepwatch.messages import AnyMessage, Clip, Condition, Inquiry, Listen, Piece, Taken

ANSWERS_WITHIN_S = 5.0
LISTENS_WITHIN_S = 10.0  # beyond the length of the sound: a window, a queue, a busy machine


class Inquiries:
    """One at a time of each kind; all in the loop's thread. `send` may raise SupervisorGone."""

    def __init__(self, send: Callable[[AnyMessage], None]) -> None:
        self._send = send
        self._answer: asyncio.Future[Condition] | None = None
        self._number = 0
        self._listening: int | None = None
        self._pieces: list[Piece] = []
        self._all_heard = asyncio.Event()

    @property
    def is_listening(self) -> bool:
        """Whether a `sound` is on its way."""
        return self._listening is not None

    def hears(self, message: AnyMessage) -> None:
        """What has come for us."""
        match message:
            case Condition() if message.number == self._number:
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(message)
            case Piece():
                self._send(Taken())
                if message.number == self._listening:
                    self._pieces.append(message)
                    if message.last:
                        self._all_heard.set()

    async def condition(self) -> Condition | None:
        """How the listening stands; None when the supervisor does not answer."""
        if self._answer is None or self._answer.done():
            self._answer = asyncio.get_running_loop().create_future()
            self._number += 1
            self._send(Inquiry(number=self._number))
        try:
            answer = asyncio.shield(self._answer)
            return await asyncio.wait_for(answer, ANSWERS_WITHIN_S)
        except TimeoutError:
            self._answer = None
            return None

    async def sound(self, length_s: float) -> Clip | None:
        """What the room sounds like from now on, as much of it as comes; None if nothing does."""
        self._listening = secrets.randbits(31)  # pieces for an earlier life are not for us
        self._pieces = []
        self._all_heard.clear()
        try:
            self._send(Listen(number=self._listening, length_s=length_s))
            await asyncio.wait_for(self._all_heard.wait(), length_s + LISTENS_WITHIN_S)
        except TimeoutError:
            pass  # what has come is told
        finally:
            self._listening = None
        return _joined(self._pieces)


def _joined(pieces: list[Piece]) -> Clip | None:
    if not pieces:
        return None
    first = pieces[0]
    pcm = b"".join(piece.pcm for piece in pieces if piece.rate_hz == first.rate_hz)
    return Clip(pcm=pcm, rate_hz=first.rate_hz, started_at=first.started_at)
