"""The bank of negatives: read as written, moved to any pitch, refused when damaged."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.classify.heads import BANDS, EMBEDDING, bands_of
from beepwatch.errors import ModelError
from beepwatch.train.teaching.negatives import (
    BANK,
    FRAMES,
    LARGEST,
    Bank,
    decode,
    encode,
    read_bank,
)

MODEL = "0123456789ab"


def bank(pitches_hz: tuple[float, ...] = (1_000.0, 3_000.0)) -> Bank:
    """Events that each hold one pitch, seen in its band alone."""
    events = len(pitches_hz)
    embedding = np.zeros((events, FRAMES, EMBEDDING), dtype=np.float32)
    embedding[:, :, :BANDS] = -6
    pitch_hz = np.zeros((events, FRAMES, 3), dtype=np.float32)
    for event, hz in enumerate(pitches_hz):
        embedding[event, :, bands_of(hz)[0]] = 2.54
        embedding[event, :, BANDS + bands_of(hz)[0]] = 5.08
        pitch_hz[event, :, 0] = hz
    return Bank(
        model_id=MODEL,
        hours=2.0,
        kinds=("a voice", "music"),
        embedding=embedding,
        pitch_hz=pitch_hz,
        kind=np.arange(events, dtype=np.uint8) % 2,
        weight=np.ones(events, dtype=np.float32),
    )


def test_it_is_read_as_it_was_written_within_a_step() -> None:
    kept, read = bank(), decode(encode(bank()))
    step = np.abs(kept.embedding).max() / LARGEST
    assert np.abs(kept.embedding - read.embedding).max() <= step / 2 + 1e-6
    assert (read.pitch_hz == kept.pitch_hz).all()
    assert (read.kind == kept.kind).all()
    assert (read.weight == kept.weight).all()
    assert read.kinds == kept.kinds


def test_a_moved_event_sounds_and_is_seen_at_the_other_pitch() -> None:
    moved = bank().moved(np.array([0]), np.array([4_000.0]))
    assert moved.pitch_hz[:, 0] == pytest.approx(4_000)
    assert set(moved.embedding[:, :BANDS].argmax(axis=1)) == {bands_of(4_000)[0]}
    assert set(moved.embedding[:, BANDS : 2 * BANDS].argmax(axis=1)) == {bands_of(4_000)[0]}
    assert moved.embedding[:, 0].max() < 0  # nothing came in from beyond the lowest band


def test_an_event_tells_more_of_pitches_near_its_own() -> None:
    near, far = bank().chances(1_000.0)
    assert near > 100 * far
    assert near == pytest.approx(1 / 2.0 / (0.25 * np.sqrt(2 * np.pi)))  # of one event in 2 h


def test_another_models_bank_is_none(tmp_path: Path) -> None:
    (tmp_path / BANK).write_bytes(encode(bank()))
    assert read_bank(tmp_path, "ba9876543210") is None
    assert read_bank(tmp_path / "nowhere", MODEL) is None
    found = read_bank(tmp_path, MODEL)
    assert found is not None
    assert len(found.kind) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        encode(bank())[:-30],
        encode(bank())[:40],
        b"\xff" * 100,
        encode(bank()).replace(b'"events":2', b'"events":9'),
        encode(bank()).replace(b'"events":2', b'"events":1'),
        encode(bank()).replace(b'"format":2', b'"format":7'),
        encode(msgspec.structs.replace(bank(), weight=np.array([1, np.nan], dtype=np.float32))),
        encode(msgspec.structs.replace(bank(), kind=np.array([0, 2], dtype=np.uint8))),
        encode(msgspec.structs.replace(bank(), hours=-1.0)),
    ],
)
def test_a_damaged_bank_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / BANK).write_bytes(content)
    with pytest.raises(ModelError, match="bank of negatives is damaged"):
        read_bank(tmp_path, MODEL)


def test_a_bank_that_unpacks_to_far_more_than_it_says_is_refused() -> None:
    import zlib

    content = encode(bank())
    length = int.from_bytes(content[:8], "little")
    bomb = content[: 8 + length] + zlib.compress(bytes(50_000_000))
    with pytest.raises(ModelError, match="damaged"):
        decode(bomb)
