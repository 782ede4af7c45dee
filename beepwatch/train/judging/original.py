"""The original sound classifier, trained on beepwatch's own clips, to compare with.

It judges windows of 3 s of stereo sound at 44.1 kHz: does this window hold a beep? One microphone
makes both of its channels here. Nothing of it is shipped: its weights are kept in a directory of
runs, under a name that says what they were trained on.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from beepwatch.train.judging.detection import Heard
from beepwatch.train.networks import BeepNet
from beepwatch.train.recipe import Recipe
from beepwatch.train.scenes import Clip, draw_clip, gather
from beepwatch.train.sounds.rendering import Rendered, render

RATE_HZ = 44_100
WINDOW_S = 3.0
HOP_S = 1.0
FRAME_S = 0.04  # of the truth that comes with clips
SURE_SHARE = 0.5  # of a frame filled by a pulse, so that its window holds a beep

LEARNING_RATE, WEIGHT_DECAY, BATCH = 0.01, 1e-4, 32  # as the original had them
TRAIN_STREAM = 0  # the clips that the recipe's own network is trained on

Report = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How much it is trained."""

    clips: int = 12_000
    epochs: int = 3  # the original took two, over fewer windows
    seed: int = 1


class WindowEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Probability of a beep in each window of 3 s, [windows], one a second."""

    probabilities: NDArray[np.float64]

    def at(self, threshold: float) -> list[Heard]:
        """Runs of windows over the threshold, from the first one's start to the last one's end.

        It tells no pulses: a run is one.
        """
        over = (self.probabilities >= threshold).astype(int)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], over, [0]])))
        detections: list[Heard] = []
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            span = (start * HOP_S, (end - 1) * HOP_S + WINDOW_S)
            score = float(self.probabilities[start:end].max())
            detections.append(Heard(onset_s=span[0], offset_s=span[1], pulses=(span,), score=score))
        return detections


class Original:
    """A trained BeepNet, ready to slide over streams."""

    def __init__(self, network: BeepNet) -> None:
        self._network = network.eval()

    def hear(self, pcm: NDArray[np.int16], rate_hz: int) -> WindowEvidence:
        """Its probabilities on a stream of int16 sound."""
        sound = stereo(pcm, rate_hz)
        window, hop = round(WINDOW_S * RATE_HZ), round(HOP_S * RATE_HZ)
        parts = sound.unfold(1, window, hop).transpose(0, 1)  # [windows, 2, samples]
        with torch.inference_mode():
            probabilities = [
                beep_probability(self._network(parts[start : start + 256])).numpy()
                for start in range(0, len(parts), 256)
            ]
        return WindowEvidence(probabilities=np.concatenate(probabilities))


def beep_probability(logits: Tensor) -> Tensor:
    """The softmax's second column, [batch], of two logits; its only softmax outside the loss."""
    return torch.softmax(logits.double(), dim=1)[:, 1]


def stereo(pcm: NDArray[np.int16], rate_hz: int) -> Tensor:
    """Mono int16 as two equal channels at 44.1 kHz, full scale 1, padded to a window."""
    sound = soxr.resample(pcm.astype(np.float32) / 32_768, rate_hz, RATE_HZ)
    window = round(WINDOW_S * RATE_HZ)
    padded = np.pad(sound, (0, max(window - len(sound), 0)))
    return torch.from_numpy(np.ascontiguousarray(padded, dtype=np.float32)).expand(2, -1)


def windows(clips: Iterable[Clip], rate_hz: int, seed: int) -> tuple[NDArray[np.int16], Tensor]:
    """A window of each clip, [clips, samples], and whether it holds a beep, [clips].

    Windows in which the truth is open are left out.
    """
    rng = np.random.default_rng(seed)
    samples, frame = round(WINDOW_S * rate_hz), round(FRAME_S * rate_hz)
    chosen: list[NDArray[np.int16]] = []
    targets: list[int] = []
    for clip in clips:
        start = int(rng.integers(0, max(len(clip.pcm) - samples, 0) // frame + 1))
        truth = clip.truth[start : start + samples // frame]
        if 0 < truth.max() < SURE_SHARE:
            continue
        piece = clip.pcm[start * frame : start * frame + samples]
        chosen.append(np.pad(piece, (0, samples - len(piece))))
        targets.append(int(truth.max() >= SURE_SHARE))
    return np.stack(chosen), torch.tensor(targets)


def fit(sounds: NDArray[np.int16], targets: Tensor, rate_hz: int, plan: Plan) -> BeepNet:
    """A network trained on windows [windows, samples] with their answers [windows]."""
    torch.manual_seed(plan.seed)
    network = BeepNet().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = plan.epochs * -(-len(sounds) // BATCH)
    pace = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = np.random.default_rng(plan.seed)
    for _epoch in range(plan.epochs):
        order = rng.permutation(len(sounds))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            heard = torch.stack([stereo(sounds[index], rate_hz) for index in batch])
            loss = F.cross_entropy(network(heard), targets[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            pace.step()
    return network


def open_original(
    recipe: Recipe,
    data: Path,
    runs: Path,
    *,
    plan: Plan | None = None,
    retrain: bool = False,
    report: Report = lambda _line: None,
) -> Original:
    """The network for a recipe's clips: the one kept in `runs`, or trained now and kept.

    What is kept does not know of changes to the code that composes clips, nor of other data:
    `retrain` after such.
    """
    plan = plan or Plan()
    # What decides which clips there are; how beepwatch's own network learns from them does not.
    meaning = (recipe.model.rate_hz, recipe.data, recipe.scenes, plan)
    key = hashlib.sha256(msgspec.json.encode(meaning, order="sorted")).hexdigest()[:12]
    kept = runs / f"{key}.safetensors"
    if kept.is_file() and not retrain:
        network = BeepNet()
        network.load_state_dict(load_file(kept))
        return Original(network)
    report(f"training the original BeepNet on {plan.clips} clips of the recipe; kept as {kept}")
    rendered: Sequence[Rendered] = ()
    if recipe.data.rendered_weight > 0:
        rendered = render(runs.parent, recipe.data.rendered_seed, recipe.model.rate_hz, report)
    draw = partial(
        draw_clip,
        stream=TRAIN_STREAM,
        material=gather(data, recipe, "train", rendered),
        recipe=recipe,
        frame_samples=round(FRAME_S * recipe.model.rate_hz),
        beep_share=recipe.scenes.beep_share,
    )
    clips = (draw(index) for index in range(plan.clips))
    sounds, targets = windows(clips, recipe.model.rate_hz, plan.seed)
    network = fit(sounds, targets, recipe.model.rate_hz, plan)
    runs.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous() for name, t in network.state_dict().items()}, kept)
    return Original(network)
