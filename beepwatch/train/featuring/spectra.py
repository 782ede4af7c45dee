"""From frames of sound to rows of features, on a processor.

Frames go through in blocks that fit its cache. Blocks are counted from the recording's first
frame, so the same sound gives the same bytes however it arrives.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from beepwatch.train.featuring.banks import bins_hz, cosines, mel_bank, note_bank, window_of
from beepwatch.train.featuring.recipe import FeatureRecipe, FramesRecipe, needed

Floats = NDArray[np.float32]

BLOCK_FRAMES = 128
_BANDS_A_PRODUCT = 12  # mel bands multiplied at once: near ones share most of their bins
SILENT = float(np.finfo(np.float32).tiny)
CROSSED_FROM = 1e-10  # a sample nearer to zero counts as zero
_PADDINGS = {"zeros": "constant", "reflect": "reflect", "edge": "edge"}


def column_names(recipe: FeatureRecipe) -> list[str]:
    """The name of each column: a feature's, with a number from 0 where it has several."""
    counts = {name: _width(recipe, name) for name in recipe.features}
    names = [name for feature, count in counts.items() for name in _numbered(feature, count)]
    if recipe.deltas is not None:
        for order in range(1, recipe.deltas.orders + 1):
            for feature in recipe.deltas.of:
                names += _numbered(f"{feature}_delta{order}", counts[feature])
    return names


def _width(recipe: FeatureRecipe, feature: str) -> int:
    match feature:
        case "logmel":
            return needed(recipe.mel).bands
        case "mfcc":
            return needed(recipe.mfcc).coefficients
        case "chroma":
            return needed(recipe.chroma).notes
        case "magnitude" | "phase":
            return recipe.frames.fft_samples // 2 + 1
        case _:
            return 1


def _numbered(name: str, count: int) -> list[str]:
    digits = len(str(count - 1))
    return [name] if count == 1 else [f"{name}_{number:0{digits}}" for number in range(count)]


def places(recipe: FeatureRecipe) -> dict[str, slice]:
    """Where each feature's columns are, deltas left out."""
    found: dict[str, slice] = {}
    first = 0
    for feature in recipe.features:
        found[feature] = slice(first, first + _width(recipe, feature))
        first = found[feature].stop
    return found


def padded(sound: Iterable[Floats], frames: FramesRecipe) -> Iterator[Floats]:
    """The sound with half a frame before and after it, where frames are centred; in pieces."""
    if not frames.centred:
        yield from sound
        return
    half, mode = frames.fft_samples // 2, _PADDINGS[frames.padding]
    pieces = iter(sound)
    first = np.zeros(0, dtype=np.float32)  # what the beginning is made of, or all there is
    while len(first) <= half and (piece := next(pieces, None)) is not None:
        first = np.concatenate([first, piece]) if len(first) else piece
    if len(first) <= half:
        if len(first):
            yield _extended(first, (half, half), mode)
        return
    yield _extended(first[: half + 1], (half, 0), mode)[:half]
    last = first  # of which the end is made
    for piece in chain([first], pieces):
        yield piece
        last = piece if len(piece) > half else np.concatenate([last, piece])
        last = last[-half - 1 :]
    yield _extended(last, (0, half), mode)[-half:]


def _extended(sound: Floats, samples: tuple[int, int], mode: str) -> Floats:
    return np.pad(sound, samples, mode=mode)  # type: ignore[no-any-return, call-overload]


def blocks(sound: Iterable[Floats], frames: FramesRecipe) -> Iterator[Floats]:
    """The sound in stretches of `BLOCK_FRAMES` frames, the last of fewer; each [samples]."""
    hop, size = frames.hop_samples, frames.fft_samples
    step, whole = BLOCK_FRAMES * hop, (BLOCK_FRAMES - 1) * hop + size
    pending = np.zeros(0, dtype=np.float32)
    skip = 0  # samples between two frames, where they do not touch
    for piece in padded(sound, frames):
        pending = np.concatenate([pending, piece]) if len(pending) else piece
        pending, skip = pending[skip:], max(0, skip - len(pending))
        first = 0
        while len(pending) - first >= whole:
            yield pending[first : first + whole]
            first += step
        pending, skip = pending[first:], skip + max(0, first - len(pending))
    if len(pending) >= size:
        count = 1 + (len(pending) - size) // hop
        yield pending[: (count - 1) * hop + size]


