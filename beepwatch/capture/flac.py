"""FLAC through Debian's libsndfile, which its ffmpeg depends on.

The one inside soundfile's wheels is compiled without optimisation, and soundfile seeks after every
read: it takes 1.4 times as long for the same samples, and for the same words about damage (tested).
Nothing seeks here, where libFLAC 1.4.0 to 1.4.2 is known to fail.
"""

import ctypes
import os
import re
import sysconfig
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.blocks import SampleFormat

# By its path: by its name, soundfile's own would be taken where that is loaded already.
_LIBRARY = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "", "libsndfile.so.1")
_OLDEST = (1, 2)  # that has been tested
NO_LENGTH = 2**63 - 1  # said of a FLAC that was written through a pipe

# Of sndfile.h.
_TO_READ = 0x10
_SUBTYPE = 0xFFFF
_PCM_16 = 2


class _Info(ctypes.Structure):
    _fields_ = (
        ("frames", ctypes.c_int64),
        ("samplerate", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("format", ctypes.c_int),
        ("sections", ctypes.c_int),
        ("seekable", ctypes.c_int),
    )


class Undecodable(Exception):
    """What libsndfile says of damage."""


class Flac:
    """A FLAC file, opened. Raises Undecodable."""

    def __init__(self, library: ctypes.CDLL, path: Path) -> None:
        info = _Info()
        self._library = library
        self._file = library.sf_open(os.fsencode(path), _TO_READ, ctypes.byref(info))
        if not self._file:
            raise Undecodable(self._said())
        self.rate_hz: int = info.samplerate
        self.channels: int = info.channels
        self.sample_format: SampleFormat = (
            "int16" if info.format & _SUBTYPE == _PCM_16 else "float32"
        )
        self.promised_frames: int | None = info.frames if info.frames != NO_LENGTH else None
        self._left = info.frames

    def read(self, frames: int) -> NDArray[np.generic]:
        """Up to so many, [frames, channels]; none at the end. Raises Undecodable."""
        wanted = min(frames, self._left)
        samples = np.empty((wanted, self.channels), dtype=self.sample_format)
        read = (
            self._library.sf_readf_short if samples.itemsize == 2 else self._library.sf_readf_float
        )
        count = read(self._file, samples.ctypes.data, wanted)
        if self._library.sf_error(self._file):
            raise Undecodable(self._said())
        if count < wanted and self.promised_frames is not None:
            raise Undecodable("it ends before the length that its header promises")
        self._left -= count
        return samples[:count]

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        file, self._file = self._file, None
        if file:
            self._library.sf_close(file)

    def _said(self) -> str:
        text: bytes = self._library.sf_strerror(self._file)
        return text.decode("utf-8", "replace")


@cache
def system_library() -> ctypes.CDLL | None:
    """Debian's libsndfile, if it is there and new enough."""
    try:
        library = ctypes.CDLL(str(_LIBRARY))
    except OSError:
        return None
    library.sf_version_string.restype = ctypes.c_char_p
    version = re.match(rb"libsndfile-(\d+)\.(\d+)", library.sf_version_string())
    if version is None or tuple(map(int, version.groups())) < _OLDEST:
        return None
    pointer, frames = ctypes.c_void_p, ctypes.c_int64
    library.sf_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(_Info)]
    library.sf_open.restype = pointer
    for read in (library.sf_readf_short, library.sf_readf_float):
        read.argtypes = [pointer, pointer, frames]
        read.restype = frames
    library.sf_error.argtypes = [pointer]
    library.sf_strerror.argtypes = [pointer]
    library.sf_strerror.restype = ctypes.c_char_p
    library.sf_close.argtypes = [pointer]
    return library
