"""A taught sound's examples: what is kept is what was heard, and nothing else is taken for one."""

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from beepwatch.classify import examples
from beepwatch.errors import ModelError


@given(arrays(np.int16, st.integers(1, 2_000)))
def test_what_is_written_is_read_again(pcm: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
    np.testing.assert_array_equal(examples.decode(examples.encode(pcm)), pcm)
    assert examples.cleaned(examples.encode(pcm)) == examples.encode(pcm)


def wav(
    channels: int = 1, sample_bytes: int = 2, rate_hz: int = 16_000, frames: int = 100
) -> bytes:
    """Silence of any form."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(sample_bytes)
        sound.setframerate(rate_hz)
        sound.writeframes(bytes(channels * sample_bytes * frames))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no WAV file"),
        (b"RIFF", "is no WAV file"),
        (b"no sound at all" * 20, "is no WAV file"),
        (wav(channels=2), r"2 channels of 16 bit at 16000 Hz"),
        (wav(rate_hz=44_100), r"1 channel of 16 bit at 44100 Hz"),
        (wav(sample_bytes=3), r"1 channel of 24 bit at 16000 Hz"),
        (wav(frames=0), "has 0 samples and has 0"),
        (wav(frames=61 * 16_000), "at most 60 s"),
        (wav()[:-50], "has 100 samples and has 75"),
        (wav()[:40] + struct.pack("<I", 2**32 - 1) + wav()[44:], "samples"),
    ],
)
def test_what_is_no_example_is_refused_in_one_line(content: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        examples.decode(content)
    assert "\n" not in str(caught.value)


def test_what_else_a_file_holds_is_left_behind() -> None:
    plain = wav()
    secret = b"LIST" + struct.pack("<I", 10) + b"INFOmy home"[:10]
    whole = plain + secret
    whole = whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]
    assert b"my h" in whole
    assert examples.cleaned(whole) == plain
