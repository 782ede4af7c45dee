"""An upload as it comes: into a file without a name, as far as it may go.

The file is memory of the kernel's, which the worker opens by its descriptor, so that nothing needs
a writable directory. All of them together take no more than `MOST_HELD_BYTES`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers

MOST_UPLOAD_BYTES = 50_000_000
MOST_HELD_BYTES = 256_000_000  # of all uploads that have not been answered
FIELD = "file"  # the part of a form that is heard
MOST_PARTS = 100  # of a form
MOST_BESIDE_BYTES = 100_000  # of a form that are not the file
_RAW_TYPES = (b"application/octet-stream", b"application/ogg")
_LONGEST_BOUNDARY = 70  # RFC 2046, section 5.1.1
_PATIENCE_S = 15.0  # for the next piece


class Refusal(Exception):
    """What is answered instead of what was asked for."""

    def __init__(self, status: int, reason: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class Held:
    """How much memory the uploads take together."""

    def __init__(self, most_bytes: int = MOST_HELD_BYTES) -> None:
        self.bytes = 0
        self._most_bytes = most_bytes

    def take(self, size: int) -> None:
        """Raises Refusal when there is no room."""
        if self.bytes + size > self._most_bytes:
            raise Refusal(503, "too much is being uploaded at once. Try again.", retry_after_s=2)
        self.bytes += size


class Upload:
    """The sound of one request, between its first byte and its answer."""

    def __init__(self, held: Held, most_bytes: int = MOST_UPLOAD_BYTES) -> None:
        self.descriptor = os.memfd_create("upload", os.MFD_CLOEXEC)
        self.size = 0
        self._held = held
        self._most_bytes = most_bytes

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        self._held.bytes -= self.size

    def write(self, piece: bytes | memoryview) -> None:
        """A further piece. Raises Refusal."""
        if self.size + len(piece) > self._most_bytes:
            raise too_large()
        self._held.take(len(piece))
        self.size += len(piece)
        while piece:
            piece = piece[os.write(self.descriptor, piece) :]


class Reader(Protocol):
    """What makes a sound of a body."""

    def feed(self, piece: bytes) -> None:
        """A piece of the body. Raises Refusal."""
        ...

    def finish(self) -> None:
        """The body is over. Raises Refusal if there was no sound in it."""
        ...


class RawBody:
    """A body that is the sound."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def feed(self, piece: bytes) -> None:
        """All of it is kept."""
        self._upload.write(piece)

    def finish(self) -> None:
        """An empty file is refused by who opens it."""


class Form:
    """A body of several parts, one of which is the file.

    Read as it comes and not by `Request.form`, which would put it into a file on some disk; so the
    limits that this has for what is beside the file are here.
    """

    def __init__(self, boundary: bytes, upload: Upload) -> None:
        self._upload = upload
        self._name = b""
        self._value = b""
        self._disposition = b""
        self._names: list[str] = []
        self._parts = 0
        self._beside_bytes = 0
        self._here = False  # whether the part that is read is the file
        self._found = False
        self._over = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> None:
        """A piece; what belongs to the file is kept."""
        before = self._upload.size
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise Refusal(400, f"the form cannot be read: {error}.") from None
        self._beside_bytes += len(piece) - (self._upload.size - before)
        if self._beside_bytes > MOST_BESIDE_BYTES:
            raise self._too_much_beside()

    def finish(self) -> None:
        """Raises Refusal if it broke off or had no file."""
        if not self._over:
            raise Refusal(400, "the form breaks off before its last boundary.")
        if not self._found:
            raise Refusal(400, f"the form has no part named {FIELD!r}, only {self._names}.")

    def _too_much_beside(self) -> Refusal:
        most = f"{MOST_BESIDE_BYTES // 1_000} kB"
        if self._found:
            return Refusal(
                413, f"the form has more than {most} beside its part {FIELD!r}. Send that alone."
            )
        return Refusal(
            400,
            f"the form has no part named {FIELD!r} in its first {most}, only {self._names}. Send "
            "that alone.",
        )

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Refusal(
                400, f"the form has more than {MOST_PARTS} parts. Send one, named {FIELD!r}."
            )
        self._name = self._value = self._disposition = b""
        self._here = False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode(errors="replace")[:50]
        self._names = [*self._names, name][:10]
        self._here = name == FIELD and not self._found
        self._found = self._found or self._here

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._here:
            self._upload.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._over = True


def reader_of(headers: Headers, upload: Upload, *, raw: bool) -> Reader:
    """What is made of a body with these headers; `raw` allows one that is the sound itself.

    Raises Refusal with 415, or 413 where it is said to be too large.
    """
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal(415, "a compressed body is not taken. Send it without Content-Encoding.")
    kind, options = parse_options_header(headers.get("content-type"))
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MOST_UPLOAD_BYTES + MOST_BESIDE_BYTES:
        raise too_large()
    if kind == b"multipart/form-data":
        boundary = options.get(b"boundary", b"")
        if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
            raise Refusal(400, "the Content-Type names no usable boundary.")
        return Form(boundary, upload)
    if raw and (kind in _RAW_TYPES or kind.startswith((b"audio/", b"video/"))):
        return RawBody(upload)
    wanted = "multipart/form-data with a part named 'file'"
    others = ", audio/* or application/octet-stream" if raw else ""
    raise Refusal(415, f"send {wanted}{others}.")


async def receive(stream: AsyncIterator[bytes], reader: Reader) -> None:
    """The whole body into the reader. Raises Refusal."""
    pieces = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise Refusal(408, f"nothing came for {_PATIENCE_S:g} s.") from None
        if piece is None:
            break
        reader.feed(piece)
    reader.finish()


def too_large() -> Refusal:
    """More than is taken."""
    return Refusal(
        413,
        f"more than {MOST_UPLOAD_BYTES // 1_000_000} MB are not taken. Send it in pieces, or as "
        "FLAC or mp3.",
    )
