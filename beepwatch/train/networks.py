"""The networks: sound in, one logit per label and frame out; softmax and sigmoid are not here.

`ToneNet` is beepwatch's own. `BeepNet` is the network of the original sound classifier, kept for
comparison. Both take whole recordings of any length from one frame on.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ToneSpectrum(nn.Module):
    """Log energy in narrow bands of equal width, two spectra a frame.

    Bands are spaced evenly in Hz, not in mel: a pure tone is then the same ridge, as narrow as
    the window allows, at 400 Hz and at 6 kHz, so the layers behind can share their weights over
    pitch, and a piezo buzzer at 3 kHz does not drown in the noise of a mel band 200 Hz wide.

    A spectrum spans two hops under a Hann window. The window and the cosines are symmetric about
    its centre and the sines antisymmetric, so that folding the later hop back onto the earlier
    one halves the matrix products.
    """

    def __init__(
        self, rate_hz: int, hop_samples: int, lowest_hz: float, spacing_hz: float, bands: int
    ) -> None:
        super().__init__()
        self.hop_samples = hop_samples
        centre_hz = lowest_hz + spacing_hz * torch.arange(bands, dtype=torch.float64)
        before_centre_s = (torch.arange(hop_samples, dtype=torch.float64) + 0.5) / rate_hz
        span_s = 2 * hop_samples / rate_hz
        window = 0.5 - 0.5 * torch.cos(2 * math.pi * before_centre_s / span_s)  # [hop]
        phase = 2 * math.pi * (before_centre_s - span_s / 2)[:, None] * centre_hz  # [hop, bands]
        # A sine on a band's centre then has the square of its peak as energy, in int16 steps.
        scale = window[:, None] / window.sum()
        self.register_buffer("even", (torch.cos(phase) * scale).float(), persistent=False)
        self.register_buffer("odd", (torch.sin(phase) * scale).float(), persistent=False)
        self.even: Tensor
        self.odd: Tensor
        # About the rounding noise of int16 in one band. Far smaller numbers (as full scale 1 would
        # need) are taken for zero by the ONNX exporter, which then leaves the addition out.
        self.faintest_energy = 1e-3

    def forward(self, pcm: Tensor) -> Tensor:
        """Natural log of band energies of int16 sound, [batch, spectra, bands]."""
        sound = pcm.to(torch.float32)  # [batch, samples]
        hops = sound.reshape(sound.shape[0], -1, self.hop_samples)  # [batch, spectra, hop]
        # What came before the first sample is unknown: its mirror image has no onset.
        hops = torch.cat([hops[:, :1].flip(-1), hops], dim=1)  # [batch, spectra + 1, hop]
        early = hops[:, :-1]  # [batch, spectra, hop]
        late = hops[:, 1:].flip(-1)  # [batch, spectra, hop]
        real = (early + late) @ self.even  # [batch, spectra, bands]
        imaginary = (early - late) @ self.odd  # [batch, spectra, bands]
        energy = real.square() + imaginary.square()  # [batch, spectra, bands]
        return torch.log(energy + self.faintest_energy)  # [batch, spectra, bands]


def neighbour_mean(bands: int, nearest: int, farthest: int) -> Tensor:
    """Matrix [bands, bands] that averages the bands `nearest` to `farthest` away on both sides."""
    apart = (torch.arange(bands)[:, None] - torch.arange(bands)[None, :]).abs()
    chosen = ((apart >= nearest) & (apart <= farthest)).float()
    return chosen / chosen.sum(dim=0, keepdim=True)


class BandConv(nn.Module):
    """Residual convolution over time, the same weights for every band.

    The kernel of three looks `2 · dilation` back when causal, else `dilation` back and ahead.
    """

    def __init__(self, channels: int, dilation: int, causal: bool) -> None:
        super().__init__()
        self.before = 2 * dilation if causal else dilation
        self.after = 0 if causal else dilation
        self.conv = nn.Conv2d(channels, channels, (3, 1), dilation=(dilation, 1), bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The input and what the convolution adds, [batch, channels, frames, bands]."""
        padded = F.pad(x, (0, 0, self.before, self.after))
        added: Tensor = self.norm(self.conv(padded))
        return F.relu(x + added)  # [batch, channels, frames, bands]