class Transform:
    """What a recipe makes of frames. One object does one thing at a time: its memory is reused."""

    def __init__(self, recipe: FeatureRecipe) -> None:
        self._frames = recipe.frames
        self._places = places(recipe)
        self.columns = max(place.stop for place in self._places.values())
        precise = np.float64 if recipe.frames.precision == "double" else np.float32
        self._window = window_of(recipe.frames).astype(precise)
        self._windowed = np.empty((BLOCK_FRAMES, recipe.frames.fft_samples), dtype=precise)
        self._fillers: list[Callable[[_Block, Floats], None]] = []
        self._add_spectrum()  # first: energy takes the place of the spectrum, and of its phases
        self._add_mel(recipe)
        self._add_shape(recipe)
        self._add_chroma(recipe)
        self._add_waveform()

    def rows(self, samples: Floats) -> Floats:
        """A row for every frame of a block, [frames, columns]."""
        size, hop = self._frames.fft_samples, self._frames.hop_samples
        count = 1 + (len(samples) - size) // hop
        stride = samples.strides[0]
        frames = as_strided(samples, (count, size), (stride * hop, stride), writeable=False)
        windowed = self._windowed[:count]
        np.multiply(frames, self._window, out=windowed)
        spectrum = scipy.fft.rfft(windowed, axis=1, overwrite_x=True)
        block = _Block(samples, frames, spectrum)
        rows = np.empty((count, self.columns), dtype=np.float32)
        for fill in self._fillers:
            fill(block, rows)
        return rows

    def _add_mel(self, recipe: FeatureRecipe) -> None:
        if recipe.mel is None or recipe.log is None:
            return
        mel, log = recipe.mel, recipe.log
        bank = mel_bank(mel, self._frames.fft_samples, recipe.sound.rate_hz) * log.gain
        parts = [_part_of(bank, first) for first in range(0, mel.bands, _BANDS_A_PRODUCT)]
        divisor = 1.0 if log.base == "e" else np.log(log.base)
        factor, floor = np.float32(log.factor / divisor), np.float32(log.floor)
        raised = np.maximum if log.floor_is == "least" else np.add
        mel_place, mfcc_place = self._places.get("logmel"), self._places.get("mfcc")
        matrix = cosines(recipe.mfcc, mel.bands).astype(np.float32) if recipe.mfcc else None

        def fill(block: _Block, rows: Floats) -> None:
            power = block.power(mel.power)
            bands = np.empty((len(rows), mel.bands), dtype=np.float32)
            for place, bins, weights in parts:
                np.matmul(power[:, bins], weights, out=bands[:, place])
            raised(bands, floor, out=bands)
            np.log(bands, out=bands)
            bands *= factor
            if mel_place is not None:
                rows[:, mel_place] = bands
            if mfcc_place is not None and matrix is not None:
                np.matmul(bands, matrix, out=rows[:, mfcc_place])

        self._fillers.append(fill)

    def _add_spectrum(self) -> None:
        if (place := self._places.get("phase")) is not None:
            phase = place
            self._fillers.append(
                lambda block, rows: np.copyto(rows[:, phase], np.angle(block.spectrum))
            )
        if (place := self._places.get("magnitude")) is not None:
            magnitude = place
            self._fillers.append(
                lambda block, rows: np.copyto(rows[:, magnitude], block.power(1.0))
            )

    def _add_shape(self, recipe: FeatureRecipe) -> None:
        if recipe.shape is None:
            return
        shape = recipe.shape
        hz = bins_hz(self._frames.fft_samples, recipe.sound.rate_hz).astype(np.float32)
        order, share = np.float32(shape.bandwidth_order), np.float32(shape.rolloff_share)
        where = {name: self._places.get(name) for name in ("centroid", "bandwidth", "rolloff")}

        def fill(block: _Block, rows: Floats) -> None:
            power = block.power(shape.power)
            total = power.sum(axis=1, keepdims=True)
            centroid = power @ hz[:, np.newaxis] / np.maximum(total, SILENT)  # silence: 0 Hz
            if (place := where["centroid"]) is not None:
                rows[:, place] = centroid
            if (place := where["bandwidth"]) is not None:
                off = np.abs(hz - centroid) ** order
                mean = (power * off).sum(axis=1, keepdims=True) / np.maximum(total, SILENT)
                rows[:, place] = mean ** (1 / order)
            if (place := where["rolloff"]) is not None:
                so_far = np.cumsum(power, axis=1)
                reached = so_far >= share * so_far[:, -1:]
                rows[:, place] = hz[reached.argmax(axis=1)][:, np.newaxis]

        self._fillers.append(fill)

    def _add_chroma(self, recipe: FeatureRecipe) -> None:
        if recipe.chroma is None:
            return
        chroma, place = recipe.chroma, self._places["chroma"]
        bank = note_bank(chroma, self._frames.fft_samples, recipe.sound.rate_hz)
        weights = np.ascontiguousarray(bank.T, dtype=np.float32)

        def fill(block: _Block, rows: Floats) -> None:
            notes = block.power(chroma.power) @ weights
            rows[:, place] = notes / np.maximum(_size_of(notes, chroma.norm), SILENT)

        self._fillers.append(fill)

    def _add_waveform(self) -> None:
        size, hop = self._frames.fft_samples, self._frames.hop_samples

        def crossings(block: _Block, rows: Floats) -> None:
            sign = block.samples < -np.float32(CROSSED_FROM)
            crossed = np.concatenate([[0], np.cumsum(sign[1:] != sign[:-1])])
            starts = np.arange(len(rows)) * hop
            count = crossed[starts + size - 1] - crossed[starts]
            rows[:, self._places["zero_crossings"]] = (count / size)[:, np.newaxis]

        def rms(block: _Block, rows: Floats) -> None:
            energy = np.einsum("ij,ij->i", block.frames, block.frames)
            rows[:, self._places["rms"]] = np.sqrt(energy / np.float32(size))[:, np.newaxis]

        if "zero_crossings" in self._places:
            self._fillers.append(crossings)
        if "rms" in self._places:
            self._fillers.append(rms)


