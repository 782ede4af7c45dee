"""Which source `--source` means."""

from pathlib import Path

from beepwatch.capture.blocks import Source
from beepwatch.capture.files import AudioFile
from beepwatch.capture.network import NetworkStream
from beepwatch.capture.pipes import Stdin
from beepwatch.clock import Clock
from beepwatch.config import source_kind
from beepwatch.sections import Capture


def parse_source(capture: Capture, *, clock: Clock, block_s: float = 0.1) -> Source:
    """The source that `capture.source` names; `block_s` is how much a file gives at once.

    Raises ConfigurationError for a text that is none of the known forms.
    """
    kind, rest = source_kind(capture.source)
    match kind:
        case "microphone":
            # PortAudio is loaded by who listens to a microphone, and by nobody else.
            from beepwatch.capture.microphone import Microphone

            return Microphone(rest, clock)
        case "file":
            return AudioFile(Path(rest), block_s=block_s)
        case "stream":
            return NetworkStream(rest, clock)
        case "stdin":
            return Stdin(capture.rate_hz)
