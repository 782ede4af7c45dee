"""The networks: sound in, one logit per label and frame out; softmax and sigmoid are not here.

`ToneNet` is beepwatch's own. `BeepNet` is the network of the original sound classifier, kept for
comparison. Both take whole recordings of any length from one frame on.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# About the rounding noise of int16 in one band. Far smaller numbers (as full scale 1 would need)
# are taken for zero by the ONNX exporter, which then leaves the addition out.
FAINTEST_ENERGY = 1e-3
FAINTEST_PRODUCT = 1e-4  # of two steps of phase, whose sizes are energies


class ToneSpectrum(nn.Module):
    """Complex spectra in narrow bands of equal width, one a frame.

    Bands are spaced evenly in Hz, not in mel: a pure tone is then the same ridge, as narrow as
    the window allows, at 400 Hz and at 6 kHz, so the layers behind can share their weights over
    pitch, and a piezo buzzer at 3 kHz does not drown in the noise of a mel band 200 Hz wide.

    A spectrum spans two hops under a Hann window. The window and the cosines are symmetric about
    its centre and the sines antisymmetric, so the later hop is folded back onto the earlier one.
    Bands a whole number of turns a hop apart make the cosines of a hop symmetric about its middle
    too, and the sines antisymmetric; only the window is not. So each half of a hop, the second
    one turned round, has a weight of its own and then shares the table: a quarter of the products.
    """

    def __init__(
        self, rate_hz: int, hop_samples: int, lowest_hz: float, spacing_hz: float, bands: int
    ) -> None:
        super().__init__()
        self.hop_samples = hop_samples
        half = hop_samples // 2
        centre_hz = lowest_hz + spacing_hz * torch.arange(bands, dtype=torch.float64)
        turns = centre_hz * hop_samples / rate_hz
        if hop_samples % 2 or not torch.equal(turns, turns.round()):
            raise ValueError(
                f"bands from {lowest_hz:g} Hz every {spacing_hz:g} Hz do not turn a whole number "
                f"of times in {hop_samples} samples of {rate_hz} Hz"
            )
        before_centre_s = (torch.arange(hop_samples, dtype=torch.float64) + 0.5) / rate_hz
        span_s = 2 * hop_samples / rate_hz
        window = 0.5 - 0.5 * torch.cos(2 * math.pi * before_centre_s / span_s)  # [hop]
        outer, inner = window[:half], window[half:].flip(0)  # [half], of an early hop
        phase = 2 * math.pi * (before_centre_s[:half] - span_s / 2)[:, None] * centre_hz
        # A sine on a band's centre then has the square of its peak as energy, in int16 steps.
        scale = inner[:, None] / window.sum()
        self.register_buffer("even", (torch.cos(phase) * scale).float(), persistent=False)
        self.register_buffer("odd", (torch.sin(phase) * scale).float(), persistent=False)
        self.register_buffer("taper", (outer / inner).float(), persistent=False)
        self.even: Tensor
        self.odd: Tensor
        self.taper: Tensor

    def forward(self, pcm: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of int16 sound in each band, both [batch, spectra, bands]."""
        sound = pcm.to(torch.float32)  # [batch, samples]
        hops = sound.reshape(sound.shape[0], -1, self.hop_samples)  # [batch, spectra, hop]
        half = self.hop_samples // 2
        first = hops[:, :, :half]  # [batch, spectra, half]
        second = hops[:, :, half:].flip(-1)  # [batch, spectra, half]
        # What came before the first sample is unknown: its mirror image has no onset. A mirrored
        # hop begins with its second half turned round and ends with its first.
        first_before = torch.cat([second[:, :1], first[:, :-1]], dim=1)
        second_before = torch.cat([first[:, :1], second[:, :-1]], dim=1)
        taper = self.taper
        even = (second_before + first) + taper * (first_before + second)
        odd = taper * (first_before - second) - (second_before - first)
        return even @ self.even, odd @ self.odd  # [batch, spectra, bands]


def energies(real: Tensor, imaginary: Tensor) -> Tensor:
    """In int16 steps squared, [batch, spectra, bands]."""
    return real * real + imaginary * imaginary


def log_energy(energy: Tensor) -> Tensor:
    """Natural log of energy in int16 steps squared, [batch, spectra, bands]."""
    return torch.log(energy + FAINTEST_ENERGY)


