"""How a child's memory is laid out, so that it does not grow over days."""

import contextlib
import ctypes
import gc

_M_MMAP_THRESHOLD = -3  # of malloc.h
BUFFERS_BYTES = 16 * 1024  # the messenger's, see below
ARRAYS_BYTES = 128 * 1024  # where glibc begins


def keep_apart(at_least_bytes: int) -> None:
    """Give what is as large as that pages of its own, which go back to the system with it.

    glibc raises this limit to the largest block that was ever given back, and lets twice as much
    lie unused at the top of the heap: in the classifier, after the longest clip and the spectra of
    the longest episode, some megabytes for good. There the limit stays where it begins: who
    computes on arrays all the time would with a lower one do nothing but ask for pages.

    In the messenger a clip passes through a dozen buffers of all sizes: its sound, what ffmpeg and
    the network take at a time, the mp3, the message. In one heap each leaves a hole that the next
    does not fit.
    """
    with contextlib.suppress(AttributeError, OSError):  # another libc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, at_least_bytes)


def settle() -> None:
    """What is there by now stays: a collection of garbage need not look at it any more.

    So one after each message takes a millisecond (`notify/telegram.py`).
    """
    gc.collect()
    gc.freeze()
