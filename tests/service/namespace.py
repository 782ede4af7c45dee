"""Mounts that nobody else sees, and that end with the program for which they were made."""

# It begins with a copy of all mounts. Disks of `small_disk.py` are let go of at once: a test beside
# this one, in another process, may want to unmount and check its own.
_LET_GO = """while read -r device place rest; do
    case $device$place in /dev/loop*/mounted) umount --lazy "$place" || true ;; esac
done </proc/self/mounts
"""


def alone(script: str, *arguments: str) -> tuple[str, ...]:
    """The words of a command that runs a shell script, whose arguments are $1 and on."""
    words = ("unshare", "--mount", "--propagation=private", "sh", "-c")
    return *words, f"set -eu\n{_LET_GO}{script}", "sh", *arguments
