"""How well a sound is taught by fine-tuning the whole network in torch, the large way to teach.

    python -m benchmarks.finetuning --data DIR [--split dev] [--devices N] [--repeats N] [--steps N]

The devices, examples, tests and false alarms of `benchmarks.teaching`, with the same options and
seed, so that its table can be put beside this one. For each device a copy of the shipped network
learns from three examples: in rooms of the train split and over its household sound they are
beeps, while other beeps, recorded and synthesised, and sound without any are not. Batch norms keep
their statistics, since three examples tell none.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch.nn.functional import binary_cross_entropy_with_logits

from beepwatch.classify.bundle import Bundle, find_bundle, load_bundle
from beepwatch.classify.engines import Answers, Engine, open_engine, stretches
from beepwatch.train import augment, synthesis
from beepwatch.train.evaluation import StreamAnswers, episodes
from beepwatch.train.judging import streams
from beepwatch.train.judging.detection import Heard
from beepwatch.train.networks import ToneNet
from beepwatch.train.recipe import read_recipe
from beepwatch.train.scenes import Material, background, gather, placed, signal_gain
from beepwatch.train.synthesis import Pulse, Signal
from beepwatch.train.teaching.examples import Example, heard
from beepwatch.train.truth import frame_truth
from benchmarks.teaching import EXAMPLES, SNRS_DB, devices_of, score

CLIP_S = 4.0
SNR_DB = (0.0, 25.0)
ITS_OWN, OTHER_BEEPS, NO_BEEPS = 6, 5, 5  # clips of a batch
LEARNING_RATE = 3e-4
THRESHOLDS = (0.5, 0.9)


def signal_of(example: Example, frame_s: float) -> Signal:
    """An example as it was recorded, its room's sound with it."""
    pitch_hz = float(np.median(example.answers.pitch_hz[example.sounding][:, 0]))
    return Signal(
        sound=synthesis.at_peak(example.pcm.astype(np.float32)),
        pulses=tuple(
            Pulse(onset_s=onset_s, offset_s=offset_s, pitch_hz=pitch_hz)
            for onset_s, offset_s in example.spans_s(frame_s)
        ),
    )


