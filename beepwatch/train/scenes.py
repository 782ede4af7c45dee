"""Composed clips: beeps and look-alikes in rooms and household sound, with the truth per frame."""

import collections.abc
import signal
from collections.abc import Sequence, Set
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from beepwatch.train import augment, synthesis
from beepwatch.train.dataset import (
    DatasetError,
    Recording,
    choose,
    read_manifest,
    read_pulses,
    read_signal,
    read_sound,
)
from beepwatch.train.recipe import DataRecipe, Recipe
from beepwatch.train.sounds import look_alikes
from beepwatch.train.sounds.rendering import Rendered
from beepwatch.train.synthesis import Pulse, Signal
from beepwatch.train.truth import frame_truth, tone_cells
from beepwatch.wording import counted

Sound = NDArray[np.float32]

_ROOMS = "rir"  # the category of room responses


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A composed clip and what every frame should be answered."""

    pcm: NDArray[np.int16]  # [samples]
    truth: NDArray[np.float32]  # [frames], share of the frame that a pulse fills
    weight: NDArray[np.float32]  # [frames], 0 where the truth is open
    tones: NDArray[np.int8] | None = None  # [frames, bands], TONE, OPEN or 0; None where all are 0


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What clips of one split are composed of, all in memory, all at one rate."""

    rate_hz: int
    signals: list[Signal]
    negatives: list[Sound]
    chances: NDArray[np.float64]  # of each negative
    rooms: list[Sound]


def chosen_recordings(recordings: list[Recording], recipe: Recipe, split: str) -> list[Recording]:
    """Every recording of a split that a recipe makes use of."""
    plan = recipe.data
    clean = [
        recording
        for recording in choose(recordings, split, ["beep_clean"], redistributable_only=True)
        if any(source in recording.source for source in plan.clean_beeps)
        and recording.snr_db is not None
        and recording.snr_db >= plan.clean_snr_db
    ]
    listed = [*plan.negatives, *plan.beeps, _ROOMS]
    chosen = choose(recordings, split, listed, redistributable_only=True) + clean
    return [recording for recording in chosen if recording.path not in plan.left_out]


def check_recordings(data: Path, recordings: list[Recording], recipe: Recipe) -> None:
    """Before hours of work: raises DatasetError if a split has nothing that a recipe makes use of,
    not what every clip is composed of, or lists a file that is not there.
    """
    for split in ("train", "dev"):
        chosen = chosen_recordings(recordings, recipe, split)
        if not chosen:
            raise DatasetError(
                f"{data} has nothing to learn from in the split {split!r}: no recording of a "
                "category in the recipe's negatives or beeps whose redistribute is yes."
            )
        missing = [one.path for one in chosen if not (data / one.path).is_file()]
        if missing:
            raise DatasetError(
                f"manifest.csv in {data} lists {missing[0]}, and there is no such file "
                f"({counted(len(missing), 'file')} in all). Copy it there, or take the row out."
            )
        if lacking := _lacking({one.category for one in chosen}, recipe.data, split):
            raise DatasetError(
                f"{data} has no {lacking} in the split {split!r}, and every clip needs some. "
                "Add recordings whose redistribute is yes."
            )


def _lacking(categories: Set[str], plan: DataRecipe, split: str) -> str:
    """What clips are composed of and a split's recordings are not; "" if nothing."""
    rendered = split == "train" and plan.rendered_weight > 0
    if not (categories & {*plan.negatives} or rendered):
        return f"sound without a beep ({', '.join(plan.negatives)})"
    return "" if _ROOMS in categories else f"room responses ({_ROOMS})"


