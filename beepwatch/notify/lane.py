"""One channel's loop: deliver what is due, in order; bring sent messages up to date; wait."""

import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial
from itertools import takewhile
from typing import TypeVar

import msgspec
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from beepwatch.clock import Clock
from beepwatch.messages import Delivery, Fault, FaultKind
from beepwatch.notify.backoff import Backoff, Waits, is_given_up
from beepwatch.notify.channels import (
    CannotEdit,
    Channel,
    NotSent,
    Refused,
    RetryAfter,
    Shut,
    Unreachable,
)
from beepwatch.notify.composing import Composer
from beepwatch.notify.marks import Marks
from beepwatch.notify.pause import Pause, Stopped
from beepwatch.notify.ports import OutboxReader
from beepwatch.notify.shelf import Shelf

_Result = TypeVar("_Result")
_log = structlog.get_logger()
_SHORTEST_IDLE_S = 0.01  # so that no disagreement about what is due can spin
_WORTH_ANOTHER_TRY = (Unreachable, RetryAfter, Shut)
_SHUT = "shut: "  # before the error of a delivery, so that a restart does not tell it again
_IN_DIGEST = "digest:"  # before the reference of a message that tells of several alerts
_MOST_LATE = 200  # looked at together: more than one message holds


class Counts:
    """What the messenger did, for the heartbeat and `/metrics`."""

    def __init__(self) -> None:
        self.sent = self.edited = self.failed = self.refused = self.expired = 0
        self.digests = 0  # messages that told of several alerts, which `sent` counts one by one
        self.in_doubt = 0  # failed, but perhaps taken: so many messages may have come twice
        self.edits_given_up = self.store_errors = self.channel_bugs = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return dict(vars(self))


