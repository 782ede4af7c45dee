"""The networks hear what they should, and have the shapes, costs and reach that they state."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from beepwatch.train.networks import (
    BeepNet,
    ToneNet,
    ToneSpectrum,
    energies,
    log_energy,
    neighbour_mean,
    phase_steps,
    steadiness,
)

RATE_HZ, FRAME = 16_000, 320
LOWEST_HZ, SPACING_HZ, BANDS = 350.0, 50.0, 128
CENTRE_HZ = LOWEST_HZ + SPACING_HZ * np.arange(BANDS)


@pytest.fixture(scope="module")
def spectrum() -> ToneSpectrum:
    return ToneSpectrum(RATE_HZ, FRAME, LOWEST_HZ, SPACING_HZ, BANDS)


@pytest.fixture(scope="module")
def network() -> ToneNet:
    """Untrained, but with weights large enough that every layer has its say."""
    torch.manual_seed(0)
    return ToneNet().eval()


def sine(pitch_hz: float | NDArray[np.float64], peak: float, length_s: float = 1.0) -> Tensor:
    """A tone of a steady or a changing pitch, int16 [1, samples]."""
    samples = round(length_s * RATE_HZ)
    turns = np.cumsum(np.broadcast_to(pitch_hz, samples)) / RATE_HZ
    return int16(peak * np.sin(2 * np.pi * turns + 0.3))


def noise(rms: float, length_s: float, seed: int = 0) -> Tensor:
    """White noise, int16 [1, samples]."""
    return int16(np.random.default_rng(seed).normal(0, rms, round(length_s * RATE_HZ)))


def int16(sound: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.round(np.clip(sound, -32_768, 32_767)).astype(np.int16))[None]


def energy(spectrum: ToneSpectrum, pcm: Tensor) -> Tensor:
    """Of the frame in the middle of the first second, [bands]."""
    return log_energy(energies(*spectrum(pcm)))[0, 10]


def steady_there(spectrum: ToneSpectrum, pcm: Tensor) -> float:
    """Mean steadiness, over time, of the strongest band of each frame, from the third frame on."""
    real, imaginary = spectrum(pcm)
    squared = energies(real, imaginary)
    strongest = squared.argmax(dim=2, keepdim=True)
    steady = steadiness(*phase_steps(real, imaginary), squared).gather(2, strongest)
    return float(steady[0, 3:].mean())


def test_a_tone_on_a_bands_centre_has_the_square_of_its_peak_as_energy(
    spectrum: ToneSpectrum,
) -> None:
    found = energy(spectrum, sine(1_350, 1_000))
    assert int(found.argmax()) == 20
    assert float(found.max()) == pytest.approx(2 * np.log(1_000), abs=0.01)


@pytest.mark.parametrize("pitch_hz", [400, 1_350, 3_337, 6_012])
def test_a_tone_is_narrow_at_any_pitch(spectrum: ToneSpectrum, pitch_hz: float) -> None:
    found = energy(spectrum, sine(pitch_hz, 1_000))
    far = torch.from_numpy(np.abs(CENTRE_HZ - pitch_hz) > 150)
    fall_db = 10 / np.log(10) * (found.max() - found[far].max())
    assert float(fall_db) > 30


def test_the_folded_spectrum_is_that_of_a_plain_fourier_transform(spectrum: ToneSpectrum) -> None:
    pcm = noise(500, 0.4)
    found = log_energy(energies(*spectrum(pcm)))[0, 5].numpy()
    span = pcm[0, 4 * FRAME : 6 * FRAME].numpy().astype(float)
    sample = np.arange(2 * FRAME)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (sample + 0.5) / (2 * FRAME))
    plain = (span * window) @ np.exp(-2j * np.pi * np.outer(sample, CENTRE_HZ) / RATE_HZ)
    expected = np.log(np.abs(plain / window[:FRAME].sum()) ** 2 + 1e-3)
    assert found == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("pitch_hz", [412.0, 1_350.0, 2_777.0, 6_012.0])
def test_a_pure_tone_is_steady_at_any_pitch(spectrum: ToneSpectrum, pitch_hz: float) -> None:
    assert steady_there(spectrum, sine(pitch_hz, 3_000)) > 0.99


@pytest.mark.parametrize("pitch_hz", [1_350.0, 2_777.0])
def test_a_tone_that_wavers_by_two_percent_is_less_steady(
    spectrum: ToneSpectrum, pitch_hz: float
) -> None:
    """Six times a second, as a voice, a violin and a flute do."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    wavering = pitch_hz * (1 + 0.02 * np.sin(2 * np.pi * 6 * time_s))
    assert steady_there(spectrum, sine(wavering, 3_000)) < 0.9