def gather(data: Path, recipe: Recipe, split: str, rendered: Sequence[Rendered] = ()) -> Material:
    """Read a split's beeps, negatives and rooms into memory, and negatives that were rendered."""
    rate_hz = recipe.model.rate_hz
    pulses = read_pulses(data)
    signals: list[Signal] = []
    negatives: list[Sound] = []
    chances: list[float] = []
    rooms: list[Sound] = []
    for recording in chosen_recordings(read_manifest(data), recipe, split):
        if recording.category == _ROOMS:
            rooms.append(augment.ready_room(read_sound(data / recording.path, rate_hz), rate_hz))
        elif recording.category in recipe.data.negatives:
            sound = read_sound(data / recording.path, rate_hz)
            negatives.append(sound)
            weight = recipe.data.weights.get(recording.category, 1.0)
            # A recording of many minutes is not worth more than one of twenty seconds.
            chances.append(weight * min(len(sound) / rate_hz, 20.0))
        else:
            signals.append(read_signal(data, recording, pulses, rate_hz))
    for piece in rendered:
        sound = read_sound(piece.path, rate_hz)
        negatives.append(sound)
        weight = recipe.data.weights.get(piece.kind, 1.0)
        chances.append(recipe.data.rendered_weight * weight * min(len(sound) / rate_hz, 20.0))
    share = np.array(chances) / sum(chances)
    return Material(
        rate_hz=rate_hz,
        signals=[signal for signal in signals if signal.pulses],
        negatives=negatives,
        chances=share,
        rooms=rooms,
    )


def background(rng: Generator, material: Material, samples: int) -> Sound:
    """A stretch of a negative, looped if it is too short, often over hiss or another one."""
    kind = rng.random()
    if kind < 0.12:
        return augment.noise(rng, samples)
    sound = stretch(rng, material, samples)
    if kind < 0.3:
        level = float(np.sqrt((sound**2).mean())) * 10 ** (rng.uniform(-20, 10) / 20)
        return sound + np.float32(level) * augment.noise(rng, samples)
    if kind < 0.5:
        second = stretch(rng, material, samples)
        return synthesis.at_peak(sound) + rng.uniform(0.1, 1) * synthesis.at_peak(second)
    return sound


