"""Who asks for so many seconds of the room gets just these, in pieces that fit."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.capture.excerpt import Excerpt
from beepwatch.messages import PIECE_BYTES, Listen, Piece

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RATE_HZ = 16_000


@given(
    cuts=st.lists(st.integers(0, 60_000), max_size=12),
    wanted=st.integers(1, 100_000),
    looks=st.booleans(),
)
def test_it_is_the_first_so_many_samples_however_they_come(
    cuts: list[int], wanted: int, looks: bool
) -> None:
    """Whether the pieces are fetched each time or all at the end."""
    cuts = [*cuts, wanted]
    sound = (np.arange(sum(cuts)) % 30_011).astype(np.int16)
    excerpt = Excerpt(Listen(number=4, length_s=wanted / RATE_HZ))
    pieces: list[Piece] = []
    start = 0
    for length in cuts:
        at = NOON + timedelta(seconds=start / RATE_HZ)
        excerpt.hear(sound[start : start + length], RATE_HZ, at)
        start += length
        if looks:
            pieces += excerpt.take()
    pieces += excerpt.take()
    assert excerpt.over
    assert b"".join(piece.pcm for piece in pieces) == sound[:wanted].tobytes()
    assert all(0 < len(piece.pcm) <= PIECE_BYTES for piece in pieces)
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    position = 0
    for piece in pieces:
        began_s = (piece.started_at - NOON).total_seconds()
        assert abs(began_s - position / RATE_HZ) < 1e-5
        position += len(piece.pcm) // 2


def test_it_is_not_over_before_all_has_come_and_gone() -> None:
    excerpt = Excerpt(Listen(number=4, length_s=1.0))
    excerpt.hear(np.zeros(RATE_HZ - 1, dtype=np.int16), RATE_HZ, NOON)
    assert [piece.last for piece in excerpt.take()] == [False]
    assert not excerpt.over
    excerpt.hear(np.zeros(5, dtype=np.int16), RATE_HZ, NOON)
    assert not excerpt.over
    assert [piece.last for piece in excerpt.take()] == [True]
    assert excerpt.over