class Lane:
    """Serves one channel; see `Dispatcher` for what it is given."""

    def __init__(
        self,
        channel: Channel,
        outbox: OutboxReader,
        shelf: Shelf,
        *,
        clock: Clock,
        room: str,
        zone: tzinfo | None,
        waits: Waits,
        counts: Counts,
        report: Callable[[str, Fault], None],
    ) -> None:
        self._channel = channel
        self._outbox = outbox
        self._clock = clock
        self._waits = waits
        self._counts = counts
        self._report = report
        self._fault: Fault | None = None
        self._edit_attempts: dict[int, int] = {}
        self._cut_short = True
        self._digest_characters = channel.digest_characters
        self._more_follow = False  # the last list was not the whole one
        self.pause = Pause()
        self._marks = Marks(waits, counts, self.pause)
        self._composer = Composer(channel.name, outbox, self._marks, shelf, room=room, zone=zone)

    async def run(self) -> None:
        """Until the pause is stopped."""
        try:
            await self._channel.open()
            while True:
                await self._turn()
        except Stopped:
            _log.debug("lane_stopped", channel=self._channel.name)
        finally:
            self._marks.catch_up()
            await self._channel.close()

    async def _turn(self) -> None:
        self.pause.raise_if_stopped()
        name, now = self._channel.name, self._clock.utc()
        if not self._marks.catch_up():
            await self._turn_without_marks()
        elif delivery := await self._marks.ask(lambda: self._outbox.due(name, now)):
            await self._deliver(delivery)
        elif stale := await self._marks.ask(lambda: self._outbox.edit_due(name, now)):
            await self._edit(stale)
        else:
            next_at = await self._marks.ask(lambda: self._outbox.next_due_at(name, now))
            wait_s = self._waits.longest_idle_s
            if next_at is not None:
                wait_s = min(wait_s, max(_SHORTEST_IDLE_S, (next_at - now).total_seconds()))
            await self.pause.wait(wait_s)

    async def _turn_without_marks(self) -> None:
        """On a disk that takes nothing: what the outbox does not know to be over is not told twice,
        and nothing is edited, which would be done again and again.
        """
        pending = await self._pending()
        if pending:
            await self._deliver(pending[0])
        else:
            await self.pause.wait(self._waits.locked_s)

    async def _pending(self) -> list[Delivery]:
        """What is to be told now, oldest first, whether or not its next try is due."""
        name, now = self._channel.name, self._clock.utc()
        listed = await self._marks.ask(lambda: self._outbox.tellable(name, now, _MOST_LATE))
        settled = self._marks.settled
        return [one for one in listed if one.id not in settled]

    async def _deliver(self, delivery: Delivery) -> None:
        """Send, retrying until it is taken, refused or expired; raises Stopped in between."""
        taken = self._clock.utc() - timedelta(seconds=self._clock.mono_s())
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_WORTH_ANOTHER_TRY),
            wait=Backoff(self._waits, delivery.attempts),
            stop=lambda state: self._is_given_up(delivery, taken, state),
            before_sleep=partial(self._record_failure, delivery),  # tenacity awaits no lambda
            sleep=self._wait_for_retry,
            reraise=True,
        )
        try:
            await retrying(self._send_due, delivery)
        except Refused as error:
            await self._record_refusal(delivery, str(error))
        except _WORTH_ANOTHER_TRY as error:
            await self._record_end(delivery, taken, str(error))

    async def _send_due(self, head: Delivery) -> None:
        """The oldest alert, or all that are late by now in one message."""
        if late := await self._late():
            try:
                await self._send_together(late)
            except Refused as error:
                self._digest_characters = 0  # of no use here: each on its own, as if few were late
                _log.error("digest_refused", channel=self._channel.name, error=str(error))
            else:
                self._clear_fault(head)
                return
        await self._send_alone(head)
        self._clear_fault(head)

    async def _late(self) -> Sequence[Delivery]:
        """The alerts, from the oldest on, that nobody wants in full any more.

        Empty unless more than a few are late; the newest of all is never among them.
        """
        if not self._digest_characters:
            return ()
        pending = await self._pending()
        late_before = self._clock.utc() - timedelta(seconds=self._waits.late_after_s)
        late = list(takewhile(lambda one: one.alert.due_at <= late_before, pending))
        few = 0 if self._more_follow else self._waits.few_late
        return late[: len(pending) - 1] if len(late) > few else ()

    async def _send_together(self, late: Sequence[Delivery]) -> None:
        message, count = await self._composer.together(late, self._digest_characters)
        told = late[:count]
        reference = f"{_IN_DIGEST}{await self._guarded(lambda: self._channel.send(message)) or ''}"
        self._counts.sent += count
        self._counts.digests += 1
        self._more_follow = count < len(late)
        sent_at = self._clock.utc()
        _log.info("digest_sent", channel=self._channel.name, alerts=count)
        await self._marks.write(
            lambda: self._outbox.sent_together(told, reference=reference, sent_at=sent_at),
            [one.id for one in told],
        )

    async def _send_alone(self, delivery: Delivery) -> None:
        message = await self._composer.alone(delivery)
        reference = await self._guarded(lambda: self._channel.send(message))
        self._counts.sent += 1
        sent_at = self._clock.utc()
        _log.info("alert_sent", channel=self._channel.name, alert=delivery.alert.id)
        await self._marks.write(
            lambda: self._outbox.sent(
                delivery.id, reference=reference, revision=delivery.revision, sent_at=sent_at
            ),
            [delivery.id],
        )

    async def _record_failure(self, delivery: Delivery, state: RetryCallState) -> None:
        self._counts.failed += 1
        cause = state.outcome.exception() if state.outcome else None
        error = f"{_SHUT}{cause}" if isinstance(cause, Shut) else str(cause)
        wait_s = state.next_action.sleep if state.next_action else 0.0
        now = self._clock.utc()
        in_doubt = isinstance(cause, Unreachable) and cause.in_doubt
        self._counts.in_doubt += in_doubt
        _log.log(
            logging.DEBUG if isinstance(cause, Shut) else logging.WARNING,  # said once, below
            "alert_not_sent",
            channel=self._channel.name,
            alert=delivery.alert.id,
            error=error,
            in_doubt=in_doubt,
            attempts=delivery.attempts + state.attempt_number,
            next_try_in_s=round(wait_s, 1),
        )
        if isinstance(cause, Shut):
            self._note_shut(cause, known=delivery.last_error == error)
        await self._marks.note(
            lambda: self._outbox.failed(
                delivery.id,
                error=error,
                tried_at=now,
                next_try_at=now + timedelta(seconds=wait_s),
            )
        )
        # A new alert may end a wait that nobody asked for: the network may be back.
        self._cut_short = isinstance(cause, Unreachable)

    async def _record_refusal(self, delivery: Delivery, reason: str) -> None:
        self._counts.refused += 1
        _log.error(
            "alert_refused", channel=self._channel.name, alert=delivery.alert.id, error=reason
        )
        await self._marks.write(
            lambda: self._outbox.refused(delivery.id, error=reason), [delivery.id]
        )

    async def _record_end(self, delivery: Delivery, taken: datetime, error: str) -> None:
        """It was tried for too long, and so was its channel for what is as old behind it."""
        tried_for = timedelta(seconds=self._waits.keep_trying_s)
        old = taken + timedelta(seconds=self._clock.mono_s()) - tried_for
        text = f"given up after {tried_for}: {error}"
        _log.error("alert_expired", channel=self._channel.name, alert=delivery.alert.id)

        def mark() -> None:
            self._counts.expired += self._outbox.expired(delivery.id, error=text, and_before=old)

        await self._marks.write(mark, [delivery.id])

    def _note_shut(self, cause: Shut, *, known: bool) -> None:
        """Report it once for each reason; `known`: an earlier life has done so."""
        text = f"{self._channel.name}: {cause}"
        if self._fault is not None and self._fault.text == text:
            self._fault = msgspec.structs.replace(self._fault, count=self._fault.count + 1)
            return
        self._fault = Fault(kind=FaultKind.CHANNEL, text=text, since=self._clock.utc())
        if not known:
            self._report(self._channel.name, self._fault)

    def _clear_fault(self, delivered: Delivery) -> None:
        """Report once that a channel which was shut takes messages, also after a restart."""
        if self._fault is None and not (delivered.last_error or "").startswith(_SHUT):
            return
        over = Fault(
            kind=FaultKind.CHANNEL,
            text=f"{self._channel.name} takes messages again",
            since=self._fault.since if self._fault else self._clock.utc(),
            count=self._fault.count if self._fault else 1,
            cleared=True,
        )
        self._fault = None
        self._report(self._channel.name, over)

    def _is_given_up(self, delivery: Delivery, taken: datetime, state: RetryCallState) -> bool:
        """By the monotonic clock: a wall clock that was set since makes nothing old."""
        attempts = delivery.attempts + state.attempt_number
        now = taken + timedelta(seconds=self._clock.mono_s())
        return is_given_up(delivery, attempts, now, self._waits)

    async def _edit(self, delivery: Delivery) -> None:
        """One try; a failure is written down and comes up again, after the alerts that are due."""
        message = await self._composer.alone(delivery)
        try:
            if self._channel.can_edit and not (delivery.reference or "").startswith(_IN_DIGEST):
                await self._guarded(lambda: self._channel.edit(delivery.reference, message))
                self._counts.edited += 1
        except (CannotEdit, Refused) as error:
            self._give_up_edit(delivery, str(error))
        except NotSent as error:
            if await self._edit_later(delivery, error):
                return
            self._give_up_edit(delivery, str(error))
        self._edit_attempts.pop(delivery.id, None)
        await self._marks.write(
            lambda: self._outbox.edited(delivery.id, revision=delivery.revision), ()
        )

    async def _edit_later(self, delivery: Delivery, error: NotSent) -> bool:
        """Write down the next try; False when it was tried for long enough."""
        attempts = self._edit_attempts.get(delivery.id, 0) + 1
        self._edit_attempts[delivery.id] = attempts
        now = self._clock.utc()
        if is_given_up(delivery, attempts, now, self._waits):
            return False
        self._counts.failed += 1
        wait_s = Backoff(self._waits).after_s(attempts, error)
        _log.warning("message_not_edited", channel=self._channel.name, error=str(error))
        await self._marks.note(
            lambda: self._outbox.edit_failed(
                delivery.id,
                error=str(error),
                tried_at=now,
                next_try_at=now + timedelta(seconds=wait_s),
            )
        )
        return True

    def _give_up_edit(self, delivery: Delivery, reason: str) -> None:
        self._counts.edits_given_up += 1
        _log.warning(
            "edit_given_up", channel=self._channel.name, alert=delivery.alert.id, error=reason
        )

    async def _wait_for_retry(self, wait_s: float) -> None:
        await self.pause.wait(wait_s, cut_short=self._cut_short)

    async def _guarded(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """A channel's bug is counted and retried like a dead network: the others go on."""
        try:
            return await call()
        except NotSent:
            raise
        except Exception as error:  # noqa: BLE001 - counted, logged, written down, retried
            self._counts.channel_bugs += 1
            # The type and the place, not the text: it is not known to be free of secrets.
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{frames[-1].filename}:{frames[-1].lineno}"
            kind = type(error).__name__
            _log.error("channel_bug", channel=self._channel.name, error_type=kind, where=where)
            raise Unreachable(f"unexpected {kind} at {where}") from None
