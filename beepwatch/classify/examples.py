"""A taught sound's examples as they are kept: WAV files of 16 kHz, mono, int16."""

import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING

from beepwatch.classify.bundle import content_of
from beepwatch.errors import ModelError
from beepwatch.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ = 16_000
LONGEST_S = 60.0
MOST_BYTES = 44 + 2 * round(LONGEST_S * RATE_HZ)  # with the header that `encode` writes
_SAMPLE_BYTES = 2
_FORM = (1, _SAMPLE_BYTES, RATE_HZ)


def encode(pcm: "NDArray[np.int16]") -> bytes:
    """A WAV file of int16 [samples] at 16 kHz."""
    return _wav(pcm.astype("<i2").tobytes())


def decode(content: bytes) -> "NDArray[np.int16]":
    """The samples of a WAV file that `encode` could have made. Raises ModelError."""
    import numpy as np

    return np.frombuffer(_samples(content), dtype="<i2").astype(np.int16)


def read(path: Path) -> "NDArray[np.int16]":
    """The samples of a kept file. Raises ModelError, also for one that cannot be read."""
    try:
        return decode(content_of(path, MOST_BYTES))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}. Mend its permissions, or take it away."
        ) from error


def cleaned(content: bytes) -> bytes:
    """The same sound with nothing beside it: what else a file held is left behind.

    Raises ModelError for what is no such sound.
    """
    return _wav(_samples(content))


def _wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(_SAMPLE_BYTES)
        sound.setframerate(RATE_HZ)
        sound.writeframes(samples)
    return file.getvalue()


def _samples(content: bytes) -> bytes:
    try:
        with wave.open(io.BytesIO(content)) as sound:
            form = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            count = sound.getnframes()
            samples = sound.readframes(count) if form == _FORM else b""
    except (wave.Error, EOFError, ValueError, RuntimeError) as error:
        raise ModelError(f"an example is no WAV file: {error}. Use another.") from error
    if form != _FORM:
        raise ModelError(
            f"an example has {counted(form[0], 'channel')} of {8 * form[1]} bit at {form[2]} Hz, "
            f"expected 1 of 16 bit at {RATE_HZ} Hz. Use another."
        )
    if not 0 < len(samples) == _SAMPLE_BYTES * count <= MOST_BYTES:
        raise ModelError(
            f"an example says that it has {count} samples and has {len(samples) // _SAMPLE_BYTES}, "
            f"of which there must be some, and at most {LONGEST_S:g} s. Use another."
        )
    return samples
