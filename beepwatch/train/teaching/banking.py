"""Makes a bundle's bank of hard negatives, which teaching on the box leans on.

    python -m beepwatch.train.teaching.banking --data DIR [--bundle beep] [--out FILE]

Of the train split's recordings that may be passed on, and of made look-alikes, the moments that
came nearest to a beep: the hardest each for itself, of those behind them every so many for all.
"""

import argparse
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Answers, Engine, open_engine
from beepwatch.classify.heads import BANDS, EMBEDDING, bands_of
from beepwatch.train import augment
from beepwatch.train.dataset import Recording, choose, read_manifest, read_sound
from beepwatch.train.sounds import look_alikes
from beepwatch.train.teaching.examples import heard, runs
from beepwatch.train.teaching.negatives import BANK, FRAMES, PITCHES, Bank, encode

# What a person would call what is in a category.
KINDS = {
    "household": "a household noise",
    "speech": "a voice",
    "music": "music",
    "nature": "a bird or another animal",
    "other": "a bell, a siren or a horn",
    "machine_normal": "a machine",
    "machine_abnormal": "a machine",
    "made": "something made to resemble a beep",
    "beep": "another beep",
}
HARDEST = 260  # events that each stand for themselves
BEHIND, BEHIND_KEPT = 2_600, 90  # of so many behind them, so many stand for all
MADE, BEEPS = 70, 60
LOOK_ALIKES, LOOK_ALIKE_S = 150, 4.0
STEADY = 0.01  # relative, from frame to frame
LEAST_CONTRAST = 1.5
LEAST_APART = 12  # frames between two events of a recording
SEED = 5


class Event(NamedTuple):
    """A moment that came near to a beep."""

    nearness: float
    kind: str
    embedding: NDArray[np.float32]  # [FRAMES, features]
    pitch_hz: NDArray[np.float32]  # [FRAMES, pitches]


def make_bank(
    bundle: Path, data: Path, out: Path | None = None, *, left_out: Collection[str] = ()
) -> Bank | None:
    """Make it and write it beside the bundle, or to `out`; takes a minute or a few.

    None, and no file, for a network that nothing can be taught by: its embedding is another's, or
    nothing in the recordings holds a pitch.
    """
    path = out or bundle / BANK
    path.unlink(missing_ok=True)  # of the network before
    engine = open_engine(load_bundle(bundle))
    width = heard(engine, np.zeros(engine.rate_hz, dtype=np.int16)).embedding.shape[1]
    if width != EMBEDDING:
        return None
    recordings = [one for one in read_manifest(data) if one.path not in left_out]
    hours = 0.0
    real: list[Event] = []
    categories = [name for name in KINDS if name not in ("made", "beep")]
    for recording in choose(recordings, "train", categories, redistributable_only=True):
        sound = read_sound(data / recording.path, engine.rate_hz)
        hours += len(sound) / engine.rate_hz / 3_600
        real += events_of(engine, augment.to_int16(sound), KINDS[recording.category])
    if not real:
        return None
    beeps = list(_beeps(engine, data, recordings))
    bank = assembled(engine.model_id, hours, real, list(_made(engine)), beeps)
    path.write_bytes(encode(bank))
    return bank


def assembled(
    model_id: str, hours: float, real: list[Event], made: list[Event], beeps: list[Event]
) -> Bank:
    """A bank of the events found, so many of each sort."""
    rng = np.random.default_rng(SEED)
    ranked = sorted(real, key=lambda event: -event.nearness)
    behind = ranked[HARDEST : HARDEST + BEHIND]
    some = sorted(rng.permutation(len(behind))[:BEHIND_KEPT].tolist())
    chosen = ranked[:HARDEST] + [behind[index] for index in some]
    weights = [1.0] * len(ranked[:HARDEST]) + [len(behind) / max(len(some), 1)] * len(some)
    for kind, several in ((MADE, made), (BEEPS, beeps)):
        best = sorted(several, key=lambda event: -event.nearness)[: 3 * kind]
        chosen += [best[index] for index in sorted(rng.permutation(len(best))[:kind].tolist())]
    weights += [0.0] * (len(chosen) - len(weights))
    kinds = tuple(sorted({event.kind for event in chosen}))
    return Bank(
        model_id=model_id,
        hours=hours,
        kinds=kinds,
        embedding=np.stack([event.embedding for event in chosen]),
        pitch_hz=np.stack([event.pitch_hz for event in chosen]),
        kind=np.array([kinds.index(event.kind) for event in chosen], dtype=np.uint8),
        weight=np.array(weights, dtype=np.float32),
    )


