"""The clips that a network learns from, kept as what its front end makes of them.

The front end has nothing to learn, so it works once on each clip. Half precision is enough: a
clip of 4 s takes 100 kB.
"""

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beepwatch.train.networks import ToneNet
from beepwatch.train.scenes import Clip
from beepwatch.train.truth import OPEN, TONE

LONG_PULSE_FRAMES = 12  # shorter pulses have fewer frames to be learnt from


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one step of the optimizer learns from."""

    spectra: Tensor  # float16 [clips, 2, frames, bands], as `spectra_of`
    truth: Tensor  # [clips, frames]
    weight: Tensor  # [clips, frames]
    tones: Tensor  # int8 [clips, frames, answering bands]


class Pool:
    """Clips as the network's spectra with their truth."""

    def __init__(self) -> None:
        self.spectra: list[NDArray[np.float16]] = []  # [2, frames, bands], as `spectra_of`
        self.truth: list[NDArray[np.float32]] = []  # [frames]
        self.weight: list[NDArray[np.float32]] = []  # [frames]
        self.tones: list[NDArray[np.int8] | None] = []  # [frames, answering bands]

    def add(self, clip: Clip, network: ToneNet) -> None:
        """Keep one clip."""
        self.spectra.append(spectra_of(clip, network))
        self.truth.append(clip.truth)
        self.weight.append(clip.weight * pulse_weight(clip.truth))
        self.tones.append(None if clip.tones is None else answering(clip.tones, network))

    def __len__(self) -> int:
        return len(self.spectra)

    def batch(self, indices: NDArray[np.int64], network: ToneNet) -> Batch:
        """Some clips together."""
        silent = np.zeros((len(self.truth[0]), network.answering_bands), dtype=np.int8)
        tones = [self.tones[i] for i in indices]
        device = network.device
        return Batch(
            spectra=torch.from_numpy(np.stack([self.spectra[i] for i in indices])).to(device),
            truth=torch.from_numpy(np.stack([self.truth[i] for i in indices])).to(device),
            weight=torch.from_numpy(np.stack([self.weight[i] for i in indices])).to(device),
            tones=torch.from_numpy(np.stack([silent if t is None else t for t in tones])).to(
                device
            ),
        )


def spectra_of(clip: Clip, network: ToneNet) -> NDArray[np.float16]:
    """Log energy and steadiness of a clip, [2, frames, bands]."""
    with torch.inference_mode():
        log, steady = network.spectra(torch.from_numpy(clip.pcm)[None].to(network.device))
    return torch.cat([log, steady]).cpu().numpy().astype(np.float16)


def pulse_weight(truth: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much more the frames of a pulse count than others: up to three times if it is short."""
    weight = np.ones_like(truth)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (truth >= 0.5).astype(int), [0]])))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        weight[start:end] = np.clip(LONG_PULSE_FRAMES / (end - start), 1, 3)
    return weight


def answering(tones: NDArray[np.int8], network: ToneNet) -> NDArray[np.int8]:
    """Where the beep is to be seen in the bands that answer, from bins [frames, bins]."""
    first = round(network.lowest_hz / network.spacing_hz)
    cells = tones[:, first : first + network.POOLED * network.answering_bands]
    cells = cells.reshape(len(cells), network.answering_bands, network.POOLED)
    is_open = np.where((cells == OPEN).any(axis=2), OPEN, 0)
    return np.where((cells == TONE).any(axis=2), TONE, is_open).astype(np.int8)


def pictures(spectra: Tensor, network: ToneNet) -> Tensor:
    """`ToneNet.pictures` of clips whose spectra are float16 [clips, 2, frames, bands]."""
    log, steady = spectra[:, 0].float(), spectra[:, 1].float()
    frames, past = log.shape[1], network.past_frames
    place = torch.arange(frames, device=spectra.device)
    age = place[:, None] - place[None, :]
    recent = ((age >= 0) & (age <= past)).float()  # [frames, frames], over which a mean is taken
    recent[:, 0] += (past - place).clamp(min=0)  # the first stands for all before
    mean = torch.einsum("st,btk->bsk", recent / (past + 1), log)
    return network.pictures(log, mean, steady)


def answer(network: ToneNet, spectra: NDArray[np.float16]) -> NDArray[np.float32]:
    """Logits [frames] of one clip; leaves the network in the mode for inference."""
    network.eval()
    with torch.inference_mode():
        seen = pictures(torch.from_numpy(spectra[None]).to(network.device), network)
        logits: NDArray[np.float32] = network.by_band(seen)[0, :, 0].amax(dim=1).cpu().numpy()
    return logits
