"""How the messenger's memory is laid out, so that it does not grow over days."""

import contextlib
import ctypes
import gc

_M_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE_BYTES = 16 * 1024


def keep_apart_what_is_large() -> None:
    """Give every large buffer pages of its own, which go back to the system with it.

    A clip passes through a dozen buffers of all sizes: its sound, what ffmpeg and the network take
    at a time, the mp3, the message. In one heap each leaves a hole that the next does not fit, and
    glibc itself raises its limit to the largest that it has seen. For this process alone: who
    computes on arrays all the time would do nothing but ask for pages.
    """
    with contextlib.suppress(AttributeError, OSError):  # another libc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def settle() -> None:
    """What is there by now stays: a collection of garbage need not look at it any more.

    So one after each message takes a millisecond (`notify/telegram.py`).
    """
    gc.collect()
    gc.freeze()
