"""A trained network that names recordings becomes a bundle: it is served without torch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

from beepwatch.classify.bundle import (
    DESCRIPTION,
    FORMAT,
    GRAPH,
    RECORDINGS,
    WEIGHTS,
    count_parameters,
    sha256_of,
)
from beepwatch.classify.recordings import RecordingInfo, load_recording_bundle
from beepwatch.errors import ModelError
from beepwatch.train.export import export_onnx, write_description
from beepwatch.train.featuring.recipe import FeatureRecipe
from beepwatch.train.featuring.spectra import column_names
from beepwatch.train.recording_frontend import FrontEnd, unexportable_features
from beepwatch.train.recording_networks import Network

_MOST_BLOCKS, _MOST_SAMPLES = 1_000, 10_000_000


class Hearing(nn.Module):
    """From sound to logits."""

    def __init__(self, front_end: FrontEnd, network: Network) -> None:
        super().__init__()
        self.front_end = front_end
        self.network = network

    def forward(self, pcm: Tensor) -> Tensor:
        """Logits [blocks, labels] of int16 sound [blocks, samples]."""
        logits: Tensor = self.network(self.front_end(pcm))  # [blocks, labels]
        return logits


def write_recording_bundle(
    out: Path,
    network: Network,
    *,
    name: str,
    labels: tuple[str, ...],
    normal: Sequence[str],
    features: FeatureRecipe,
    block_frames: int,
    step_frames: int,
    recipe_digest: str,
    data_digest: str,
    architecture: str,
    quality: dict[str, float],
) -> RecordingInfo:
    """Add graph and description to the weights in `out`, the description last.

    Raises ModelError if no bundle can be made of them; then there is none in `out`.
    """
    if reason := unexportable(features, len(network.mean)):
        raise ModelError(reason)
    frames = features.frames
    _export_graph(Hearing(FrontEnd(features), network), out / GRAPH)
    # `save_file` lets only their owner read them, and a server may be another user.
    (out / WEIGHTS).chmod((out / GRAPH).stat().st_mode)
    files = {file: sha256_of(out / file) for file in (GRAPH, WEIGHTS)}
    info = RecordingInfo(
        kind=RECORDINGS,
        format=FORMAT,
        name=name,
        model_id=files[GRAPH][:12],
        labels=labels,
        normal=tuple(label for label in labels if label in normal),
        rate_hz=features.sound.rate_hz,
        frame_samples=frames.fft_samples,
        hop_samples=frames.hop_samples,
        centred=frames.centred,
        block_frames=block_frames,
        step_frames=step_frames,
        architecture=architecture,
        parameters=count_parameters(out / WEIGHTS) or 0,
        recipe_digest=recipe_digest,
        features_digest=features.plain.digest,
        data_digest=data_digest,
        quality=quality,
        files=files,
    )
    write_description(out, info)
    try:
        load_recording_bundle(out)
    except ModelError:
        (out / DESCRIPTION).unlink()
        raise
    return info


def _export_graph(hearing: Hearing, path: Path) -> None:
    """For blocks of any length; the exporter wants to see some frames behind every layer."""
    few, hop = 2**hearing.network.halvings + 1, hearing.front_end.hop_samples
    least, shown = (hearing.front_end.frame_samples + hop * more for more in (few, 2 * few))
    sizes = {
        0: Dim("blocks", min=1, max=_MOST_BLOCKS),
        1: Dim("samples", min=least, max=_MOST_SAMPLES),
    }
    export_onnx(hearing, path, torch.zeros(2, shown, dtype=torch.int16), sizes, ["logits"])


def unexportable(features: FeatureRecipe, columns: int) -> str | None:
    """Why a network over such columns cannot have its features within it."""
    if reason := unexportable_features(features):
        return reason
    made = len(column_names(features))
    return None if made == columns else f"the recipe makes {made} columns, and there are {columns}"
