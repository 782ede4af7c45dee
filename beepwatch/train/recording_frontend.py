"""What a feature recipe makes of sound, as a part of a network: log-mel bands, MFCC, level.

The same numbers as `featuring/spectra.py` makes on a processor, but for rounding; so a network can
be exported with its front end, and no second way leads from a sound to it.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from beepwatch.capture.levels import FULL_SCALE
from beepwatch.train.featuring.banks import cosines, mel_bank, window_of
from beepwatch.train.featuring.recipe import FeatureRecipe, needed

FEATURES = ("logmel", "mfcc", "rms")
LARGEST_FRAME = 4_096  # whose tables have 17 MB
_QUARTERS = 4
_MOST_FLOORS = 1e30  # that the gain may have, or full scale would be no number any more


def unexportable_features(recipe: FeatureRecipe) -> str | None:
    """What of a recipe cannot be part of a network."""
    others = [name for name in recipe.features if name not in FEATURES]
    frames = recipe.frames
    if others:
        return f"features has {others[0]!r}, and only {', '.join(FEATURES)} can be"
    if recipe.deltas is not None:
        return "[deltas] look beyond a block's ends"
    if recipe.normalisation.kind in ("window", "file"):
        return f"normalisation.kind {recipe.normalisation.kind!r} wants more than a block"
    if frames.padding not in ("zeros", "nothing"):
        return f'frames.padding is {frames.padding!r}, and only "zeros" and "nothing" can be'
    if frames.fft_samples % _QUARTERS or frames.fft_samples > LARGEST_FRAME:
        return (
            f"frames.fft_samples is {frames.fft_samples}, no multiple of {_QUARTERS} up to "
            f"{LARGEST_FRAME}"
        )
    if recipe.log is not None and recipe.log.gain / recipe.log.floor > _MOST_FLOORS:
        return f"log.floor is {recipe.log.floor:g}, less than {_MOST_FLOORS:g}th of log.gain"
    if recipe.sound.channel != "mean":
        return f'sound.channel is {recipe.sound.channel}, and only "mean" can be'
    return None


class PowerSpectrum(nn.Module):
    """Squared magnitudes of a Fourier transform of windowed frames, even bins before odd ones.

    Of a frame of N samples, sample n + N/2 counts for an even bin as sample n does and for an odd
    one against it; so half the samples' sums and differences are enough. Of these again n and
    N/2 - n have the same cosines and opposite sines, or the other way round. A quarter of the
    products is left (the first step of Cooley and Tukey's transform, 1965, and real symmetry).
    """

    def __init__(self, window: NDArray[np.float64]) -> None:
        super().__init__()
        size = len(window)
        half, quarter = size // 2, size // 4
        place = np.arange(quarter + 1)[:, np.newaxis]
        even, odd = np.arange(0, half + 1, 2), np.arange(1, half, 2)
        turn = 2 * math.pi / size
        self._half, self._quarter = half, quarter
        self.bins = np.concatenate([even, odd])
        self._table("window", window / FULL_SCALE)
        self._table("even_cosines", np.cos(turn * place * even))
        self._table("even_sines", np.sin(turn * place * even)[1:quarter])
        self._table("odd_cosines", np.cos(turn * place * odd)[:quarter])
        self._table("odd_sines", np.sin(turn * place * odd)[1:])
        self.window: Tensor
        self.even_cosines: Tensor
        self.even_sines: Tensor
        self.odd_cosines: Tensor
        self.odd_sines: Tensor

    def _table(self, name: str, table: NDArray[np.float64]) -> None:
        self.register_buffer(name, torch.from_numpy(table).float(), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Of frames [blocks, frames, size] in int16 steps, [blocks, frames, bins]."""
        windowed = frames * self.window  # [blocks, frames, size]
        early, late = windowed[..., : self._half], windowed[..., self._half :]
        real, imaginary = self._even(early + late)  # both [blocks, frames, quarter + 1]
        of_even = real * real + imaginary * imaginary
        real, imaginary = self._odd(early - late)  # both [blocks, frames, quarter]
        return torch.cat([of_even, real * real + imaginary * imaginary], dim=-1)

    def _even(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        first, turned, middle = self._parted(sums)
        inner = sums[..., 1 : self._quarter]
        same = torch.cat([first, inner + turned, middle], dim=-1)  # [blocks, frames, quarter + 1]
        return same @ self.even_cosines, (inner - turned) @ self.even_sines

    def _odd(self, differences: Tensor) -> tuple[Tensor, Tensor]:
        first, turned, middle = self._parted(differences)
        inner = differences[..., 1 : self._quarter]
        against = torch.cat([first, inner - turned], dim=-1)  # [blocks, frames, quarter]
        same = torch.cat([inner + turned, middle], dim=-1)  # [blocks, frames, quarter]
        return against @ self.odd_cosines, same @ self.odd_sines

    def _parted(self, half: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The first sample; those of the second half turned round; the one in the middle."""
        middle = half[..., self._quarter : self._quarter + 1]
        return half[..., :1], half[..., self._quarter + 1 :].flip(-1), middle


class FrontEnd(nn.Module):
    """The rows of a feature recipe, whose `unexportable_features` is None."""

    def __init__(self, recipe: FeatureRecipe) -> None:
        super().__init__()
        self.features = recipe.features
        self.frame_samples = recipe.frames.fft_samples
        self.hop_samples = recipe.frames.hop_samples
        self.spectrum = PowerSpectrum(window_of(recipe.frames))
        self.exponent, self.floor_is_least = 2.0, True
        self.factor = self.lowest = 0.0
        if recipe.mel is not None:
            self._add_mel(recipe)
        stated = recipe.normalisation
        self._constant("stated_mean", stated.mean or 0.0)
        self._constant("stated_deviation", stated.deviation or 1.0)

    def _add_mel(self, recipe: FeatureRecipe) -> None:
        mel, log = needed(recipe.mel), needed(recipe.log)
        bank = mel_bank(mel, self.frame_samples, recipe.sound.rate_hz).T[self.spectrum.bins]
        # With the floor as one: a faint number that is added the exporter would take for nothing.
        self._constant("bank", bank * (log.gain / log.floor))
        self.exponent, self.floor_is_least = mel.power, log.floor_is == "least"
        self.factor = log.factor / (1.0 if log.base == "e" else math.log(log.base))
        self.lowest = self.factor * math.log(log.floor)
        if recipe.mfcc is not None:
            self._constant("cosines", cosines(recipe.mfcc, mel.bands))

    def _constant(self, name: str, value: object) -> None:
        tensor = torch.from_numpy(np.asarray(value, dtype=np.float32))
        self.register_buffer(name, tensor, persistent=False)

    def forward(self, pcm: Tensor) -> Tensor:
        """Features [blocks, frames, columns] of int16 sound [blocks, samples]."""
        sound = pcm.to(torch.float32)  # [blocks, samples]
        frames = sound.unfold(1, self.frame_samples, self.hop_samples)  # [blocks, frames, samples]
        made: dict[str, Tensor] = {}
        if "rms" in self.features:
            level = (frames / FULL_SCALE).square().mean(dim=-1, keepdim=True).sqrt()
            made["rms"] = level  # [blocks, frames, 1]
        if "logmel" in self.features or "mfcc" in self.features:
            made["logmel"] = self._bands(frames)  # [blocks, frames, bands]
        if "mfcc" in self.features:
            made["mfcc"] = made["logmel"] @ self.get_buffer("cosines")
        rows = torch.cat([made[name] for name in self.features], dim=-1)
        return (rows - self.get_buffer("stated_mean")) / self.get_buffer("stated_deviation")

    def _bands(self, frames: Tensor) -> Tensor:
        power = self.spectrum(frames)  # [blocks, frames, bins]
        if self.exponent == 1:
            power = power.sqrt()
        elif self.exponent != 2:
            power = power ** (self.exponent / 2)
        above = power @ self.get_buffer("bank")  # [blocks, frames, bands], in floors
        raised = above.clamp(min=1.0) if self.floor_is_least else above + 1.0
        logs: Tensor = raised.log() * self.factor + self.lowest
        return logs
