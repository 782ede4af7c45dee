"""Encoding: an mp3 that holds the sound, or a WAV that does."""

import io
import subprocess
import sys
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from beepwatch.messages import Clip
from beepwatch.notify import clips
from beepwatch.notify.clips import Encoder, as_wav
from tests.notify.laundry import NOON, TONE_HZ, tone


def loudest_hz(pcm: bytes, rate_hz: int) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


def test_the_mp3_decodes_to_the_tone_at_64_kbit() -> None:
    sound = Encoder().encode(tone(3.0))
    assert sound.suffix == ".mp3"
    assert sound.duration_s == 3.0
    assert len(sound.content) * 8 / 3.0 == pytest.approx(64_000, rel=0.06)
    command = ["ffmpeg", "-v", "error", "-i", "-", "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    decoded = subprocess.run(command, input=sound.content, capture_output=True, check=True).stdout
    assert len(decoded) / 2 / 16_000 == pytest.approx(3.0, abs=0.15)
    assert loudest_hz(decoded, 16_000) == pytest.approx(TONE_HZ, abs=2)


def wav_of(content: bytes) -> tuple[int, int, int, bytes]:
    with wave.open(io.BytesIO(content)) as file:
        frames = file.readframes(file.getnframes())
        return file.getframerate(), file.getnchannels(), file.getsampwidth(), frames


def test_a_wav_holds_the_very_samples() -> None:
    clip = tone(0.5, rate_hz=44_100)
    assert wav_of(as_wav(clip).content) == (44_100, 1, 2, clip.pcm)


def test_without_ffmpeg_the_wav_goes_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    encoder = Encoder()
    sound = encoder.encode(tone())
    assert sound.suffix == ".wav"
    assert wav_of(sound.content)[3] == tone().pcm
    assert encoder.failures == 1


@pytest.fixture
def failing_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ffmpeg that cannot, and a folder of its own for temporary files."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Unknown encoder libmp3lame' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_an_ffmpeg_that_fails_leaves_a_wav_and_no_files(failing_ffmpeg: Path) -> None:
    encoder = Encoder()
    for _ in range(3):
        assert encoder.encode(tone()).suffix == ".wav"
    assert encoder.failures == 3
    assert [path.name for path in failing_ffmpeg.iterdir()] == ["bin"]


def test_half_a_sample_goes_as_it_is() -> None:
    """pydub refuses an odd number of bytes; the WAV header does not."""
    sound = Encoder().encode(Clip(pcm=b"\0\0\0", rate_hz=16_000, started_at=NOON))
    assert sound.suffix == ".wav"


def test_importing_without_ffmpeg_warns_of_nothing() -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}; import {clips.__name__}"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_clips_that_are_encoded_at_the_same_time_do_not_take_each_others_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert's clip does not wait for one that somebody asked for."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lengths_s = (0.5, 1.0, 1.5, 2.0)
    with ThreadPoolExecutor(len(lengths_s)) as threads:
        sounds = list(threads.map(lambda length_s: Encoder().encode(tone(length_s)), lengths_s))
    assert [sound.suffix for sound in sounds] == [".mp3"] * 4
    assert [len(sound.content) * 8 / 64_000 for sound in sounds] == pytest.approx(
        lengths_s, abs=0.2
    )
    assert list(tmp_path.iterdir()) == []
