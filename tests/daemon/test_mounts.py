"""How a path is mounted, from the kernel's table and from tables in its form."""

import subprocess
from pathlib import Path

import pytest

from beepwatch.daemon.mounts import Mount, mount_of
from tests.small_disk import mount, small_disk

FREE = Mount(read_only=False, disk_read_only=False)
TABLE = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro
30 22 8:2 / /state rw,noatime shared:2 - ext4 /dev/sda2 ro
31 22 8:2 /with\040space /with\040space ro,nosuid - ext4 /dev/sda2 rw
32 31 8:3 / /with\040space rw - tmpfs none rw
33 22 8:2 / /cover rw - tmpfs none rw
34 33 8:2 / /cover ro,relatime master:2 - ext4 /dev/sda2 rw,size=1k
"""


@pytest.mark.parametrize(
    ("path", "read_only", "disk_read_only"),
    [
        ("/somewhere/else", False, False),
        ("/state", False, True),
        ("/state/beepwatch", False, True),
        ("/stateful", False, False),
        ("/with space/x", False, False),
        ("/cover/x", True, False),
    ],
)
def test_the_last_mount_at_the_deepest_place_counts(
    path: str, read_only: bool, disk_read_only: bool, tmp_path: Path
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE.lstrip())
    found = mount_of(Path(path), table)
    assert found == Mount(read_only=read_only, disk_read_only=disk_read_only)
    assert found.holds_back == (path == "/cover/x")


def test_a_name_that_ends_lines_elsewhere_does_not_end_one_here(tmp_path: Path) -> None:
    """The kernel writes only its own four characters as numbers."""
    table = tmp_path / "mountinfo"
    strange = "35 22 8:4 / /media/a\u2028b\x0cc ro - vfat /dev/sdb1 ro\n"
    table.write_text(TABLE.lstrip() + strange, encoding="utf-8")
    assert mount_of(Path("/elsewhere"), table) == FREE
    assert mount_of(Path("/media/a\u2028b\x0cc/x"), table).disk_read_only


def test_a_copy_that_was_made_of_a_read_only_mount_stays_so(tmp_path: Path) -> None:
    copy = tmp_path / "a copy"
    copy.mkdir()
    with small_disk(tmp_path / "disk") as disk:
        assert mount_of(disk.path) == FREE
        mount("-o", "remount,ro", str(disk.path))
        mount("--bind", str(disk.path), str(copy))
        try:
            assert mount_of(copy) == Mount(read_only=True, disk_read_only=True)
            mount("-o", "remount,rw", str(disk.path))
            assert mount_of(disk.path) == FREE
            assert mount_of(copy / "state").holds_back
        finally:
            subprocess.run(["umount", "--lazy", copy], check=True)
