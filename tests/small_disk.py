"""A disk of a few megabytes that can be filled, emptied and made read-only: a mount of its own.

Mounting takes root with CAP_SYS_ADMIN; where the kernel says no, the test is skipped, and says so.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_FILLER = "filler"
_BLOCK_BYTES = 4_096
_FREE_WITHIN_S = 60.0
_FREEZE, _THAW = 0xC0045877, 0xC0045878  # FIFREEZE, FITHAW, linux/fs.h
_EXT4_SHUTDOWN, _WITHOUT_LOG = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN, fs/ext4/ext4.h


class SmallDisk:
    """A mounted file system; `path` is its root."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def free_bytes(self) -> int:
        """What may still be written."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Write until the disk takes no more, or until only so much is left."""
        with (self.path / _FILLER).open("ab", buffering=0) as file:
            try:
                while self.free_bytes > leave_bytes:
                    file.write(bytes(_BLOCK_BYTES))
            except OSError:
                return

    def make_room(self) -> None:
        """Take away what `fill` wrote."""
        (self.path / _FILLER).unlink()


@contextmanager
def small_disk(path: Path, size_bytes: int = 8_000_000) -> Iterator[SmallDisk]:
    """A new tmpfs: full is full, ENOSPC comes from the kernel."""
    path.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(path))
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


class BrokenDisk:
    """An ext4 file system that goes read-only at an error, as cards and sticks are mounted."""

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self._image = image

    def mount(self) -> None:
        """As cards and sticks are mounted."""
        mount("-o", "loop,errors=remount-ro", str(self._image), str(self.path))

    def mend(self) -> None:
        """As the next start of the machine does: check the file system and mount it again."""
        subprocess.run(["umount", self.path], check=True)
        self._wait_until_free()
        subprocess.run(["fsck.ext4", "-fy", self._image], check=False, capture_output=True)
        self.mount()

    def _wait_until_free(self) -> None:
        """Whoever has just begun with a copy of all mounts, see `tests/service/namespace.py`, keeps
        it in use for a moment; then it would come back as broken as it went.
        """
        give_up_s = time.monotonic() + _FREE_WITHIN_S
        asked = ["losetup", "--noheadings", "--associated", str(self._image)]
        while subprocess.run(asked, capture_output=True, check=True).stdout:
            assert time.monotonic() < give_up_s, f"somebody keeps {self._image} mounted"
            threading.Event().wait(0.02)

    def break_it(self) -> None:
        """Let the kernel find an error; from now on every write is refused with EROFS."""
        source = subprocess.run(
            ["findmnt", "-no", "SOURCE", self.path], capture_output=True, text=True, check=True
        )
        device = Path(source.stdout.strip()).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")

    def pull(self) -> None:
        """Let it be as one that is not there any more: from now on everything is EIO."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _EXT4_SHUTDOWN, struct.pack("I", _WITHOUT_LOG))
        finally:
            os.close(handle)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Whoever writes to it waits in the kernel, where no signal reaches; never the test itself,
        which would not get to the end of this.
        """
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _FREEZE, 0)
            try:
                yield
            finally:
                fcntl.ioctl(handle, _THAW, 0)
        finally:
            os.close(handle)

    def put_back(self) -> None:
        """After it was pulled: what had reached it is there again, in a mount of its own."""
        subprocess.run(["umount", "--lazy", self.path], check=True)
        # The kernel would give whoever mounts the same file the same dead file system.
        self._image = Path(shutil.copy(self._image, self._image.with_name("put_back")))
        subprocess.run(["fsck.ext4", "-fy", self._image], check=False, capture_output=True)
        self.mount()


@contextmanager
def broken_disk(directory: Path) -> Iterator[BrokenDisk]:
    """A new one of 16 MB below the directory, in a file."""
    image, path = directory / "image", directory / "mounted"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(16_000_000)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    disk = BrokenDisk(path, image)
    disk.mount()
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def is_held(pid: int) -> bool:
    """Whether the process waits for a disk, in uninterruptible sleep, proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"


def mount(*arguments: str) -> None:
    """mount(8); skips the test where that is not allowed."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
