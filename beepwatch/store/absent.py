"""Where there is no store: an outbox into which nothing can be written."""

from beepwatch.errors import StoreError
from beepwatch.messages import Clip
from beepwatch.store.outbox import Outbox, Written


class AbsentOutbox(Outbox):
    """It takes nothing, and says why; nobody reads it."""

    def __init__(self, reason: StoreError) -> None:
        self._reason = str(reason)

    def write(self, **_what: object) -> Written:
        """Raises StoreError."""
        raise StoreError(self._reason)

    def has_room_for(self, _clip: Clip) -> bool:
        """Raises StoreError."""
        raise StoreError(self._reason)
