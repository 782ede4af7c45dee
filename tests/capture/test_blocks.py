"""Blocks of any format become mono, whatever a damaged file put in them."""

import numpy as np
import pytest

from beepwatch.capture.blocks import Block, SampleFormat


def mono(samples: list[list[float]], sample_format: SampleFormat) -> list[float]:
    """Of frames by channel."""
    data = np.array(samples, dtype=sample_format)
    channels = data.shape[1]
    block = Block(
        data=data.tobytes(), sample_format=sample_format, channels=channels, rate_hz=16_000
    )
    return [float(sample) for sample in block.mono()]


@pytest.mark.parametrize(
    ("sample_format", "full_scale"), [("int16", 2**15), ("int32", 2**31), ("float32", 1)]
)
def test_mono_is_the_mean_of_the_channels_at_full_scale_1(
    sample_format: SampleFormat, full_scale: int
) -> None:
    frames = [[0.5 * full_scale, -0.25 * full_scale], [0.0, -1.0 * full_scale]]
    assert mono(frames, sample_format) == [0.125, -0.5]


@pytest.mark.parametrize(
    ("wrong", "heard"),
    [(np.nan, 0.0), (np.inf, 1_000.0), (-np.inf, -1_000.0), (1e30, 1_000.0), (-1e30, -1_000.0)],
)
def test_a_sample_that_is_no_sound_leaves_the_others_as_they_are(
    wrong: float, heard: float
) -> None:
    assert mono([[0.5, 0.0], [wrong, 0.0], [-0.5, 0.25]], "float32") == [0.25, heard / 2, -0.125]


def test_a_block_without_frames_is_no_sound() -> None:
    block = Block(data=b"", sample_format="float32", channels=2, rate_hz=16_000)
    assert block.mono().shape == (0,)
