"""What an upload keeps of a body, however the network has cut it."""

import os
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from beepwatch.web.inference.uploads import Held, Refusal, Upload, reader_of, receive
from tests.web.inference.program import FORM, form, form_of


def content_of(upload: Upload) -> bytes:
    """What a worker would read."""
    return os.pread(upload.descriptor, upload.size + 1, 0)


def pieces_of(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The body in pieces of these sizes, and the rest."""
    pieces, at = [], 0
    for size in cuts:
        pieces.append(body[at : at + size])
        at += size
    return [*pieces, body[at:]]


@given(
    content=st.binary(max_size=300),
    cuts=st.lists(st.integers(1, 60), max_size=20),
    raw=st.booleans(),
)
def test_how_a_body_is_cut_does_not_matter(content: bytes, cuts: list[int], raw: bool) -> None:
    kind = "audio/flac" if raw else FORM
    body = content if raw else form(content)
    held = Held()
    with Upload(held) as upload:
        reader = reader_of(Headers({"content-type": kind}), upload, raw=True)
        for piece in pieces_of(body, cuts):
            reader.feed(piece)
        reader.finish()
        assert content_of(upload) == content
        assert held.bytes == len(content)
    assert held.bytes == 0


def test_the_first_part_of_that_name_is_heard_and_others_are_passed_over() -> None:
    body = form_of([("comment", b"no"), ("file", b"yes"), ("file", b"too late")])
    with Upload(Held()) as upload:
        reader = reader_of(Headers({"content-type": FORM}), upload, raw=False)
        reader.feed(body)
        reader.finish()
        assert content_of(upload) == b"yes"


def test_all_uploads_together_have_so_much_memory_and_no_more() -> None:
    held = Held(most_bytes=100)
    with Upload(held) as first, Upload(held) as second:
        first.write(b"x" * 60)
        with pytest.raises(Refusal) as refusal:
            second.write(b"x" * 60)
        assert (refusal.value.status, refusal.value.retry_after_s) == (503, 2)
        second.write(b"x" * 40)
    with Upload(held) as third:
        third.write(b"x" * 100)


def test_one_upload_has_so_much_and_no_more() -> None:
    with Upload(Held(), most_bytes=10) as upload:
        upload.write(b"x" * 10)
        with pytest.raises(Refusal) as refusal:
            upload.write(b"x")
        assert refusal.value.status == 413


@pytest.mark.asyncio
async def test_a_body_that_comes_to_a_halt_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from beepwatch.web.inference import uploads

    monkeypatch.setattr(uploads, "_PATIENCE_S", 0.01)

    async def halting() -> AsyncIterator[bytes]:
        yield b"a beginning"
        await asyncio.Event().wait()

    with Upload(Held()) as upload:
        reader = reader_of(Headers({"content-type": "audio/wav"}), upload, raw=True)
        with pytest.raises(Refusal) as refusal:
            await receive(halting(), reader)
        assert refusal.value.status == 408
