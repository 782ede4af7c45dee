"""A spectrogram shows a tone where it is, and is a PNG that others can read."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from beepwatch.web.pictures import HEIGHT, RATE_HZ, WIDTH, levels, picture_of, sound_of, wav_of


def tone(pitch_hz: float, on_s: float, off_s: float, length_s: float, peak: float) -> np.ndarray:
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    sounding = (time_s >= on_s) & (time_s < off_s)
    noise = np.random.default_rng(0).normal(0, 20, len(time_s))
    sound = 32_767 * peak * np.sin(2 * np.pi * pitch_hz * time_s) * sounding + noise
    return sound.astype(np.int16)


@pytest.mark.parametrize("pitch_hz", [400, 1_000, 3_100, 6_500])
def test_a_tone_is_bright_at_its_pitch_and_time(pitch_hz: float) -> None:
    """Rows go from 7.9 kHz on top down to 150 Hz in equal ratios; columns are time."""
    shown = levels(tone(pitch_hz, 1.0, 2.0, 3.0, peak=0.2))
    assert shown.shape == (HEIGHT, WIDTH)
    row = HEIGHT * np.log(7_900 / pitch_hz) / np.log(7_900 / 150)
    middle = shown[:, round(WIDTH / 2)]
    assert abs(int(middle.argmax()) - row) <= 2
    assert middle.max() > 250
    brightest = shown[int(middle.argmax())]
    assert np.flatnonzero(brightest > 128)[[0, -1]] / WIDTH == pytest.approx(
        [1 / 3, 2 / 3], abs=0.02
    )


def test_the_picture_is_a_png_with_the_brightest_colour_where_the_tone_is() -> None:
    image = imread(io.BytesIO(picture_of(tone(1_000, 0.0, 3.0, 3.0, peak=0.2))), format="png")
    assert image.shape[:2] == (HEIGHT, WIDTH)
    pixels = image[:, :, :3].sum(axis=2)
    assert (
        pixels[:, WIDTH // 2].argmax()
        == levels(tone(1_000, 0.0, 3.0, 3.0, 0.2))[:, WIDTH // 2].argmax()
    )
    assert pixels.max() > 2.7
    assert np.median(pixels) < 1.0


@pytest.mark.parametrize("samples", [0, 1, 100, 700])
def test_silence_and_crumbs_have_a_picture_too(samples: int) -> None:
    image = imread(io.BytesIO(picture_of(np.zeros(samples, np.int16))), format="png")
    assert image.shape[:2] == (HEIGHT, WIDTH)


def test_sound_is_mono_at_16_khz_and_no_longer_than_a_minute(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "long.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(b"\x00\x10\x00\x10" * 8_000 * 70)
    sound = sound_of(tmp_path / "long.wav")
    assert len(sound) == 60 * 16_000
    assert np.median(sound) == pytest.approx(0x1000, abs=2)
    with wave.open(io.BytesIO(wav_of(sound))) as read:
        assert (read.getnchannels(), read.getframerate(), read.getsampwidth()) == (1, 16_000, 2)
        assert np.array_equal(np.frombuffer(read.readframes(len(sound)), "<i2"), sound)
