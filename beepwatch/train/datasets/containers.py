"""What a file is by its bytes, whatever its name says, and what it lacks of itself."""

import struct
from pathlib import Path

# What import takes besides what every verb reads; WAV is made of it.
FOR_IMPORT = frozenset(
    {".3gp", ".ac3", ".aifc", ".ape", ".au", ".avi", ".caf", ".dsf", ".flv", ".gsm", ".m4b"}
    | {".mkv", ".mov", ".mp2", ".mpc", ".mpeg", ".mpg", ".rm", ".snd", ".spx", ".tak", ".ts"}
    | {".tta", ".voc", ".w64", ".wv"}
)

_HEAD_BYTES = 4_096
_TAIL_BYTES = 65_536  # the longest page of an Ogg file
_RIFF_BYTES = 28  # up to the first number of an RF64's first chunk
_ID3_HEAD_BYTES = 10
_XING_BYTES = 64  # of an mp3's first frame: header, checksum, side information, then Xing's
_OPEN_ENDED_BYTES = 0x7FFF_0000  # written by programs that could not seek back
_OPEN_ENDED_RF64_BYTES = 1 << 62

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    *((b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3"), (b"#!AMR", "amr")),
    *((b"\x1a\x45\xdf\xa3", "matroska"), (b"\x30\x26\xb2\x75", "asf"), (b"caff", "caf")),
    *((b".snd", "au"), (b"wvpk", "wavpack"), (b"MAC ", "ape"), (b"TTA", "tta")),
    *((b"PK\x03\x04", "zip archive"), (b"\x1f\x8b", "gzip archive"), (b"%PDF", "PDF")),
    *((b"\x89PNG", "picture"), (b"\xff\xd8\xff", "picture"), (b"GIF8", "picture")),
)
_OF_SUFFIX: dict[str, tuple[str, ...]] = {
    ".aac": ("aac", "mp4", "mp3"),  # ID3 tags may come before ADTS
    ".aif": ("aiff",),
    ".aiff": ("aiff",),
    ".amr": ("amr",),
    ".flac": ("flac", "mp3"),  # ID3 tags may come first, against the standard
    ".m4a": ("mp4",),
    ".mka": ("matroska",),
    ".mp3": ("mp3",),
    ".mp4": ("mp4",),
    ".oga": ("ogg",),
    ".ogg": ("ogg",),
    ".opus": ("ogg",),
    ".wav": ("wav",),
    ".webm": ("matroska",),
    ".wma": ("asf",),
}


def container_of(path: Path) -> str:
    """The format that a file's first bytes are of; "text" or "unknown" if of none."""
    with path.open("rb") as file:
        return container_of_bytes(file.read(_HEAD_BYTES))


def container_of_bytes(head: bytes) -> str:
    """The same of the first bytes, 4 kB of them where there are so many."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX"):
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:12], "unknown")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        return "mp4"
    for beginning, container in _BEGINNINGS:
        if head.startswith(beginning):
            return container
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    return "text" if _is_text(head) else "unknown"


def _is_text(head: bytes) -> bool:
    words = head.decode("utf-8", errors="replace").rstrip("\ufffd")  # cut within a letter
    return bool(words) and all(letter.isprintable() or letter.isspace() for letter in words)


def expected_containers(path: Path) -> tuple[str, ...]:
    """The formats that a file's name may stand for; none if it says nothing."""
    return _OF_SUFFIX.get(path.suffix.lower(), ())


def lacking(path: Path, container: str) -> str:
    """What a file's own structure says that it lacks, in a line; "" if it says nothing.

    Decoders pass over much of it in silence, an mp3's or Ogg's missing end above all.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if container in ("wav", "aiff"):
            promised = _chunk_end(file.read(_RIFF_BYTES), size)
        elif container == "mp3":
            file.seek(_id3_bytes(file.read(_ID3_HEAD_BYTES)))
            promised = _xing_bytes(file.read(_XING_BYTES))
        elif container == "ogg":
            file.seek(max(0, size - _TAIL_BYTES))
            return "" if _ends_its_stream(file.read()) else "its last page is not there"
        else:
            return ""
    if promised <= size:
        return ""
    return f"{size:,} bytes of the {promised:,} that its header promises"


def _chunk_end(head: bytes, size: int) -> int:
    """How long a RIFF or FORM says it is; unknown lengths, and an odd end without pad, are 0.

    One of more than 4 GB says it in its first chunk, with 64 bits (EBU Tech 3306, section 3).
    """
    if len(head) < 8:
        return 0
    if head[12:16] == b"ds64" and len(head) == _RIFF_BYTES:
        (length,) = struct.unpack_from("<Q", head, 20)
        open_ended = length >= _OPEN_ENDED_RF64_BYTES
    else:
        (length,) = struct.unpack("<I" if head[:4] == b"RIFF" else ">I", head[4:8])
        open_ended = length >= _OPEN_ENDED_BYTES
    if open_ended or length + 8 == size + 1:
        return 0
    return int(length) + 8


def _id3_bytes(head: bytes) -> int:
    """How long the tags before an mp3's first frame are (id3.org, ID3v2.4, section 3.1)."""
    if not head.startswith(b"ID3") or len(head) < _ID3_HEAD_BYTES:
        return 0
    length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:])))
    return _ID3_HEAD_BYTES + length


def _xing_bytes(frame: bytes) -> int:
    """How long an mp3 says it is in its first frame, if a coder wrote that there."""
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 16:
        return 0
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    if not flags & 2:
        return 0
    (length,) = struct.unpack_from(">I", frame, at + (12 if flags & 1 else 8))
    return int(length)


def _ends_its_stream(tail: bytes) -> bool:
    at = tail.rfind(b"OggS")
    return at >= 0 and len(tail) > at + 5 and bool(tail[at + 5] & 4)
