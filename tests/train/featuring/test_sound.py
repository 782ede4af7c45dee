"""A recording at the recipe's rate, of the recipe's channel."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from beepwatch.errors import UnreadableAudio
from beepwatch.train.featuring.sound import Recording
from tests.train.featuring.recipes import recipe

HISS = np.random.default_rng(2).normal(0, 0.1, (50_000, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("channel", "expected"), [("mean", HISS.mean(axis=1)), (0, HISS[:, 0]), (1, HISS[:, 1])]
)
def test_the_channel_is_the_one_that_was_asked_for(
    tmp_path: Path, channel: str | int, expected: np.ndarray
) -> None:
    soundfile.write(tmp_path / "a.wav", HISS, 16_000, subtype="FLOAT")
    recording = Recording(tmp_path / "a.wav", recipe(sound={"channel": channel}).sound)
    assert recording.whole() == pytest.approx(expected, abs=1e-6)


def test_a_channel_that_is_not_there_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", HISS, 16_000)
    recording = Recording(tmp_path / "a.wav", recipe(sound={"channel": 2}).sound)
    with pytest.raises(UnreadableAudio, match=r"a\.wav has 2 channels, and the recipe wants num"):
        recording.whole()


def test_another_rate_is_resampled_as_by_soxr_at_once(tmp_path: Path) -> None:
    """11 s, so that it comes in two blocks."""
    mono = np.tile(HISS[:, 0], 10)[:485_100]
    soundfile.write(tmp_path / "a.flac", mono, 44_100)
    written, _ = soundfile.read(tmp_path / "a.flac", dtype="float32")
    recording = Recording(tmp_path / "a.flac", recipe().sound)
    found, expected = recording.whole(), soxr.resample(written, 44_100, 16_000)
    assert recording.rate_hz == 44_100
    assert len(found) == pytest.approx(176_000, abs=1)
    assert found[:175_000] == pytest.approx(expected[:175_000], abs=1e-5)
