"""A microphone that is opened while the rest of the recorder is still being loaded.

Numpy and what needs it take longer to import than a sound card to open. A recorder that takes the
place of one that was killed misses what sounds until then; what comes while it still imports waits
in the microphone's queue.
"""

import threading

from beepwatch.capture.keepsake import Keepsake
from beepwatch.capture.microphone import Microphone, MicrophoneStream
from beepwatch.clock import Clock
from beepwatch.errors import SourceError


class OpenedAhead(Microphone):
    """A microphone whose first opening begins at once, in a thread."""

    def __init__(self, wanted: str, clock: Clock, keepsake: Keepsake | None = None) -> None:
        super().__init__(wanted, clock, keepsake)
        self._opened: MicrophoneStream | SourceError | None = None
        self._opening: threading.Thread | None = threading.Thread(target=self._open, daemon=True)
        self._opening.start()

    def open(self) -> MicrophoneStream:
        """The first time what has been opened meanwhile. Raises what a Microphone does."""
        if self._opening is None:
            return super().open()
        self._opening.join()
        self._opening = None
        opened, self._opened = self._opened, None
        if isinstance(opened, MicrophoneStream):
            return opened
        raise opened or SourceError("the microphone could not be opened. Run `beepwatch doctor`.")

    def _open(self) -> None:
        try:
            self._opened = super().open()
        except SourceError as error:
            self._opened = error
