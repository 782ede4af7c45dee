"""The networks have the shapes, costs and reach that they state."""

import numpy as np
import pytest
import torch

from beepwatch.train.export import parameter_count
from beepwatch.train.networks import BeepNet, ToneNet, ToneSpectrum, neighbour_mean


def tone(pitch_hz: float, peak: float, length_s: float = 1.0) -> torch.Tensor:
    """A steady tone, int16 [1, samples]."""
    time_s = np.arange(round(length_s * 16_000)) / 16_000
    pcm = peak * np.sin(2 * np.pi * pitch_hz * time_s + 0.3)
    return torch.from_numpy(np.round(pcm).astype(np.int16))[None]


def test_a_tone_on_a_bands_centre_has_the_square_of_its_peak_as_energy() -> None:
    spectrum = ToneSpectrum(16_000, 320, 350.0, 50.0, 128)
    energy = spectrum(tone(1_350, 1_000))[0, 10]
    assert int(energy.argmax()) == 20
    assert float(energy.max()) == pytest.approx(2 * np.log(1_000), abs=0.01)


@pytest.mark.parametrize("pitch_hz", [400, 1_350, 3_337, 6_012])
def test_a_tone_is_narrow_at_any_pitch(pitch_hz: float) -> None:
    spectrum = ToneSpectrum(16_000, 320, 350.0, 50.0, 128)
    energy = spectrum(tone(pitch_hz, 1_000))[0, 10]
    centre_hz = 350 + 50 * np.arange(128)
    far = np.abs(centre_hz - pitch_hz) > 150
    fall_db = 10 / np.log(10) * (energy.max() - energy[torch.from_numpy(far)].max())
    assert float(fall_db) > 30


def test_the_folded_spectrum_is_that_of_a_plain_fourier_transform() -> None:
    pcm = torch.from_numpy(np.random.default_rng(0).normal(0, 500, 6_400).astype(np.int16))[None]
    found = ToneSpectrum(16_000, 320, 350.0, 50.0, 128)(pcm)[0, 5].numpy()
    span = pcm[0, 4 * 320 : 6 * 320].numpy().astype(float)
    sample = np.arange(640)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (sample + 0.5) / 640)
    centre_hz = 350 + 50 * np.arange(128)
    plain = (span * window) @ np.exp(-2j * np.pi * np.outer(sample, centre_hz) / 16_000)
    expected = np.log(np.abs(plain / window[:320].sum()) ** 2 + 1e-3)
    assert found == pytest.approx(expected, abs=1e-2)


def test_digital_silence_is_finite() -> None:
    energy = ToneSpectrum(16_000, 320, 350.0, 50.0, 128)(torch.zeros(1, 640, dtype=torch.int16))
    assert torch.isfinite(energy).all()


def test_neighbours_are_averaged_on_both_sides_without_the_band_itself() -> None:
    matrix = neighbour_mean(20, 2, 3)
    assert matrix.sum(dim=0).tolist() == pytest.approx([1.0] * 20)
    assert matrix[:, 10].nonzero().flatten().tolist() == [7, 8, 12, 13]
    assert matrix[:, 0].nonzero().flatten().tolist() == [2, 3]


@pytest.mark.parametrize("frames", [1, 2, 75, 200])
def test_tone_net_answers_every_frame(frames: int) -> None:
    network = ToneNet(labels=3).eval()
    pcm = torch.zeros(2, frames * 640, dtype=torch.int16)
    assert network(pcm).shape == (2, frames, 3)


def test_tone_net_is_small() -> None:
    assert parameter_count(ToneNet()) < 60_000


def test_history_and_context_leave_a_hop_of_a_second_in_a_window_of_three() -> None:
    network = ToneNet()
    assert network.history_s + network.context_s <= 2.0
    assert network.context_s <= 0.4


def test_tone_net_forgets_what_is_beyond_its_history() -> None:
    torch.manual_seed(0)
    network = ToneNet().eval()
    calm = torch.from_numpy(np.random.default_rng(0).normal(0, 99, 64_000).astype(np.int16))[None]
    loud = calm.clone()
    loud[:, :16_000] = tone(2_000, 9_000)
    first = 25 + round(network.history_s / 0.04)
    with torch.inference_mode():
        difference = (network(calm) - network(loud))[0, :, 0].abs()
    assert float(difference[first:].max()) < 1e-5
    assert float(difference[:first].max()) > 1e-3


def test_beep_net_has_the_originals_shapes() -> None:
    network = BeepNet()
    assert network(torch.zeros(4, 2, 132_300)).shape == (4, 2)
    assert tuple(network.conv.weight.shape) == (2, 2, 882)
    assert tuple(network.linear.weight.shape) == (2, 298)


def test_beep_net_gives_logits_and_no_probabilities() -> None:
    torch.manual_seed(0)
    logits = BeepNet().eval()(100 * torch.randn(4, 2, 132_300))
    assert float(logits.detach().abs().max()) > 1.5