class ToneNet(nn.Module):
    """Hears tones that start, hold their pitch and stop, whatever the pitch.

    Narrow-band spectra become four channels (contrast to neighbouring bands and to the recent
    past, for two spectra a frame); a small 2-D convolution sees whether a ridge keeps to its
    band; residual 1-D convolutions over time see how it starts, lasts and comes again, with the
    same weights for every band; the loudest and the mean over bands go to the labels' logits.

    It looks `context_s` ahead and `history_s` back and no further. With windows of 3 s every 1 s,
    history and context fit in two seconds, so that a window's last full second with its context
    answers exactly as an endless stretch would.
    """

    def __init__(
        self,
        labels: int = 1,
        rate_hz: int = 16_000,
        frame_samples: int = 640,
        lowest_hz: float = 350.0,
        spacing_hz: float = 50.0,
        bands: int = 128,
        channels: int = 16,
        head_channels: int = 48,
        past_frames: int = 10,
        symmetric_dilations: tuple[int, ...] = (1, 2, 4),
        causal_dilations: tuple[int, ...] = (4, 6),
    ) -> None:
        super().__init__()
        self.frame_samples = frame_samples
        frame_s = frame_samples / rate_hz
        ahead = 1 + sum(symmetric_dilations)
        # One for the mirrored hop, two for the head's causal kernel.
        back = ahead + 2 * sum(causal_dilations) + past_frames + 1 + 2
        self.context_s = ahead * frame_s
        self.history_s = back * frame_s

        self.spectrum = ToneSpectrum(rate_hz, frame_samples // 2, lowest_hz, spacing_hz, bands)
        self.register_buffer("around", neighbour_mean(bands, 3, 10), persistent=False)
        self.around: Tensor
        self.past_spectra = 2 * past_frames
        self.level = nn.BatchNorm2d(4)
        self.ridge = nn.Conv2d(4, channels, (3, 5), padding=(1, 2), bias=False)
        self.ridge_norm = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(
            *[BandConv(channels, d, causal=False) for d in symmetric_dilations],
            *[BandConv(channels, d, causal=True) for d in causal_dilations],
        )
        self.rhythm = nn.Conv1d(2 * channels, head_channels, 3)
        self.logits = nn.Conv1d(head_channels, labels, 1)

    def forward(self, pcm: Tensor) -> Tensor:
        """Logits [batch, frames, labels] of int16 sound [batch, frames · frame_samples]."""
        return self.hear(self.spectrum(pcm))  # [batch, frames, labels]

    def hear(self, energy: Tensor) -> Tensor:
        """Logits [batch, frames, labels] of log energies [batch, 2 · frames, bands]."""
        batch, spectra, bands = energy.shape
        contrast = energy - energy @ self.around  # [batch, spectra, bands]
        rise = energy - self.recent_mean(energy)  # [batch, spectra, bands]
        x = torch.stack([contrast, rise], dim=1)  # [batch, 2, spectra, bands]
        x = x.reshape(batch, 2, spectra // 2, 2, bands)  # [batch, 2, frames, 2, bands]
        x = x.transpose(2, 3).reshape(batch, 4, -1, bands)  # [batch, 4, frames, bands]
        x = F.relu(self.ridge_norm(self.ridge(self.level(x))))  # [batch, channels, frames, bands]
        x = F.max_pool2d(x, (1, 2))  # [batch, channels, frames, bands / 2]
        x = self.blocks(x)  # [batch, channels, frames, bands / 2]
        x = torch.cat([x.amax(dim=3), x.mean(dim=3)], dim=1)  # [batch, 2 · channels, frames]
        x = F.relu(self.rhythm(F.pad(x, (2, 0))))  # [batch, head_channels, frames]
        logits: Tensor = self.logits(x).transpose(1, 2)  # [batch, frames, labels]
        return logits

    def recent_mean(self, energy: Tensor) -> Tensor:
        """Each band's mean over the spectra just before and this one, [batch, spectra, bands]."""
        before = energy[:, :1].expand(-1, self.past_spectra, -1)  # [batch, past, bands]
        longer = torch.cat([before, energy], dim=1)  # [batch, past + spectra, bands]
        return F.avg_pool2d(longer[:, None], (self.past_spectra + 1, 1), stride=1)[:, 0]


class BeepNet(nn.Module):
    """The original sound classifier's network, without the softmax before its loss.

    3 s of stereo sound at 44.1 kHz in, two logits out. Conv1d over 20 ms every 10 ms, batch norm,
    max pool, one linear layer.
    """

    def __init__(self, labels: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, kernel_size=882, stride=441)
        self.norm = nn.BatchNorm1d(2)
        self.linear = nn.Linear(298, labels)

    def forward(self, sound: Tensor) -> Tensor:
        """Logits [batch, labels] of sound [batch, 2, 132300]."""
        x = self.norm(self.conv(sound))  # [batch, 2, 299]
        x = F.max_pool1d(x, 2)  # [batch, 2, 149]
        logits: Tensor = self.linear(x.flatten(1))  # [batch, labels]
        return logits


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"ToneNet": ToneNet, "BeepNet": BeepNet}
