"""Large buffers have pages of their own, and what is settled is not looked at again."""

import subprocess
import sys

APART = """
import ctypes, sys
from beepwatch.daemon.heap import BUFFERS_BYTES, keep_apart

class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("a", "b", "c", "hblks", "hblkhd", *"fghij")]

def own_pages():
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Counts
    return mallinfo2().hblks

keep_apart(BUFFERS_BYTES)
before = own_pages()
large = [bytearray(17_000) for _ in range(100)]
with_large = own_pages()
del large
print(with_large - before > 50, own_pages() - before)
"""

STAYS = """
import sys
from beepwatch.daemon.heap import ARRAYS_BYTES, keep_apart

def resident_kb():
    status = open("/proc/self/status").read()
    return int(status.partition("VmRSS:")[2].split()[0])

def a_long_episode():
    for size in (3_000_000, 6_000_000, 12_000_000):
        bytearray(b"x") * size
    pieces = [bytearray(b"x") * 60_000 for _ in range(100)]

if sys.argv[1] == "apart":
    keep_apart(ARRAYS_BYTES)
before = resident_kb()
a_long_episode()
print(resident_kb() - before > 4_000)
"""

SETTLED = """
import gc
from beepwatch.daemon.heap import settle

class Ring:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("gone")

gc.disable()
Ring()
settle()
gc.enable()
print(gc.get_freeze_count() > 1_000, len(gc.get_objects()) < 1_000)
"""


def printed(program: str, *arguments: str) -> list[str]:
    """By a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


def test_what_is_large_has_pages_of_its_own_and_gives_them_back() -> None:
    """But for those that fit what is free already."""
    assert printed(APART) == ["True", "0"]


def test_what_a_long_episode_took_does_not_stay_at_the_top_of_the_heap() -> None:
    """glibc by itself keeps it: else there would be nothing to do."""
    assert printed(STAYS, "as ever") == ["True"]
    assert printed(STAYS, "apart") == ["False"]


def test_garbage_goes_and_what_is_there_by_then_stays_out_of_later_collections() -> None:
    assert printed(SETTLED) == ["gone", "True", "True"]
