"""Heads: what they look at, and that no number gets in that they may not have."""

import msgspec
import numpy as np
import pytest

from beepwatch.classify.engines import Answers
from beepwatch.classify.heads import (
    AROUND_FRAMES,
    BANDS,
    EMBEDDING,
    FEATURES,
    MOST_TONES,
    Expected,
    Head,
    bands_of,
    decode,
    encode,
    features,
)
from beepwatch.errors import ModelError

MATCHED = 2
EXPECTED = Expected(examples=3, caught=2, nearest="dryer", false_alarms_per_month=0.4)


def head(**changes: object) -> Head:
    """A washer's."""
    weights = [0.0] * FEATURES
    weights[MATCHED] = 10.0
    washer = Head(
        name="washer",
        model_id="0123456789ab",
        threshold=0.9,
        pitches_hz=(2_960.0,),
        tolerance=0.004,
        weights=tuple(weights),
        bias=-5.0,
        expected=EXPECTED,
    )
    return msgspec.structs.replace(washer, **changes)


def hearing(pitch_hz: float, frames: int = 20, contrast: float = 5.0) -> Answers:
    """A tone that the network hears in one band, and nothing else."""
    embedding = np.zeros((frames, EMBEDDING), dtype=np.float32)
    embedding[:, :BANDS] = -6
    embedding[:, bands_of(pitch_hz)[0]] = 3
    embedding[:, BANDS + bands_of(pitch_hz)[0]] = contrast
    pitches = np.zeros((frames, 3), dtype=np.float32)
    pitches[:, 0] = pitch_hz
    return Answers(np.zeros((frames, 1), dtype=np.float32), pitches, embedding)


def test_a_head_is_sure_of_its_pitch_and_of_no_other() -> None:
    assert head().probabilities(hearing(2_960)).min() > 0.99
    assert head().probabilities(hearing(2_960 * 1.02)).max() < 0.01


def test_one_frame_alone_is_not_believed() -> None:
    answers = hearing(2_960)
    answers.pitch_hz[:10] = answers.pitch_hz[11:] = 0
    assert head().probabilities(answers).max() < 0.5


def test_an_answer_depends_on_no_more_than_it_says() -> None:
    answers = hearing(2_960, frames=40)
    changed = hearing(2_960, frames=40)
    changed.embedding[20] += 1
    differs = np.flatnonzero(
        head(weights=(0.3,) * FEATURES).logits(answers)
        != head(weights=(0.3,) * FEATURES).logits(changed)
    )
    assert differs.min() >= 20 - AROUND_FRAMES
    assert differs.max() <= 20 + AROUND_FRAMES


def test_of_several_tones_the_one_that_sounds_is_looked_at() -> None:
    seen = features(hearing(2_960), (1_000.0, 2_960.0), 0.004)
    assert seen[:, MATCHED].min() == pytest.approx(1, abs=1e-4)


def test_a_tone_between_two_bands_is_looked_for_in_both() -> None:
    assert bands_of(350) == [0]
    assert bands_of(350 + 175) == [0, 1]
    assert bands_of(20_000) == [BANDS - 1]


def test_what_was_encoded_is_read_again() -> None:
    assert decode(encode(head())) == head()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "../etc"}, "name"),
        ({"name": "beep"}, "shipped model's own"),
        ({"name": ""}, "name"),
        ({"model_id": "nonsense"}, "model_id"),
        ({"weights": (1.0,) * (FEATURES - 1)}, "weights"),
        ({"weights": (1e30,) * FEATURES}, "weight"),
        ({"bias": 1e5}, "weight"),
        ({"threshold": 1.0}, "threshold"),
        ({"pitches_hz": ()}, "pitches_hz"),
        ({"pitches_hz": (3_000.0,) * (MOST_TONES + 1)}, "pitches_hz"),
        ({"pitches_hz": (-3_000.0,)}, "pitches_hz"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"pulses": 0}, "pulses"),
        ({"pulses": 11}, "pulses"),
        ({"format": 2}, "format 2"),
        ({"expected": Expected(examples=1, caught=2, false_alarms_per_month=0)}, "2 of 1"),
        ({"expected": Expected(examples=1, caught=1, false_alarms_per_month=-1)}, "per_month"),
        (
            {"expected": Expected(examples=1, caught=1, nearest="\x1b", false_alarms_per_month=1)},
            "text",
        ),
    ],
)
def test_a_head_with_a_wrong_number_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        decode(encode(head(**changes)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        encode(head()).replace(b"2960.0", b"NaN"),
        encode(head()).replace(b"-5.0", b"1e999"),
        encode(head()).replace(b"-5.0", b"null"),
        encode(head())[:-20],
        encode(head()) + b" " * 200_000,
    ],
)
def test_what_is_no_head_is_one_clear_error(content: bytes) -> None:
    with pytest.raises(ModelError, match="no taught sound"):
        decode(content)