def test_noise_is_not_steady(spectrum: ToneSpectrum) -> None:
    assert steady_there(spectrum, noise(3_000, 2.0)) < 0.5


def test_digital_silence_is_not_steady_and_finite(spectrum: ToneSpectrum) -> None:
    real, imaginary = spectrum(torch.zeros(1, 6_400, dtype=torch.int16))
    squared = energies(real, imaginary)
    assert torch.isfinite(log_energy(squared)).all()
    assert steadiness(*phase_steps(real, imaginary), squared).abs().max() == 0


def test_before_the_first_hop_was_its_mirror_image(spectrum: ToneSpectrum) -> None:
    """So a tone that sounds from the first sample on has no onset there."""
    pcm = noise(500, 0.1)
    mirrored = torch.cat([pcm[:, :FRAME].flip(1), pcm], dim=1)
    for part, of_both in zip(spectrum(pcm), spectrum(mirrored), strict=True):
        assert torch.allclose(part, of_both[:, 1:], atol=1e-2)


def test_bands_that_would_not_fold_are_refused() -> None:
    with pytest.raises(ValueError, match="do not turn a whole number of times in 320 samples"):
        ToneSpectrum(RATE_HZ, FRAME, 360.0, SPACING_HZ, BANDS)


def test_neighbours_are_averaged_on_both_sides_without_the_band_itself() -> None:
    matrix = neighbour_mean(20, 2, 3)
    assert matrix.sum(dim=0).tolist() == pytest.approx([1.0] * 20)
    assert matrix[:, 10].nonzero().flatten().tolist() == [7, 8, 12, 13]
    assert matrix[:, 0].nonzero().flatten().tolist() == [2, 3]


@pytest.mark.parametrize("frames", [2, 4, 150, 400])
def test_tone_net_answers_every_frame(frames: int) -> None:
    network = ToneNet(labels=3).eval()
    with torch.inference_mode():
        logits, pitch_hz, embedding = network(torch.zeros(2, frames * FRAME, dtype=torch.int16))
    assert logits.shape == (2, frames, 3)
    assert pitch_hz.shape == (2, frames, ToneNet.TONES)
    assert embedding.shape == (2, frames, 2 * 32 + 32)


