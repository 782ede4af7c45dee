"""A trained network becomes a bundle: ONNX graph, weights, description with every checksum."""

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import onnx
import torch
from safetensors.torch import save
from torch import Tensor, nn

from beepwatch.classify.bundle import (
    DESCRIPTION,
    FORMAT,
    GRAPH,
    WEIGHTS,
    BundleInfo,
    TrainingData,
    sha256_of,
)
from beepwatch.classify.engines import OUTPUTS
from beepwatch.train.dataset import Recording, data_digest
from beepwatch.train.networks import ToneNet
from beepwatch.train.recipe import Recipe


def export_graph(network: ToneNet, path: Path) -> None:
    """Write the network as ONNX: `pcm` int16 [batch, samples] to what `ToneNet` answers.

    `logits` [batch, frames, labels], `pitch_hz` [batch, frames, tones] and `embedding` [batch,
    frames, features], for any number of whole steps.
    """
    steps = torch.export.Dim("steps", min=1, max=1_000_000)
    step_samples = network.SPECTRA * network.frame_samples
    example = torch.zeros(1, 75 * step_samples, dtype=torch.int16)
    export_onnx(network, path, example, {1: step_samples * steps}, OUTPUTS)


def export_onnx(
    network: nn.Module, path: Path, pcm: Tensor, sizes: dict[int, Any], outputs: Sequence[str]
) -> None:
    """Write a network that takes `pcm` as ONNX; `sizes` are those of its sides that may differ.

    Weights are within the file. The exporter's notes on where each node came from are left out:
    they hold paths of the machine that trained.
    """
    # The exporter warns of its own deprecations and of a torchvision that nobody needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            (pcm,),
            dynamo=True,
            input_names=["pcm"],
            output_names=list(outputs),
            dynamic_shapes=(sizes,),
            opset_version=18,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = program.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def parameter_count(network: nn.Module) -> int:
    """Trained numbers; fixed tables and running statistics do not count."""
    return sum(parameter.numel() for parameter in network.parameters())


def write_bundle(
    out: Path,
    network: ToneNet,
    *,
    recipe: Recipe,
    recipe_digest: str,
    data: TrainingData,
    thresholds: dict[str, float],
    quality: dict[str, float],
) -> BundleInfo:
    """Write all files of a bundle into the directory `out`, the description last."""
    out.mkdir(parents=True, exist_ok=True)
    export_graph(network, out / GRAPH)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    # Not `save_file`, whose files only their owner may read: a daemon may be another user.
    (out / WEIGHTS).write_bytes(save(state))
    files = {name: sha256_of(out / name) for name in (GRAPH, WEIGHTS)}
    info = BundleInfo(
        format=FORMAT,
        name=recipe.model.name,
        model_id=files[GRAPH][:12],
        labels=tuple(recipe.model.labels),
        rate_hz=recipe.model.rate_hz,
        window_s=recipe.model.window_s,
        frame_s=network.frame_samples / recipe.model.rate_hz,
        step_frames=network.SPECTRA,
        context_s=network.context_s,
        history_s=network.history_s,
        thresholds=thresholds,
        architecture=recipe.model.architecture,
        arguments=network_arguments(recipe),
        parameters=parameter_count(network),
        recipe_digest=recipe_digest,
        data=data,
        quality=quality,
        files=files,
    )
    write_description(out, info)
    return info


def write_description(out: Path, info: msgspec.Struct) -> None:
    """Write `bundle.json`."""
    content = msgspec.json.format(msgspec.json.encode(info), indent=2)
    (out / DESCRIPTION).write_bytes(content + b"\n")


def network_arguments(recipe: Recipe) -> dict[str, int | float | list[int]]:
    """What the recipe's network is built with."""
    return {
        "labels": len(recipe.model.labels),
        "rate_hz": recipe.model.rate_hz,
        **recipe.model.arguments,
    }


def training_data(data: Path, recordings: Iterable[Recording]) -> TrainingData:
    """Digest and licences of the recordings that a model was trained on."""
    used = list(recordings)
    return TrainingData(
        digest=data_digest(data, used),
        licences=dict(sorted(Counter(recording.licence for recording in used).items())),
    )
