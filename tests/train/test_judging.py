"""What is mined is what a network believes in, and the dev score is the share of beeps above it."""

import msgspec
import numpy as np
import pytest
import torch

from beepwatch.train.networks import ToneNet
from beepwatch.train.pool import Pool
from beepwatch.train.scenes import Clip
from beepwatch.train.training import dev_score, most_believed


class Loudness(ToneNet):
    """Believes in a beep as much as a frame of it is loud, wherever in the spectrum."""

    def by_band(self, x: torch.Tensor) -> torch.Tensor:
        frames = self.SPECTRA * x.shape[2]
        loud = x[:, self.SPECTRA : 2 * self.SPECTRA].amax(dim=3)  # over the recent mean
        by_frame = loud.transpose(1, 2).reshape(len(x), frames, 1, 1)
        return by_frame.expand(-1, -1, 1, self.answering_bands)


def click(peak: int, at: int) -> Clip:
    """Faint noise with one loud frame."""
    pcm = np.random.default_rng(at).normal(0, 20, 16_000)
    pcm[320 * at : 320 * at + 320] += peak * np.sin(np.arange(320) * 0.8)
    return Clip(
        pcm=pcm.astype(np.int16), truth=np.zeros(50, np.float32), weight=np.ones(50, np.float32)
    )


def test_mining_takes_the_most_believed_clips_the_worst_first() -> None:
    clips = [click(peak, 30) for peak in (100, 9_000, 50, 3_000, 9_000, 800)]
    found = most_believed(iter(clips), Loudness(), 4)
    assert [one.number for one in found] == [1, 4, 3, 5]
    assert [one.clip for one in found] == [clips[number] for number in (1, 4, 3, 5)]
    assert found[0].logit == found[1].logit > found[2].logit > found[3].logit


def judged_pool(beeps: list[int], others: list[int], network: ToneNet) -> Pool:
    """A click for each peak; half of those of beeps are told to be one."""
    pool = Pool()
    for peak in beeps:
        truth = np.zeros(50, np.float32)
        truth[30] = 1.0
        pool.add(msgspec.structs.replace(click(peak, 30), truth=truth), network)
    for peak in others:
        pool.add(click(peak, 30), network)
    return pool


def test_the_dev_score_is_the_share_of_beeps_above_nearly_all_others() -> None:
    """Of 101 others the quantiles 0.995, 0.99 and 0.98 lie below the loudest and above 2 of 3."""
    network = Loudness()
    others = [100] * 98 + [1_000, 2_000, 4_000]  # quantiles: 3,000, 2,000 and 1,000, or near
    beeps = [20_000, 10_000, 2_500, 500]
    # Both loud ones are heard at all three, 2,500 only at the two lower limits, 500 at none.
    expected = (2 / 4 + 3 / 4 + 3 / 4) / 3
    assert dev_score(network, judged_pool(beeps, others, network)) == pytest.approx(expected)


@pytest.mark.parametrize(("beeps", "others"), [([], [100]), ([100], [])])
def test_without_both_kinds_of_clips_the_dev_score_is_nought(
    beeps: list[int], others: list[int]
) -> None:
    network = Loudness()
    assert dev_score(network, judged_pool(beeps, others, network)) == 0.0


def test_a_clip_whose_beep_is_nearly_outside_is_neither() -> None:
    """Less than half of a frame of it is there: it is no beep to be heard, and no false alarm."""
    network = Loudness()
    pool = judged_pool([5_000], [100] * 10, network)
    score = dev_score(network, pool)
    truth = np.zeros(50, np.float32)
    truth[30] = 0.4
    pool.add(msgspec.structs.replace(click(30_000, 30), truth=truth), network)
    assert dev_score(network, pool) == score == 1.0
