"""What the fuzzer found once, each as a recording that has it."""

import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from beepwatch.capture.files import decode, open_audio
from beepwatch.errors import UnreadableAudio
from beepwatch.wording import counted
from tests.capture.sounds import RATE_HZ, sine, sizes_until_the_error, write_wav


def test_a_chunk_that_ends_beyond_the_file_is_left_to_other_decoders(tmp_path: Path) -> None:
    """The standard library's reader raises RuntimeError, not its own error."""
    path = write_wav(tmp_path / "a.wav", sine(1_000, 1.0, peak=0.5), RATE_HZ)
    content = bytearray(path.read_bytes())
    content[12:12] = b"LIST" + (500).to_bytes(4, "little") + bytes(500)
    content[4:8] = (50).to_bytes(4, "little")  # RIFF, in which all others are
    path.write_bytes(content)
    with pytest.raises(RuntimeError), wave.open(str(path)):
        pass
    assert sizes_until_the_error(path) == (RATE_HZ, "no error")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_samples_that_are_no_numbers_are_silence_or_full_scale(
    tmp_path: Path, value: float
) -> None:
    """Both channels so, since their sum is infinite too; a warning would be an error here."""
    samples = np.zeros((RATE_HZ, 2), dtype=np.float32)
    samples[100:110] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    heard = np.concatenate(list(decode(tmp_path / "a.wav", RATE_HZ)))
    full = 0 if np.isnan(value) else 32_767 if value > 0 else -32_768
    assert heard.size == RATE_HZ
    assert set(heard[100:110].tolist()) == {full}
    assert not heard[200:].any()


@pytest.mark.parametrize(("rate_hz", "channels"), [(1, 1), (0x7FFF_0000, 1), (16_000, 60_000)])
def test_a_header_that_promises_an_absurd_form_is_refused(
    tmp_path: Path, rate_hz: int, channels: int
) -> None:
    """One of 2 GHz would have the resampler build a filter of gigabytes."""
    path = write_wav(tmp_path / "a.wav", sine(1_000, 1.0, peak=0.5), RATE_HZ)
    content = bytearray(path.read_bytes())
    content[22:24] = channels.to_bytes(2, "little")
    content[24:28] = rate_hz.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(UnreadableAudio, match=f"{counted(channels, 'channel')} at {rate_hz} Hz"):
        open_audio(path, block_s=1.0)
