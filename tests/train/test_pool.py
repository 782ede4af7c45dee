"""Clips are learnt from as the network will hear them, and counted as they should."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from beepwatch.train.networks import ToneNet
from beepwatch.train.pool import Pool, answer, answering, pictures, pulse_weight, spectra_of
from beepwatch.train.scenes import Clip
from beepwatch.train.truth import OPEN, TONE


@pytest.fixture(scope="module")
def network() -> ToneNet:
    torch.manual_seed(2)
    return ToneNet().eval()


def clip_of(sound: NDArray[np.float64], tones: NDArray[np.int8] | None = None) -> Clip:
    frames = len(sound) // 320
    return Clip(
        pcm=np.clip(sound, -32_768, 32_767).astype(np.int16),
        truth=np.zeros(frames, np.float32),
        weight=np.ones(frames, np.float32),
        tones=tones,
    )


@pytest.fixture(scope="module")
def beeping() -> Clip:
    """Two loud pulses of 2.1 kHz in faint noise, after a second of silence and clipped at first."""
    time_s = np.arange(48_000) / 16_000
    on = ((time_s > 1.5) & (time_s < 1.8)) | ((time_s > 2.2) & (time_s < 2.5))
    sound = np.random.default_rng(0).normal(0, 30, 48_000) + 50_000 * on * np.sin(
        2 * np.pi * 2_100 * time_s
    )
    sound[:16_000] = 0
    return clip_of(sound)


def test_training_sees_the_pictures_that_the_shipped_network_sees(
    network: ToneNet, beeping: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Float16 has 11 bits: energies up to 22 are good to 0.008, and a mean and a difference."""
    seen: list[torch.Tensor] = []
    deep = network.deep

    def noted(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return deep(x)

    monkeypatch.setattr(network, "deep", noted)
    with torch.inference_mode():
        logits = network(torch.from_numpy(beeping.pcm)[None])[0][0, :, 0]
    trained_on = pictures(torch.from_numpy(spectra_of(beeping, network)[None]), network)
    assert torch.allclose(trained_on, seen[0], atol=0.02)
    assert answer(network, spectra_of(beeping, network)) == pytest.approx(logits.numpy(), abs=0.02)


def test_an_answer_is_that_of_the_most_convinced_band(network: ToneNet, beeping: Clip) -> None:
    spectra = spectra_of(beeping, network)
    with torch.inference_mode():
        by_band = network.by_band(pictures(torch.from_numpy(spectra[None]), network))
    assert answer(network, spectra).tolist() == by_band[0, :, 0].numpy().max(axis=1).tolist()


def test_short_pulses_count_up_to_three_times() -> None:
    truth = np.zeros(60, np.float32)
    truth[2:4] = 1.0  # 2 frames: three times
    truth[10:18] = 1.0  # 8 frames: one and a half
    truth[20:50] = 1.0  # long: once
    truth[59] = 0.4  # less than half of a frame: none
    expected = np.ones(60)
    expected[2:4], expected[10:18] = 3.0, 1.5
    assert pulse_weight(truth).tolist() == expected.tolist()


def test_a_pulse_at_the_edge_of_a_clip_is_one_too() -> None:
    truth = np.zeros(20, np.float32)
    truth[:6] = truth[-6:] = 1.0
    assert pulse_weight(truth).tolist() == [2.0] * 6 + [1.0] * 8 + [2.0] * 6


# Bins are 50 Hz apart from 0 Hz on; the first band is at 350 Hz, bin 7; four answer together.
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({7: TONE}, {0: TONE}),
        ({10: TONE, 11: TONE}, {0: TONE, 1: TONE}),
        ({12: OPEN}, {1: OPEN}),
        ({13: OPEN, 14: TONE}, {1: TONE}),
        ({134: TONE}, {31: TONE}),
        ({6: TONE, 135: TONE}, {}),  # below and above all bands
    ],
)
def test_a_band_answers_for_the_bins_it_sees(
    network: ToneNet, cells: dict[int, int], expected: dict[int, int]
) -> None:
    tones = np.zeros((2, 161), np.int8)
    for number, cell in cells.items():
        tones[1, number] = cell
    found = answering(tones, network)
    assert found.shape == (2, 32)
    assert not found[0].any()
    assert {int(band): int(found[1, band]) for band in found[1].nonzero()[0]} == expected


def test_a_batch_holds_the_clips_asked_for_in_order(network: ToneNet) -> None:
    pool = Pool()
    noise = np.random.default_rng(1).normal(0, 500, (3, 6_400))
    tones = np.zeros((20, 161), np.int8)
    tones[:, 20] = TONE
    clips = [clip_of(noise[0]), clip_of(noise[1], tones), clip_of(noise[2])]
    for clip in clips:
        pool.add(clip, network)
    batch = pool.batch(np.array([2, 1, 1]), network)
    expected = [spectra_of(clips[number], network) for number in (2, 1, 1)]
    assert np.array_equal(batch.spectra.numpy(), np.stack(expected))
    assert batch.tones.sum(dim=(1, 2)).tolist() == [0, 20, 20]
    assert len(pool) == 3


def test_a_clips_own_weight_and_that_of_its_pulses_are_multiplied(network: ToneNet) -> None:
    clip = clip_of(np.zeros(6_400))
    clip.truth[5:9] = 1.0
    clip.weight[8:10] = 0.5
    pool = Pool()
    pool.add(clip, network)
    assert pool.weight[0][4:11].tolist() == [1.0, 3.0, 3.0, 3.0, 1.5, 0.5, 1.0]
