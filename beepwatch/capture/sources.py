"""Which source `--source` means."""

from pathlib import Path

from beepwatch.capture.blocks import Source
from beepwatch.capture.files import AudioFile
from beepwatch.capture.network import NetworkStream
from beepwatch.capture.pipes import Stdin
from beepwatch.clock import Clock
from beepwatch.config import Capture
from beepwatch.errors import ConfigurationError


def parse_source(capture: Capture, *, clock: Clock, block_s: float = 0.1) -> Source:
    """The source that `capture.source` names; `block_s` is how much a file gives at once.

    Raises ConfigurationError for a text that is none of the known forms.
    """
    kind, colon, rest = capture.source.partition(":")
    rest = rest.strip()
    match kind.strip().lower():
        case "microphone" if rest or not colon:
            # PortAudio is loaded by who listens to a microphone, and by nobody else.
            from beepwatch.capture.microphone import Microphone

            return Microphone(rest, clock)
        case "file" if rest:
            return AudioFile(Path(rest).expanduser(), block_s=block_s)
        case "stream" if rest:
            return NetworkStream(rest, clock)
        case "stdin" if not colon:
            return Stdin(capture.rate_hz)
    # What was written may be a URL with a password in it.
    shown = kind if colon and kind.lower() == "stream" else capture.source
    raise ConfigurationError(
        f"capture.source is {shown!r}; write microphone, microphone:PART-OF-NAME, file:PATH, "
        "stream:URL or stdin."
    )
