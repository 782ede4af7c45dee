"""From frames of sound to rows of features, on a graphics processor; `spectra` says what they are.

Blocks of many recordings go through together, and every batch has the same shape, with silence
where there is nothing: so the rows of a block are the same bytes whatever it shares its batch with.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beepwatch.train.featuring.banks import bins_hz, cosines, mel_bank, note_bank, window_of
from beepwatch.train.featuring.recipe import FeatureRecipe
from beepwatch.train.featuring.spectra import BLOCK_FRAMES, CROSSED_FROM, SILENT, places

MEMORY_BYTES = 1 << 30  # of the device, at most
_MOST_BLOCKS = 32  # of a batch: 4,096 frames keep a large device busy


def blocks_of_batch(recipe: FeatureRecipe) -> int:
    """How many blocks fit into the memory that may be used; 0 if not even one does."""
    size = recipe.frames.fft_samples
    columns: int = max(place.stop for place in places(recipe).values())
    number = 8 if recipe.frames.precision == "double" else 4
    # What is alive at once for each sample of a frame: it, windowed, and a copy of the transform;
    # the spectrum and its squares; and of each of half as many bins at most 50 bytes more.
    frame_bytes = size * (4 * number + 25) + 8 * columns
    bands = recipe.mel.bands if recipe.mel else 0
    notes = recipe.chroma.notes if recipe.chroma else 0
    left = MEMORY_BYTES - 2 * size * (bands + notes)  # of their weights for each bin
    return max(0, min(left // (frame_bytes * BLOCK_FRAMES), _MOST_BLOCKS))


class BatchTransform:
    """What a recipe makes of blocks of `BLOCK_FRAMES` frames, as `Transform` does."""

    def __init__(self, recipe: FeatureRecipe, device: torch.device) -> None:
        self._frames = recipe.frames
        self._device = device
        self._places = places(recipe)
        self.samples = (BLOCK_FRAMES - 1) * recipe.frames.hop_samples + recipe.frames.fft_samples
        self.columns = max(place.stop for place in self._places.values())
        double = recipe.frames.precision == "double"
        self._window = torch.as_tensor(
            window_of(recipe.frames), dtype=torch.float64 if double else torch.float32
        ).to(device)
        self._fillers: list[Callable[[_Batch, Tensor], None]] = []
        self._add_mel(recipe)
        self._add_spectrum()
        self._add_shape(recipe)
        self._add_chroma(recipe)
        self._add_waveform()

    @torch.inference_mode()
    def rows(self, samples: Tensor) -> Tensor:
        """Of float32 [blocks, samples], float32 [blocks, frames, columns]."""
        size, hop = self._frames.fft_samples, self._frames.hop_samples
        frames = samples.unfold(-1, size, hop)  # [blocks, frames, size], a view
        spectrum = torch.fft.rfft(frames * self._window)  # [blocks, frames, bins]
        batch = _Batch(samples, frames, spectrum)
        rows = torch.empty((*frames.shape[:2], self.columns), device=self._device)
        for fill in self._fillers:
            fill(batch, rows)
        return rows

    def _constant(self, numbers: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(numbers, dtype=np.float32)).to(self._device)

    def _add_mel(self, recipe: FeatureRecipe) -> None:
        if recipe.mel is None or recipe.log is None:
            return
        mel, log = recipe.mel, recipe.log
        bank = mel_bank(mel, self._frames.fft_samples, recipe.sound.rate_hz) * log.gain
        weights = self._constant(bank.T)  # [bins, bands]
        factor = float(log.factor / (1.0 if log.base == "e" else np.log(log.base)))
        floor, is_least = log.floor, log.floor_is == "least"
        mel_place, mfcc_place = self._places.get("logmel"), self._places.get("mfcc")
        matrix = self._constant(cosines(recipe.mfcc, mel.bands)) if recipe.mfcc else None

        def fill(batch: _Batch, rows: Tensor) -> None:
            bands = batch.power(mel.power) @ weights
            bands = bands.clamp_(min=floor) if is_least else bands.add_(floor)
            bands = bands.log_().mul_(factor)
            if mel_place is not None:
                rows[..., mel_place] = bands
            if mfcc_place is not None and matrix is not None:
                rows[..., mfcc_place] = bands @ matrix

        self._fillers.append(fill)

    def _add_spectrum(self) -> None:
        def magnitudes(batch: _Batch, rows: Tensor) -> None:
            rows[..., self._places["magnitude"]] = batch.power(1.0)

        def phases(batch: _Batch, rows: Tensor) -> None:
            rows[..., self._places["phase"]] = batch.spectrum.angle()

        if "magnitude" in self._places:
            self._fillers.append(magnitudes)
        if "phase" in self._places:
            self._fillers.append(phases)

    def _add_shape(self, recipe: FeatureRecipe) -> None:
        if recipe.shape is None:
            return
        shape = recipe.shape
        hz = self._constant(bins_hz(self._frames.fft_samples, recipe.sound.rate_hz))
        where = {name: self._places.get(name) for name in ("centroid", "bandwidth", "rolloff")}

        def fill(batch: _Batch, rows: Tensor) -> None:
            power = batch.power(shape.power)
            total = power.sum(dim=-1, keepdim=True).clamp_(min=SILENT)  # silence: 0 Hz
            centroid = (power @ hz[:, None]) / total
            if (place := where["centroid"]) is not None:
                rows[..., place] = centroid
            if (place := where["bandwidth"]) is not None:
                off = (hz - centroid).abs_().pow_(shape.bandwidth_order)
                mean = off.mul_(power).sum(dim=-1, keepdim=True) / total
                rows[..., place] = mean ** (1 / shape.bandwidth_order)
            if (place := where["rolloff"]) is not None:
                so_far = power.cumsum(dim=-1, dtype=torch.float64)
                reached = so_far >= shape.rolloff_share * so_far[..., -1:]
                rows[..., place] = hz[reached.byte().argmax(dim=-1)][..., None]

        self._fillers.append(fill)

    def _add_chroma(self, recipe: FeatureRecipe) -> None:
        if recipe.chroma is None:
            return
        chroma, place = recipe.chroma, self._places["chroma"]
        bank = note_bank(chroma, self._frames.fft_samples, recipe.sound.rate_hz)
        weights = self._constant(bank.T)

        def fill(batch: _Batch, rows: Tensor) -> None:
            notes = batch.power(chroma.power) @ weights
            rows[..., place] = notes / _size_of(notes, chroma.norm).clamp(min=SILENT)

        self._fillers.append(fill)

    def _add_waveform(self) -> None:
        size, hop = self._frames.fft_samples, self._frames.hop_samples
        starts = torch.arange(BLOCK_FRAMES, device=self._device) * hop

        def crossings(batch: _Batch, rows: Tensor) -> None:
            sign = batch.samples < -CROSSED_FROM
            crossed = (sign[:, 1:] != sign[:, :-1]).cumsum(dim=-1, dtype=torch.int32)
            crossed = torch.nn.functional.pad(crossed, (1, 0))
            count = crossed[:, starts + size - 1] - crossed[:, starts]
            rows[..., self._places["zero_crossings"]] = (count / size)[..., None]

        def rms(batch: _Batch, rows: Tensor) -> None:
            energy = batch.frames.square().sum(dim=-1, keepdim=True)
            rows[..., self._places["rms"]] = (energy / size).sqrt_()

        if "zero_crossings" in self._places:
            self._fillers.append(crossings)
        if "rms" in self._places:
            self._fillers.append(rms)


class _Batch:
    """Some blocks and what has been found out about them."""

    def __init__(self, samples: Tensor, frames: Tensor, spectrum: Tensor) -> None:
        self.samples = samples  # [blocks, samples]
        self.frames = frames  # [blocks, frames, fft_samples], before the window
        self.spectrum = spectrum  # [blocks, frames, bins]
        self._powers: dict[float, Tensor] = {}

    def power(self, exponent: float) -> Tensor:
        """The magnitudes to that power, [blocks, frames, bins]; not to be written into."""
        if exponent not in self._powers:
            self._powers[exponent] = self._power(exponent)
        return self._powers[exponent]

    def _power(self, exponent: float) -> Tensor:
        if exponent != 2:
            energy = self.power(2.0)
            return energy.sqrt() if exponent == 1 else energy ** (exponent / 2)
        energy = self.spectrum.real.square()
        energy += self.spectrum.imag.square()
        return energy.float()


def _size_of(notes: Tensor, norm: str) -> Tensor:
    match norm:
        case "max":
            return notes.amax(dim=-1, keepdim=True)
        case "sum":
            return notes.sum(dim=-1, keepdim=True)
        case "euclidean":
            return notes.square().sum(dim=-1, keepdim=True).sqrt()
        case _:
            return torch.ones(1, device=notes.device)
