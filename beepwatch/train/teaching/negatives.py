"""The shipped hard negatives: what else holds a pitch in a home, as the network answers it.

The network is the same at every pitch, so a bird at 4 kHz tells what that bird would be at 3 kHz.
Each event of the bank is a third of a second around the moment at which a recording came nearest
to a beep; `moved` puts it at any taught pitch. Written by `banking.py`.

The file: eight bytes of length, little-endian, a description in JSON, and zlib's compression of
the embeddings (int8, steps of `step`, feature by feature, which takes least room), the pitches
(uint16, eighths of a Hz) and, for each event, its kind (uint8) and weight (float32).
"""

import math
import zlib
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import content_of
from beepwatch.classify.engines import Answers, Floats
from beepwatch.classify.heads import BANDS, EMBEDDING, bands_of
from beepwatch.errors import ModelError
from beepwatch.validation import shortened

BANK = "bank.bin"
FORMAT = 2
LARGEST = 40  # steps: finer ones are noise to a head, and a third more to store
PITCHES = 3
FRAMES = 16  # of an event
PITCH_STEPS = 8.0  # a Hz
KERNEL_OCTAVES = 0.25  # how near a pitch must lie to tell what may happen at another
NO_LOGIT = -6.0  # where a moved event has nothing to show
_MOST_BYTES = 2_000_000
_MOST_EVENTS = 2_000


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bank says of itself."""

    format: int = FORMAT
    model_id: str
    hours: float  # of recordings that the weights count in
    kinds: tuple[str, ...]
    events: int
    step: tuple[float, ...]  # one a feature


class Bank(msgspec.Struct, frozen=True, kw_only=True):
    """Events at the pitch that they were heard at, [events, FRAMES, …]."""

    model_id: str
    hours: float
    kinds: tuple[str, ...]
    embedding: NDArray[np.float32]
    pitch_hz: NDArray[np.float32]
    kind: NDArray[np.uint8]  # [events]
    weight: NDArray[np.float32]  # [events], how many like it were in the hours; 0: it was made

    @property
    def reference_hz(self) -> NDArray[np.float32]:
        """The pitch of each event, [events]."""
        return np.asarray(np.median(self.pitch_hz[:, :, 0], axis=1))

    def moved(self, chosen: NDArray[np.intp], to_hz: NDArray[np.float64]) -> Answers:
        """Some events as they would be at other pitches, one after another, [events · FRAMES]."""
        reference = np.maximum(self.reference_hz[chosen], 1.0)
        bands = np.array([bands_of(float(hz))[0] for hz in reference])
        target = np.array([bands_of(float(hz))[0] for hz in to_hz])
        source = np.arange(BANDS)[None, :] - (target - bands)[:, None]  # [events, bands]
        missing = (source < 0) | (source >= BANDS)
        source = np.clip(source, 0, BANDS - 1)[:, None, :]
        embedding = self.embedding[chosen].copy()
        for start, nothing in ((0, NO_LOGIT), (BANDS, 0.0)):
            part = np.take_along_axis(
                embedding[:, :, start : start + BANDS],
                np.broadcast_to(source, (len(chosen), FRAMES, BANDS)),
                axis=2,
            )
            embedding[:, :, start : start + BANDS] = np.where(
                missing[:, None, :], np.float32(nothing), part
            )
        factor = (to_hz / reference).astype(np.float32)[:, None, None]
        pitch_hz = (self.pitch_hz[chosen] * factor).reshape(-1, PITCHES)
        return Answers(
            np.zeros((len(pitch_hz), 1), dtype=np.float32),
            pitch_hz,
            embedding.reshape(-1, EMBEDDING),
        )

    def chances(self, pitch_hz: float) -> Floats:
        """How many events an hour, like each of these, begin per octave about a pitch, [events]."""
        apart = np.log2(np.maximum(self.reference_hz, 1.0) / pitch_hz) / KERNEL_OCTAVES
        density = np.exp(-0.5 * apart**2) / (KERNEL_OCTAVES * math.sqrt(2 * math.pi))
        return np.asarray(self.weight * density / max(self.hours, 1e-6), dtype=np.float32)


def encode(bank: Bank) -> bytes:
    """As `decode` reads it."""
    step = np.maximum(np.abs(bank.embedding).max(axis=(0, 1)) / LARGEST, 1e-6)
    steps = tuple(float(f"{value:.6g}") for value in step)
    whole = np.clip(np.round(bank.embedding / np.array(steps)), -LARGEST, LARGEST).astype(np.int8)
    description = Description(
        model_id=bank.model_id,
        hours=bank.hours,
        kinds=bank.kinds,
        events=len(bank.kind),
        step=steps,
    )
    body = b"".join(
        [
            whole.transpose(2, 0, 1).tobytes(),
            np.clip(np.round(bank.pitch_hz * PITCH_STEPS), 0, 65_535).astype("<u2").tobytes(),
            bank.kind.astype(np.uint8).tobytes(),
            bank.weight.astype("<f4").tobytes(),
        ]
    )
    head = msgspec.json.encode(description)
    return len(head).to_bytes(8, "little") + head + zlib.compress(body, 9)


def decode(content: bytes) -> Bank:
    """A bank whose every size and number was looked at; ModelError says which is wrong."""
    length = int.from_bytes(content[:8], "little")
    try:
        description = msgspec.json.decode(content[8 : 8 + length], type=Description)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(shortened(str(error))) from error
    if problem := _problem(description):
        raise _unusable(problem)
    events = description.events
    sizes = [events * FRAMES * EMBEDDING, events * FRAMES * PITCHES * 2, events, events * 4]
    try:
        body = zlib.decompressobj().decompress(content[8 + length :], sum(sizes) + 1)
    except zlib.error as error:
        raise _unusable(str(error)) from error
    if len(body) != sum(sizes):
        raise _unusable(f"it holds {len(body)} bytes, its {events} events need {sum(sizes)}")
    ends = np.cumsum([0, *sizes]).tolist()
    part = [body[start:end] for start, end in pairwise(ends)]
    weight = np.frombuffer(part[3], "<f4").astype(np.float32)
    kind = np.frombuffer(part[2], np.uint8)
    if not (np.isfinite(weight) & (weight >= 0)).all() or kind.max(initial=0) >= len(
        description.kinds
    ):
        raise _unusable("an event's weight or kind is none")
    whole = np.frombuffer(part[0], np.int8).reshape(EMBEDDING, events, FRAMES).transpose(1, 2, 0)
    pitch = np.frombuffer(part[1], "<u2").reshape(events, FRAMES, PITCHES)
    return Bank(
        model_id=description.model_id,
        hours=description.hours,
        kinds=description.kinds,
        embedding=whole.astype(np.float32, order="C")
        * np.array(description.step, dtype=np.float32),
        pitch_hz=pitch.astype(np.float32) / np.float32(PITCH_STEPS),
        kind=kind,
        weight=weight,
    )


def read_bank(directory: Path, model_id: str) -> Bank | None:
    """The bank beside a bundle; None where there is none or it is of another model.

    Raises ModelError if it is damaged.
    """
    try:
        content = content_of(directory / BANK, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"cannot read {directory / BANK}: {error.strerror}.") from error
    bank = decode(content)
    return bank if bank.model_id == model_id else None


def _problem(description: Description) -> str | None:
    if description.format != FORMAT:
        return f"it has format {description.format}, this beepwatch reads {FORMAT}"
    if not 1 <= description.events <= _MOST_EVENTS:
        return f"it has {description.events} events, not 1 to {_MOST_EVENTS}"
    if not 1 <= len(description.kinds) <= 255:
        return f"it has {len(description.kinds)} kinds"
    if len(description.step) != EMBEDDING or not all(0 < s < 1e3 for s in description.step):
        return f"its steps are not {EMBEDDING} small numbers"
    if not 0 < description.hours < 1e6:
        return f"hours is {description.hours}"
    return None


def _unusable(reason: str) -> ModelError:
    return ModelError(
        f"the bank of negatives is damaged: {reason}. Install beepwatch again, or make it again "
        "with `python -m beepwatch.train.teaching.banking`."
    )
