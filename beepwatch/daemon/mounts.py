"""Whether a disk is read-only, or only the mount through which this process sees it.

The mounts of a sandbox are copies of the machine's, made when it begins. One that was read-only
then stays so, whatever becomes of the disk: `mount -o remount,rw` changes the file system and the
one mount that it names (mount_namespaces(7), proc_pid_mountinfo(5)).
"""

import re
from pathlib import Path

import msgspec

_OWN = Path("/proc/self/mountinfo")
_READ_ONLY = "ro"


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """How what lies at a path is mounted."""

    read_only: bool  # the mount
    disk_read_only: bool  # the file system on it

    @property
    def holds_back(self) -> bool:
        """Whether others may write where this process may not."""
        return self.read_only and not self.disk_read_only


def mount_of(path: Path, table: Path = _OWN) -> Mount:
    """Of several at the same place the last one covers the others. Raises OSError."""
    resolved = path.resolve()
    deepest, found = -1, Mount(read_only=False, disk_read_only=False)
    text = table.read_text(encoding="utf-8", errors="surrogateescape")
    for line in filter(None, text.split("\n")):  # a name may hold other line ends
        own, _, disk = line.partition(" - ")
        place, options = own.split(" ")[4:6]
        place = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), place)
        if resolved.is_relative_to(place) and len(Path(place).parts) >= deepest:
            deepest = len(Path(place).parts)
            found = Mount(
                read_only=_READ_ONLY in options.split(","),
                disk_read_only=_READ_ONLY in disk.split(" ")[2].split(","),
            )
    return found