class _Block:
    """Some frames and what has been found out about them."""

    def __init__(
        self, samples: Floats, frames: Floats, spectrum: NDArray[np.complexfloating]
    ) -> None:
        self.samples = samples
        self.frames = frames  # [frames, fft_samples], before the window
        self.spectrum = spectrum  # [frames, bins]; no more, once a power was asked for
        self._powers: dict[float, Floats] = {}

    def power(self, exponent: float) -> Floats:
        """The magnitudes to that power, [frames, bins]; not to be written into."""
        if exponent not in self._powers:
            self._powers[exponent] = self._power(exponent)
        return self._powers[exponent]

    def _power(self, exponent: float) -> Floats:
        if exponent != 2:
            energy = self.power(2.0)
            return np.sqrt(energy) if exponent == 1 else energy ** np.float32(exponent / 2)
        parts = self.spectrum.view(self.spectrum.real.dtype)  # real, imaginary, real, …
        np.square(parts, out=parts)  # where it lies: to get other memory takes longer
        return (parts[:, 0::2] + parts[:, 1::2]).astype(np.float32, copy=False)


def _part_of(bank: NDArray[np.float64], first: int) -> tuple[slice, slice, Floats]:
    """Some bands of a bank, the bins that they touch, and the weights, [bins, bands]."""
    bands = bank[first : first + _BANDS_A_PRODUCT]
    touched = np.flatnonzero(bands.any(axis=0))
    bins = slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 1)
    weights = np.ascontiguousarray(bands[:, bins].T, dtype=np.float32)
    return slice(first, first + len(bands)), bins, weights


def _size_of(notes: Floats, norm: str) -> Floats:
    match norm:
        case "max":
            return np.asarray(notes.max(axis=1, keepdims=True))
        case "sum":
            return np.asarray(notes.sum(axis=1, keepdims=True))
        case "euclidean":
            return np.asarray(np.sqrt(np.square(notes).sum(axis=1, keepdims=True)))
        case _:
            return np.ones((1, 1), dtype=np.float32)