def events_of(engine: Engine, pcm: NDArray[np.int16], kind: str) -> Iterator[Event]:
    """Moments at which something held its pitch, the nearest to a beep first, none twice."""
    if len(pcm) < FRAMES * round(engine.frame_s * engine.rate_hz):
        return
    answers = heard(engine, pcm)
    nearness = nearness_of(answers)
    while nearness.max() > 0:
        best = int(nearness.argmax())
        start = min(max(best - FRAMES // 2, 0), len(nearness) - FRAMES)
        yield Event(
            nearness=float(nearness[best]),
            kind=kind,
            embedding=answers.embedding[start : start + FRAMES],
            pitch_hz=answers.pitch_hz[start : start + FRAMES, :PITCHES],
        )
        nearness[max(best - LEAST_APART, 0) : best + LEAST_APART] = 0


def nearness_of(answers: Answers) -> NDArray[np.float32]:
    """How like a steady tone each frame is, [frames]; 0 where no pitch is held."""
    pitch_hz = answers.pitch_hz[:, 0]
    log = np.log(np.maximum(pitch_hz, 1.0))
    rows = np.arange(len(log))
    bands = np.array([bands_of(float(hz))[0] for hz in pitch_hz])
    contrast = answers.embedding[rows, BANDS + bands]
    logit = answers.embedding[rows, bands]
    held = np.concatenate([[False], np.abs(np.diff(log)) < STEADY]) & (contrast >= LEAST_CONTRAST)
    nearness = np.zeros(len(log), dtype=np.float32)
    for start, end in runs(held):
        if end - start >= 2:
            lasting = min(end - start, 8) / 8
            nearness[start:end] = np.clip(contrast[start:end], 0, 8) * (0.3 + lasting)
            nearness[start:end] += np.clip(logit[start:end] + 6, 0, 12)
    return nearness


def _made(engine: Engine) -> Iterator[Event]:
    for number in range(LOOK_ALIKES):
        rng = np.random.default_rng([SEED, number])
        sound = look_alikes.look_alike(rng, LOOK_ALIKE_S, engine.rate_hz).sound
        back = augment.noise(rng, len(sound)) * np.float32(10 ** (rng.uniform(-60, -25) / 20))
        pcm = augment.to_int16(0.3 * (sound + back))
        yield from list(events_of(engine, pcm, KINDS["made"]))[:4]


def _beeps(engine: Engine, data: Path, recordings: list[Recording]) -> Iterator[Event]:
    categories = ["beep_real", "beep_clean", "melody"]
    for recording in choose(recordings, "train", categories, redistributable_only=True):
        pcm = augment.to_int16(read_sound(data / recording.path, engine.rate_hz))
        yield from list(events_of(engine, pcm, KINDS["beep"]))[:4]


def main() -> None:
    """Make the bank of a bundle and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="directory with manifest.csv")
    parser.add_argument("--bundle", default="beep", help="a shipped model's name or a directory")
    parser.add_argument("--out", type=Path, help=f"default: {BANK} in the bundle's directory")
    given = parser.parse_args()
    directory = find_bundle(given.bundle)
    bank = make_bank(directory, given.data, given.out)
    if bank is None:
        sys.exit(f"{directory}: no bank can be made for this network from {given.data}.")
    path = given.out or directory / BANK
    sys.stdout.write(
        f"{path}: {path.stat().st_size} bytes, {len(bank.kind)} events "
        f"of {bank.hours:.2f} h for model {bank.model_id}\n"
    )


if __name__ == "__main__":
    main()