def stretch(rng: Generator, material: Material, samples: int) -> Sound:
    """Part of one negative at random, a little faster or slower."""
    sound = material.negatives[int(rng.choice(len(material.negatives), p=material.chances))]
    if rng.random() < 0.3:
        sound = faster(sound[: 2 * samples], synthesis.log_uniform(rng, 0.8, 1.3))
    if len(sound) < samples:
        sound = np.tile(sound, samples // len(sound) + 1)
    start = int(rng.integers(0, len(sound) - samples + 1))
    return sound[start : start + samples]


def faster(sound: Sound, factor: float) -> Sound:
    """Played faster: shorter and higher by `factor`."""
    return np.asarray(soxr.resample(sound, 1.0, 1.0 / factor), dtype=np.float32)


def draw_signal(rng: Generator, material: Material, recipe: Recipe) -> Signal:
    """A beep, recorded or synthesised, somewhere in a clip's time."""
    length_s = recipe.scenes.clip_s
    if material.signals and rng.random() < recipe.scenes.recorded_share:
        signal = material.signals[int(rng.integers(len(material.signals)))]
        factor = synthesis.log_uniform(rng, 0.7, 1.4)
        sound = faster(signal.sound, factor)
        pulses = [
            Pulse(
                onset_s=pulse.onset_s / factor,
                offset_s=pulse.offset_s / factor,
                pitch_hz=pulse.pitch_hz * factor,
            )
            for pulse in signal.pulses
        ]
        latest_s = pulses[int(rng.integers(len(pulses)))].onset_s
        return placed(
            sound, pulses, rng.uniform(0.05, length_s - 0.3) - latest_s, length_s, material.rate_hz
        )
    signal = synthesis.beep(rng, length_s, material.rate_hz)
    # Some are under way when the clip begins, most begin within it.
    shift_s = rng.uniform(-1.5, length_s - 0.2)
    return placed(signal.sound, list(signal.pulses), shift_s, length_s, material.rate_hz)


def placed(
    sound: Sound, pulses: list[Pulse], shift_s: float, length_s: float, rate_hz: int
) -> Signal:
    """The sound moved by `shift_s`, cut to a clip's length."""
    clip = np.zeros(round(length_s * rate_hz), dtype=np.float32)
    shift = round(shift_s * rate_hz)
    source = sound[max(-shift, 0) :][: len(clip) - max(shift, 0)]
    clip[max(shift, 0) : max(shift, 0) + len(source)] = source
    moved = [
        Pulse(
            onset_s=pulse.onset_s + shift_s,
            offset_s=pulse.offset_s + shift_s,
            pitch_hz=pulse.pitch_hz,
        )
        for pulse in pulses
    ]
    inside = tuple(p for p in moved if p.offset_s > 0.02 and p.onset_s < length_s - 0.02)
    return Signal(sound=clip, pulses=inside)


def compose(
    rng: Generator, material: Material, recipe: Recipe, frame_samples: int, with_beep: bool
) -> Clip:
    """One clip: background, perhaps a beep or a look-alike in a room, through a microphone."""
    samples = round(recipe.scenes.clip_s * material.rate_hz) // frame_samples * frame_samples
    frames = samples // frame_samples
    back = background(rng, material, samples)
    signal = Signal(sound=np.zeros(samples, dtype=np.float32), pulses=())
    if with_beep:
        signal = draw_signal(rng, material, recipe)
    elif rng.random() < recipe.scenes.look_alike_share:
        signal = look_alikes.look_alike(rng, recipe.scenes.clip_s, material.rate_hz)
    sound = signal.sound[:samples]
    if rng.random() < 0.85:
        sound = augment.in_room(sound, material.rooms[int(rng.integers(len(material.rooms)))])
    snr_db = rng.uniform(recipe.scenes.quietest_snr_db, recipe.scenes.loudest_snr_db)
    sound = sound * signal_gain(sound, back, signal, snr_db, material.rate_hz)
    mixed = back + sound
    if rng.random() < 0.15:
        mixed = augment.levelled(rng, mixed, material.rate_hz)
    if rng.random() < 0.7:
        mixed = augment.coloured(rng, mixed, material.rate_hz)
    truth, weight = frame_truth(signal.pulses, frames, frame_samples / material.rate_hz)
    return Clip(
        pcm=augment.digitised(rng, mixed),
        truth=truth,
        weight=weight,
        tones=tone_cells(sound, back, truth, frame_samples) if signal.pulses else None,
    )


def signal_gain(
    sound: Sound, back: Sound, signal: Signal, snr_db: float, rate_hz: int
) -> np.float32:
    """What makes it stand at a ratio over the background.

    Within the beep's band while it sounds; overall for what is no beep.
    """
    if signal.pulses:
        tone = np.concatenate(
            [
                sound[max(round(p.onset_s * rate_hz), 0) : round(p.offset_s * rate_hz)]
                for p in signal.pulses
            ]
        )
        loud = augment.band_rms(tone, signal.pitch_hz, rate_hz)
        noise = augment.band_rms(back, signal.pitch_hz, rate_hz)
    else:
        loud = float(np.sqrt((sound**2).mean()))
        noise = float(np.sqrt((back**2).mean()))
    if loud < 1e-9:
        return np.float32(0)
    return np.float32(max(noise, augment.FAINTEST_RMS) / loud * 10 ** (snr_db / 20))


def draw_clip(
    index: int,
    *,
    stream: int,
    material: Material,
    recipe: Recipe,
    frame_samples: int,
    beep_share: float,
) -> Clip:
    """Clip number `index` of a stream of clips: the same whenever and wherever it is drawn."""
    rng = np.random.default_rng([recipe.scenes.seed, stream, index])
    with_beep = bool(rng.random() < beep_share)
    return compose(rng, material, recipe, frame_samples, with_beep)


_draw: partial[Clip] | None = None


def _start_worker(draw: partial[Clip]) -> None:
    global _draw
    _draw = draw
    # ^C reaches the whole terminal; the process that started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _draw_many(indices: range) -> list[Clip]:
    if _draw is None:
        raise RuntimeError("worker used before it was given its material")
    return [_draw(index) for index in indices]


def draw_clips(
    draw: partial[Clip], numbers: range, workers: int
) -> collections.abc.Generator[Clip]:
    """The clips of these numbers in order, drawn by some worker processes (none: in this one)."""
    if workers == 0:
        yield from map(draw, numbers)
        return
    parts = [numbers[start : start + 50] for start in range(0, len(numbers), 50)]
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(draw,)
    ) as pool:
        for part in pool.map(_draw_many, parts):
            yield from part
