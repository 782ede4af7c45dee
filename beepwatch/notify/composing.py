"""What a channel is sent of its deliveries: words, sound, buttons and picture as of now."""

from collections.abc import Sequence
from datetime import tzinfo

from beepwatch.messages import Alert, AlertKind, Delivery
from beepwatch.notify.buttons import rows
from beepwatch.notify.captions import caption, digest, digest_line
from beepwatch.notify.channels import Outgoing
from beepwatch.notify.marks import Marks
from beepwatch.notify.ports import OutboxReader
from beepwatch.notify.shelf import Shelf


class Composer:
    """Makes one channel's messages; waits for an outbox that does not answer, as `marks` does."""

    def __init__(
        self,
        channel: str,
        outbox: OutboxReader,
        marks: Marks,
        shelf: Shelf,
        *,
        room: str,
        zone: tzinfo | None,
    ) -> None:
        self._channel = channel
        self._outbox = outbox
        self._marks = marks
        self._shelf = shelf
        self._room = room
        self._zone = zone

    async def alone(self, delivery: Delivery) -> Outgoing:
        """The alert as it is to be told now, which is to be marked as the delivery's revision.

        That was read before the events are: what changes in between is told by an edit too many
        rather than one too few.
        """
        alert = delivery.alert
        sound = None
        if alert.event_id is not None and alert.kind is not AlertKind.RECOVERED:
            sound = await self._shelf.sound(alert.event_id)
        alert_id = alert.id or 0
        events = await self._marks.ask(lambda: self._outbox.events_of(alert_id))
        chosen = await self._marks.ask(lambda: self._outbox.chosen(alert_id, self._channel))
        picture = await self._picture(alert)
        return Outgoing(
            text=caption(alert, events, self._room, self._zone),
            alert=alert,
            events=tuple(events),
            sound=sound,
            buttons=rows(alert, chosen, self._zone),
            picture=picture,
        )

    async def together(self, late: Sequence[Delivery], characters: int) -> tuple[Outgoing, int]:
        """One message that lists what is late, and how many of them it has room for."""

        def compose() -> tuple[int, str]:
            events = ((one.alert, self._outbox.events_of(one.alert.id or 0)) for one in late)
            lines = (digest_line(alert, of_alert, self._zone) for alert, of_alert in events)
            return digest(lines, self._room, characters)

        count, text = await self._marks.ask(compose)
        return Outgoing(text=text, alert=late[count - 1].alert), count

    async def _picture(self, alert: Alert) -> bytes | None:
        """Only machines have one."""
        event_id = alert.event_id
        if alert.kind is not AlertKind.UNUSUAL or event_id is None:
            return None
        return await self._marks.ask(lambda: self._outbox.picture(event_id))