def phase_steps(real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
    """How each band's phase turns from one spectrum to the next, as a complex number.

    Both parts [batch, spectra, bands], as long as the product of the two spectra's magnitudes;
    bands are a whole number of turns a hop apart, so that a tone on a band's centre does not turn,
    and one above it turns forwards.
    """
    real_before, imaginary_before = before(real), before(imaginary)
    return (
        real * real_before + imaginary * imaginary_before,
        # The spectra turn the other way round: `ToneSpectrum` multiplies by e^(+iωt).
        real * imaginary_before - imaginary * real_before,
    )


def steadiness(step_real: Tensor, step_imaginary: Tensor, energy: Tensor) -> Tensor:
    """Cosine of how much the phase's turning changed, [batch, spectra, bands].

    1 for a tone that keeps its pitch, whatever the pitch; a tone that moves by 1 % at 2 kHz within
    20 ms is already far below, noise is anything. Faint bands are 0.
    """
    along = step_real * before(step_real) + step_imaginary * before(step_imaginary)
    step_squared = energy * before(energy)
    size = torch.sqrt(step_squared * before(step_squared))
    return along / (size + FAINTEST_PRODUCT)  # [batch, spectra, bands]


def before(spectra: Tensor) -> Tensor:
    """What the spectrum before was, zero before the first, [batch, spectra, bands]."""
    return F.pad(spectra, (0, 0, 1, -1))


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

    Narrow-band spectra become three pictures of time and pitch (contrast to neighbouring bands,
    rise over the recent past, steadiness of pitch), two spectra to a step of 40 ms. A small 2-D
    convolution sees whether a ridge keeps to its band; residual 1-D convolutions over time see how
    it starts, lasts and comes again, with the same weights for every band. What all bands do at
    once (voices and music fill many) is then told to each of them, and each answers for itself:
    a frame's logit is that of its most convinced band.

    It looks `context_s` ahead and `history_s` back and no further. With windows of 3 s every 1 s,
    history and context fit in two seconds, so that a window's last full second with its context
    answers exactly as an endless stretch would.
    """

    SPECTRA = 2  # frames in a step
    POOLED = 4  # spectral bands in one that answers
    TONES = 3  # of which the pitch is told
    NEAR_LOGITS = 2.5  # how much less convinced than the first the others may be

    def __init__(
        self,
        labels: int = 1,
        rate_hz: int = 16_000,
        frame_samples: int = 320,
        lowest_hz: float = 350.0,
        spacing_hz: float = 50.0,
        bands: int = 128,
        channels: int = 16,
        deep_channels: int = 32,
        shared_channels: int = 48,
        past_frames: int = 20,
        symmetric_dilations: tuple[int, ...] = (1, 2, 4),
        causal_dilations: tuple[int, ...] = (3, 5),
        late_dilations: tuple[int, ...] = (1, 1),
    ) -> None:
        super().__init__()
        self.frame_samples = frame_samples
        step_s = self.SPECTRA * frame_samples / rate_hz
        ahead = 1 + sum(symmetric_dilations)
        # One for the mirrored hop and the phases before it, two for the shared causal kernel.
        back = ahead + 2 * sum(causal_dilations) + 2 * sum(late_dilations) + 2 + 2
        self.context_s = ahead * step_s
        self.history_s = back * step_s + past_frames * frame_samples / rate_hz
        self.labels = labels
        self.lowest_hz, self.spacing_hz = lowest_hz, spacing_hz
        self.frame_s = frame_samples / rate_hz
        self.answering_bands = bands // self.POOLED

        self.spectrum = ToneSpectrum(rate_hz, frame_samples, lowest_hz, spacing_hz, bands)
        self.register_buffer("around", neighbour_mean(bands, 3, 10), persistent=False)
        self.around: Tensor
        self.past_frames = past_frames
        self.level = nn.BatchNorm2d(3 * self.SPECTRA)
        self.ridge = nn.Conv2d(
            3 * self.SPECTRA, channels, (3, 5), stride=(1, 2), padding=(1, 2), bias=False
        )
        self.ridge_norm = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(
            *[BandConv(channels, d, causal=False) for d in symmetric_dilations],
            *[BandConv(channels, d, causal=True) for d in causal_dilations],
        )
        self.widen = nn.Conv2d(channels, deep_channels, 1, bias=False)
        self.widen_norm = nn.BatchNorm2d(deep_channels)
        self.gather = nn.Conv2d(2 * deep_channels, shared_channels, (3, 1))
        self.spread = nn.Conv2d(shared_channels, deep_channels, 1)
        self.late = nn.Sequential(
            *[BandConv(deep_channels, d, causal=True) for d in late_dilations]
        )
        self.answer = nn.Conv2d(deep_channels, labels * self.SPECTRA, 1)
        nn.init.constant_(self.answer.bias, -4.0)  # type: ignore[arg-type] # beeps are rare

    def forward(self, pcm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [batch, frames, labels], pitches in Hz [batch, frames, tones], and embeddings.

        `pcm` is int16 [batch, frames · frame_samples], the number of frames even. The pitches are
        those of the most convinced bands, the first whether or not anything sounds there, 0 for the
        others where they are far less convinced: a buzzer's partials take turns in being first.
        An embedding, [batch, frames, 2 · answering bands + deep channels], is each band's logit
        (of its likeliest label), how far the band stands out of its neighbours (natural log of
        energy), and what the last layer saw in the most convinced one.
        """
        real, imaginary = self.spectrum(pcm)  # [batch, frames, bands]
        step = phase_steps(real, imaginary)
        energy = energies(real, imaginary)
        log = log_energy(energy)
        recent = self.recent(log)
        contrast = log - log @ self.around  # [batch, frames, bands]
        seen = self.deep(self.stacked(contrast, log - recent, steadiness(*step, energy)))
        by_band = self.answers(seen)  # [batch, frames, labels, bands / 4]
        convinced, answering = by_band.amax(dim=2).topk(self.TONES, dim=2)
        pitch_hz = self.pitch_hz(answering, log, *step)  # [batch, frames, tones]
        near = convinced >= convinced[:, :, :1] - self.NEAR_LOGITS
        return (
            by_band.amax(dim=3),
            torch.where(near, pitch_hz, 0.0),
            torch.cat(
                [
                    by_band.amax(dim=2),
                    F.max_pool1d(contrast, self.POOLED),
                    self.of_band(seen, answering[:, :, 0]),
                ],
                dim=2,
            ),
        )

    def spectra(self, pcm: Tensor) -> tuple[Tensor, Tensor]:
        """Log energies and steadiness of int16 sound, both [batch, frames, bands]."""
        real, imaginary = self.spectrum(pcm)
        energy = energies(real, imaginary)
        return log_energy(energy), steadiness(*phase_steps(real, imaginary), energy)

    @property
    def device(self) -> torch.device:
        """Where its weights are, and its input has to be."""
        return self.answer.weight.device

    def temper(self, temperature: float) -> None:
        """Divide all logits by a temperature from now on."""
        with torch.no_grad():
            for parameter in self.answer.parameters():
                parameter.div_(temperature)

    def recent(self, log: Tensor) -> Tensor:
        """Mean log energy of each frame and those before, [batch, frames, bands]."""
        earliest = log[:, :1].expand(-1, self.past_frames, -1)  # [batch, past, bands]
        longer = torch.cat([earliest, log], dim=1)  # [batch, past + frames, bands]
        return F.avg_pool2d(longer[:, None], (self.past_frames + 1, 1), stride=1)[:, 0]

    def pitch_hz(
        self, answering: Tensor, log: Tensor, step_real: Tensor, step_imaginary: Tensor
    ) -> Tensor:
        """Pitch of the strongest spectral band that each answering band saw.

        `answering` is [batch, frames, tones], and so is the answer; to a fraction of a Hz, from how
        the band's phase turned since the frame before.
        """
        last = log.shape[2] - 1
        reach = torch.arange(-1, self.POOLED + 1, device=log.device)
        seen = (self.POOLED * answering[..., None] + reach).clamp(0, last)  # [batch, frames, …]
        strongest = log.gather(2, seen.flatten(2)).reshape(seen.shape).argmax(dim=3, keepdim=True)
        chosen = seen.gather(3, strongest)[..., 0]  # [batch, frames, tones]
        # Of digital silence no angle is known; the graph's atan2(0, 0) would be no number.
        along = step_real.gather(2, chosen) + FAINTEST_PRODUCT
        turned = torch.atan2(step_imaginary.gather(2, chosen), along)
        off_centre_hz = turned / (2 * math.pi * self.frame_s)
        # Halfway between two bands half a turn forwards is one backwards: the stronger neighbour
        # tells which it was. At both ends the one neighbour is taken for two that are alike.
        above = log.gather(2, last - (last - 1 - chosen).abs())
        side = torch.sign(above - log.gather(2, (chosen - 1).abs()))
        wrong = off_centre_hz * side * self.frame_s < -0.25
        off_centre_hz = torch.where(wrong, off_centre_hz + side / self.frame_s, off_centre_hz)
        return self.lowest_hz + self.spacing_hz * chosen + off_centre_hz

    def pictures(self, log: Tensor, recent: Tensor, steady: Tensor) -> Tensor:
        """What `by_band` sees, [batch, 3 · spectra, steps, bands]."""
        return self.stacked(log - log @ self.around, log - recent, steady)

    def stacked(self, contrast: Tensor, rise: Tensor, steady: Tensor) -> Tensor:
        """The pictures from their kinds, each [batch, frames, bands]."""
        x = torch.stack([contrast, rise, 3 * steady], dim=1)  # [batch, 3, frames, bands]
        batch, kinds, frames, bands = x.shape
        x = x.reshape(batch, kinds, frames // self.SPECTRA, self.SPECTRA, bands)
        x = x.transpose(2, 3)  # [batch, 3, spectra, steps, bands]
        return x.reshape(batch, kinds * self.SPECTRA, -1, bands)

    def by_band(self, x: Tensor) -> Tensor:
        """Logits [batch, frames, labels, bands / 4] of what `pictures` gives."""
        return self.answers(self.deep(x))

    def deep(self, x: Tensor) -> Tensor:
        """What the last layer answers from, [batch, deep, steps, bands / 4]."""
        x = F.relu(self.ridge_norm(self.ridge(self.level(x))))  # [batch, channels, steps, bands/2]
        x = self.blocks(x)  # [batch, channels, steps, bands / 2]
        x = F.max_pool2d(self.widen_norm(self.widen(x)), (1, 2))  # [batch, deep, steps, bands / 4]
        x = F.relu(x)
        # Kept in four dimensions, which saves ONNX Runtime from laying all of it out anew.
        all_bands = (1, self.answering_bands)
        told = torch.cat([F.max_pool2d(x, all_bands), F.avg_pool2d(x, all_bands)], dim=1)
        told = F.relu(self.gather(F.pad(told, (0, 0, 2, 0))))  # [batch, shared, steps, 1]
        told = F.interpolate(self.spread(told), scale_factor=all_bands)
        x = F.relu(x + told)  # [batch, deep, steps, bands / 4]
        seen: Tensor = self.late(x)
        return seen

    def answers(self, seen: Tensor) -> Tensor:
        """Logits [batch, frames, labels, bands / 4] of what `deep` gives."""
        x: Tensor = self.answer(seen)  # [batch, spectra · labels, steps, bands / 4]
        batch, _, steps, bands = x.shape
        x = x.reshape(batch, self.SPECTRA, self.labels, steps, bands)
        return x.permute(0, 3, 1, 2, 4).reshape(batch, -1, self.labels, bands)

    def of_band(self, seen: Tensor, answering: Tensor) -> Tensor:
        """What `deep` gives of one band a frame, [batch, frames, deep]; `answering` its number."""
        by_step = seen.permute(0, 2, 3, 1)  # [batch, steps, bands / 4, deep]
        chosen = answering.reshape(
            len(answering), -1, self.SPECTRA, 1
        )  # [batch, steps, spectra, 1]
        return by_step.gather(2, chosen.expand(-1, -1, -1, seen.shape[1])).flatten(1, 2)


class BeepNet(nn.Module):
    """The original sound classifier's network, without the softmax before its loss.

    3 s of stereo sound at 44.1 kHz in, two logits out. Conv1d over 20 ms every 10 ms, batch norm,
    max pool, one linear layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, kernel_size=882, stride=441)
        self.norm = nn.BatchNorm1d(2)
        self.linear = nn.Linear(298, 2)

    def forward(self, sound: Tensor) -> Tensor:
        """Logits [batch, 2] of sound [batch, 2, 132300]."""
        x = self.norm(self.conv(sound))  # [batch, 2, 299]
        x = F.max_pool1d(x, 2)  # [batch, 2, 149]
        logits: Tensor = self.linear(x.flatten(1))  # [batch, 2]
        return logits


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"ToneNet": ToneNet, "BeepNet": BeepNet}
