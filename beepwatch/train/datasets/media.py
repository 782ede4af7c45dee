"""What a file says of its sound before it is decoded: codec, rate, channels, sample format."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from beepwatch.capture.pipes import FORMATS
from beepwatch.errors import UnreadableAudio

_PROBE_WITHIN_S = 30.0
_OF_LIBSNDFILE = frozenset({"wav", "flac", "ogg", "aiff", "mp3"})
_SUBTYPES: dict[str, tuple[str, int | None]] = {  # sample format, bits
    "PCM_U8": ("u8", 8),
    "PCM_S8": ("s8", 8),
    "PCM_16": ("s16", 16),
    "PCM_24": ("s24", 24),
    "PCM_32": ("s32", 32),
    "FLOAT": ("flt", 32),
    "DOUBLE": ("dbl", 64),
    "ULAW": ("mulaw", 8),
    "ALAW": ("alaw", 8),
}


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """A file's own account of itself."""

    codec: str
    sample_format: str  # as ffmpeg or libsndfile call it
    rate_hz: int
    channels: int
    bits: int | None  # None where a lossy coder has none


def media_of(path: Path, container: str) -> Media:
    """Raises UnreadableAudio if neither libsndfile nor ffprobe can tell."""
    if container in _OF_LIBSNDFILE and (media := _by_libsndfile(path)) is not None:
        return media
    return _by_ffprobe(path)


def _by_libsndfile(path: Path) -> Media | None:
    try:
        import soundfile
    except (ImportError, OSError):
        return None
    try:
        info = soundfile.info(os.fsencode(path))
    except soundfile.LibsndfileError:
        return None
    sample_format, bits = _SUBTYPES.get(info.subtype, ("float", None))
    return Media(
        codec=info.subtype.lower()
        if info.format in ("WAV", "WAVEX", "RF64", "AIFF")
        else info.format.lower(),
        sample_format=sample_format,
        rate_hz=info.samplerate,
        channels=info.channels,
        bits=bits,
    )


def _by_ffprobe(path: Path) -> Media:
    program = shutil.which("ffprobe")
    if program is None:
        raise UnreadableAudio(f"{path} needs ffprobe, which is not on PATH. Install ffmpeg.")
    try:
        asked = subprocess.run(
            [
                *(program, "-v", "error", "-protocol_whitelist", "file"),
                *("-format_whitelist", FORMATS, "-select_streams", "a:0"),
                *("-show_streams", "-of", "json", "-i", f"file:{path}"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnreadableAudio(
            f"{path}: ffprobe has not told what it is within {_PROBE_WITHIN_S:.0f} s. Leave it out."
        ) from None
    streams = json.loads(asked.stdout or b"{}").get("streams", [])
    if asked.returncode != 0 or not streams:
        raise UnreadableAudio(
            f"{path} holds no sound that ffmpeg can decode. Give an audio file that plays."
        )
    return _described(streams[0])


def _described(stream: dict[str, Any]) -> Media:
    codec = str(stream.get("codec_name", "unknown"))
    bits = int(stream.get("bits_per_raw_sample") or stream.get("bits_per_sample") or 0)
    return Media(
        codec=codec,
        sample_format=str(stream.get("sample_fmt", "")),
        rate_hz=int(stream.get("sample_rate", 0)),
        channels=int(stream.get("channels", 0)),
        bits=bits or None,
    )