# A quarter, half and the whole of the way between two bands too, and both ends.
@pytest.mark.parametrize(
    "tone_hz", [400.0, 1_000.0, 1_012.5, 1_025.0, 1_040.0, 2_048.0, 3_333.3, 6_600.0]
)
def test_the_pitch_of_a_tone_in_noise_is_right_to_half_a_percent(
    network: ToneNet, tone_hz: float
) -> None:
    """Of the strongest band among those that the most convinced one saw: here the tone's."""
    answering = int((tone_hz - LOWEST_HZ) / SPACING_HZ // network.POOLED)
    pcm = int16((sine(tone_hz, 3_000) + noise(100, 1.0)).numpy()[0].astype(float))
    real, imaginary = network.spectrum(pcm)
    log = log_energy(energies(real, imaginary))
    convinced = torch.full((*log.shape[:2], 1), answering)
    found = network.pitch_hz(convinced, log, *phase_steps(real, imaginary))[0, 2:, 0]
    assert found.numpy() == pytest.approx(np.full(48, tone_hz), rel=0.005)


def test_the_pitches_are_those_of_the_most_convinced_bands(network: ToneNet) -> None:
    """Of two tones at once one is first, whichever the network's weights prefer."""
    both = int16((sine(900, 3_000) + sine(4_000, 3_000)).numpy()[0].astype(float))
    with torch.inference_mode():
        pitch_hz = network(both)[1][0, 2:]
        log, steady = network.spectra(both)
        by_band = network.by_band(network.pictures(log, network.recent(log), steady))
    convinced, answering = by_band[0, 2:, 0].topk(network.TONES, dim=1)
    band_hz = LOWEST_HZ + SPACING_HZ * network.POOLED * answering
    seen = (pitch_hz > band_hz - 1.5 * SPACING_HZ) & (pitch_hz < band_hz + 4.5 * SPACING_HZ)
    near = convinced >= convinced[:, :1] - network.NEAR_LOGITS
    assert (seen == near).all()
    assert (pitch_hz[~near] == 0).all()
    assert set(pitch_hz[:, 0].round().tolist()) == {900, 4_000}


def test_an_embedding_is_what_each_band_says_and_what_the_most_convinced_one_saw(
    network: ToneNet,
) -> None:
    """A tone at 2,050 Hz lies in band 34 of 50 Hz from 350 Hz, the ninth that answers."""
    pcm = (sine(2_050, 3_000) + noise(20, 1.0)).to(torch.int16)
    with torch.inference_mode():
        logits, _, embedding = network(pcm)
        log, steady = network.spectra(pcm)
        seen = network.deep(network.pictures(log, network.recent(log), steady))
    by_band, contrast, of_band = embedding[0].split([32, 32, 32], dim=1)
    assert torch.equal(by_band.amax(dim=1), logits[0, :, 0])
    assert contrast[10:].argmax(dim=1).tolist() == [8] * (len(contrast) - 10)
    for frame in (20, 21, 37):
        band = int(by_band[frame].argmax())
        assert torch.equal(of_band[frame], seen[0, :, frame // 2, band])


def test_bands_that_are_far_less_convinced_tell_no_pitch() -> None:
    """With logits a thousand times as far apart only the first of them is near itself."""
    torch.manual_seed(0)
    network = ToneNet().eval()
    with torch.inference_mode():
        network.temper(0.001)
        pitch_hz = network(sine(900, 3_000))[1][0, 2:]
    assert (pitch_hz[:, 0] > 0).all()
    assert (pitch_hz[:, 1:] == 0).float().mean() > 0.9


@pytest.mark.parametrize(
    "pcm",
    [
        torch.zeros(1, 16_000, dtype=torch.int16),
        torch.full((1, 16_000), -32_768, dtype=torch.int16),
        torch.tensor([-32_768, 32_767], dtype=torch.int16).repeat(1, 8_000),
        sine(1_000, 32_767),
        sine(1_000, 300_000),  # clipped to a square
        torch.cat([sine(1_000, 32_767, 0.4), torch.zeros(1, 9_600, dtype=torch.int16)], dim=1),
    ],
    ids=["silence", "lowest", "Nyquist", "full scale", "clipped", "ends in silence"],
)
def test_the_answers_to_extremes_are_finite(network: ToneNet, pcm: Tensor) -> None:
    with torch.inference_mode():
        logits, pitch_hz, embedding = network(pcm)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(pitch_hz).all()
    assert torch.isfinite(embedding).all()
    assert ((pitch_hz >= 0) & (pitch_hz < RATE_HZ / 2)).all()
    assert (pitch_hz[..., 0] > 0).all()


def test_history_and_context_leave_a_hop_of_a_second_in_a_window_of_three(
    network: ToneNet,
) -> None:
    assert network.history_s + network.context_s <= 2.0
    assert network.context_s <= 0.4


def test_answers_depend_on_nothing_beyond_history_and_context(network: ToneNet) -> None:
    """The sound around a middle second is another; the middle's answers are the same."""
    calm = noise(99, 5.0)
    first, last = round(network.history_s * RATE_HZ), round(network.context_s * RATE_HZ)
    start, end = 2 * RATE_HZ, 3 * RATE_HZ
    changed = calm.clone()
    changed[:, : start - first] = sine(2_000, 9_000, 5.0)[:, : start - first]
    changed[:, end + last :] = sine(3_000, 9_000, 5.0)[:, end + last :]
    with torch.inference_mode():
        before, after = network(calm), network(changed)
    inside = slice(start // FRAME, end // FRAME)
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one[:, inside], other[:, inside], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["history", "context"])
def test_the_stated_reach_is_not_far_beyond_the_real_one(network: ToneNet, side: str) -> None:
    """What is heard 0.2 s within the reach matters still, so no window is longer than it must."""
    calm = noise(99, 5.0)
    loud = calm.clone()
    frame = 125
    at = frame * FRAME
    if side == "history":
        edge = at - round((network.history_s - 0.2) * RATE_HZ)
        loud[:, :edge] = noise(9_000, 5.0, seed=1)[:, :edge]
    else:
        edge = at + round((network.context_s - 0.1) * RATE_HZ)
        loud[:, edge:] = noise(9_000, 5.0, seed=1)[:, edge:]
    with torch.inference_mode():
        difference = (network(calm)[0] - network(loud)[0])[0, frame, 0]
    assert float(difference.abs()) > 1e-5


def test_beep_net_has_the_originals_shapes() -> None:
    network = BeepNet()
    assert network(torch.zeros(4, 2, 132_300)).shape == (4, 2)
    assert tuple(network.conv.weight.shape) == (2, 2, 882)
    assert tuple(network.linear.weight.shape) == (2, 298)


def test_beep_net_gives_logits_and_no_probabilities() -> None:
    torch.manual_seed(0)
    logits = BeepNet().eval()(100 * torch.randn(4, 2, 132_300))
    assert float(logits.detach().abs().max()) > 1.5