def clip(
    rng: Generator, material: Material, signal: Signal | None, frame_samples: int
) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32]]:
    """Sound with or without a signal; each frame's share that a pulse fills, and its weight."""
    rate_hz = material.rate_hz
    samples = round(CLIP_S * rate_hz)
    mixed = background(rng, material, samples)
    pulses: tuple[Pulse, ...] = ()
    if signal is not None:
        first_s = signal.pulses[int(rng.integers(len(signal.pulses)))].onset_s
        shift_s = rng.uniform(0.3, CLIP_S - 1.0) - first_s
        part = placed(signal.sound, list(signal.pulses), shift_s, CLIP_S, rate_hz)
        pulses = part.pulses
        sound = part.sound
        if rng.random() < 0.7:
            sound = augment.in_room(sound, material.rooms[int(rng.integers(len(material.rooms)))])
        snr_db = rng.uniform(*SNR_DB)
        mixed = mixed + sound * signal_gain(sound, mixed, part, snr_db, rate_hz)
    if rng.random() < 0.7:
        mixed = augment.coloured(rng, mixed, rate_hz)
    truth, weight = frame_truth(pulses, samples // frame_samples, frame_samples / rate_hz)
    return augment.digitised(rng, mixed), truth, weight


def fine_tuned(
    bundle: Bundle, examples: Sequence[Example], material: Material, steps: int, seed: int
) -> ToneNet:
    """The shipped network, gone on learning until it hears this one sound alone."""
    network = ToneNet(**bundle.info.arguments)  # type: ignore[arg-type] # checked on loading
    network.load_state_dict(load_file(bundle.weights))
    network.eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    rng = np.random.default_rng(seed)
    own = [signal_of(example, bundle.info.frame_s) for example in examples]
    for step in range(steps):
        clips = [(own[int(rng.integers(len(own)))], True) for _ in range(ITS_OWN)] + [
            (other_beep(rng, material), False) for _ in range(OTHER_BEEPS)
        ]
        drawn = [
            (*clip(rng, material, signal, network.frame_samples), is_own)
            for signal, is_own in clips
        ] + [(*clip(rng, material, None, network.frame_samples), False) for _ in range(NO_BEEPS)]
        pcm = torch.from_numpy(np.stack([one[0] for one in drawn]))
        truth = torch.from_numpy(np.stack([one[1] * one[3] for one in drawn]))
        weight = torch.from_numpy(np.stack([one[2] for one in drawn]))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 20) * (1 - step / steps)
        logits = network(pcm)[0][:, :, 0]
        loss = (binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network


def other_beep(rng: Generator, material: Material) -> Signal:
    """A beep of the train split, or one that was synthesised."""
    if material.signals and rng.random() < 0.5:
        return material.signals[int(rng.integers(len(material.signals)))]
    return synthesis.beep(rng, CLIP_S, material.rate_hz)


def answered(network: ToneNet, engine: Engine, pcm: NDArray[np.int16]) -> StreamAnswers:
    """What a fine-tuned network says of a stream."""
    step = engine.step_frames * network.frame_samples
    probabilities, pitches_hz = [], []
    for stretch in stretches(engine, [pcm]):
        whole = np.pad(stretch.pcm, (0, -len(stretch.pcm) % step))
        with torch.inference_mode():
            logits, pitch_hz, _ = network(torch.from_numpy(whole)[None])
        asked_for = slice(stretch.first, stretch.first + stretch.frames)
        probabilities.append(torch.sigmoid(logits[0, asked_for, 0]).numpy())
        pitches_hz.append(pitch_hz[0, asked_for].numpy())
    return StreamAnswers(
        probabilities=np.concatenate(probabilities),
        pitch_hz=np.concatenate(pitches_hz),
        frame_s=engine.frame_s,
        rate_hz=engine.rate_hz,
    )


def main() -> None:
    """Fine-tune, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="directory with manifest.csv")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--bundle", default="beep", help="a shipped model's name or a directory")
    parser.add_argument("--devices", type=int, default=15, help="at most so many, spread evenly")
    parser.add_argument("--repeats", type=int, default=4, help="tests of a device at each SNR")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    torch.set_num_threads(1)

    bundle = load_bundle(find_bundle(given.bundle))
    engine = open_engine(bundle)
    recipe, _ = read_recipe(bundle.directory / "recipe.toml")
    material = gather(given.data, recipe, "train")
    devices = [
        device
        for device in devices_of(
            given.data, given.split, engine, given.devices, given.repeats, given.seed
        )
        if device.examples
    ]
    negatives = [
        (stream.pcm, heard(engine, stream.pcm))
        for stream in streams.negative_streams(given.data, given.split, engine.rate_hz)
    ]
    networks, seconds = [], []
    for number, device in enumerate(devices):
        began_s = time.process_time()
        networks.append(
            fine_tuned(bundle, device.examples[:EXAMPLES], material, given.steps, number)
        )
        seconds.append(time.process_time() - began_s)
        print(f"{device.name}: {seconds[-1]:.0f} s", file=sys.stderr, flush=True)
    kept: dict[tuple[int, int], StreamAnswers] = {}

    def said(number: int, pcm: NDArray[np.int16]) -> StreamAnswers:
        if (number, id(pcm)) not in kept:
            kept[number, id(pcm)] = answered(networks[number], engine, pcm)
        return kept[number, id(pcm)]

    shares = " | ".join(f"{snr:g} dB" for snr in SNRS_DB)
    print(f"| | {shares} | others' beeps taken | false alarms |\n|---|---|---|---|---|")
    for threshold in THRESHOLDS:

        def detect(
            number: int, pcm: NDArray[np.int16], _answers: Answers, threshold: float = threshold
        ) -> list[Heard]:
            return episodes(said(number, pcm), threshold)

        name = f"fine-tuned on {EXAMPLES}, threshold {threshold:g}"
        print(score(name, devices, negatives, detect, engine.rate_hz).row(), flush=True)
    print(
        f"{statistics.median(seconds):.0f} s of processor time a sound, {max(seconds):.0f} s at "
        f"most; {len(devices)} devices",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
