"""Whatever happens while a file is written, who looks finds the old one or the new one, whole."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from beepwatch.whole_files import PRIVATE, Owner, sync_names, write_whole, written_whole
from tests.small_disk import BrokenDisk, broken_disk, small_disk


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One that is there already, alone in its folder."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "file"
    path.write_bytes(b"old")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def umask(bits: int) -> Iterator[None]:
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


def test_the_new_one_is_there_when_all_of_it_is_written_and_not_before(file: Path) -> None:
    with written_whole(file) as draft:
        draft.write(b"new")
        draft.flush()
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"
    assert names(file.parent) == ["file"]


def test_a_name_without_a_folder_is_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_whole("file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_who_gives_up_while_writing_leaves_the_old_one_and_no_draft(
    file: Path, error: type[BaseException]
) -> None:
    def give_up() -> None:
        with written_whole(file) as draft:
            draft.write(b"half of it")
            raise error

    with pytest.raises(error):
        give_up()
    assert file.read_bytes() == b"old"
    assert names(file.parent) == ["file"]


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_full_disk_is_told_and_keeps_the_old_one_and_no_draft(tmp_path: Path, size: int) -> None:
    """Whether a write finds it, or what is still held back when there is no more to write."""
    with small_disk(tmp_path / "disk", size_bytes=1_000_000) as disk:
        path = disk.path / "file"
        write_whole(path, b"old")
        disk.fill()
        before = disk.free_bytes
        with pytest.raises(OSError, match="No space left") as told:
            write_whole(path, bytes(size))
        assert told.value.errno == errno.ENOSPC
        assert path.read_bytes() == b"old"
        assert names(disk.path) == ["file", "filler"]
        assert disk.free_bytes == before


def test_what_a_pulled_disk_has_is_the_new_one_as_soon_as_it_is_said_to_be_written(
    tmp_path: Path,
) -> None:
    with broken_disk(tmp_path) as disk:
        path = disk.path / "file"
        write_whole(path, b"old")
        write_whole(path, b"new")
        disk.pull()
        disk.put_back()
        assert path.read_bytes() == b"new"


def write_onto_a_disk_that_is_pulled(path: Path, disk: BrokenDisk) -> None:
    with written_whole(path) as draft:
        draft.write(b"half of it")
        draft.flush()
        disk.pull()


def test_what_a_disk_has_that_is_pulled_before_is_the_old_one(tmp_path: Path) -> None:
    with broken_disk(tmp_path) as disk:
        path = disk.path / "file"
        write_whole(path, b"old")
        with pytest.raises(OSError, match=r"Input/output|Read-only"):
            write_onto_a_disk_that_is_pulled(path, disk)
        disk.put_back()
        assert path.read_bytes() == b"old"
        write_whole(path, b"new")
        assert [name for name in names(disk.path) if "file" in name] == ["file"]


WRITES_FOR_EVER = """
import sys
from beepwatch.whole_files import write_whole
while True:
    for letter in (b"a", b"b"):
        write_whole(sys.argv[1], letter * 2_000_000)
        print(letter.decode(), flush=True)
"""


@pytest.mark.parametrize("writes", [1, 4, 7])
def test_a_writer_that_is_killed_leaves_a_whole_one(file: Path, writes: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_FOR_EVER, str(file)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        for _ in range(writes):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
    content = file.read_bytes()
    assert content in (b"a" * 2_000_000, b"b" * 2_000_000)
    write_whole(file, b"new")
    assert names(file.parent) == ["file"]


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_it_returns(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    sync, replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        sync(handle)
        path = Path(f"/proc/self/fd/{handle}").resolve()
        done.append(path.read_bytes() if path.is_file() else path)

    def renamed(source: str, target: Path) -> None:
        replace(source, target)
        done.append("renamed")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    write_whole(file, b"new")
    assert done == [b"new", "renamed", file.parent]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
@pytest.mark.parametrize("bits", [0o000, 0o022, 0o077])
def test_a_mode_is_what_it_is_said_to_be_whatever_the_umask_and_the_old_one(
    file: Path, mode: int, bits: int
) -> None:
    file.chmod(0o666)
    with umask(bits):
        write_whole(file, b"new", mode=mode)
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_without_a_mode_it_is_as_any_new_file(file: Path) -> None:
    with umask(0o027):
        write_whole(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_nobody_else_looks_into_it_before_it_has_its_owner(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []

    def fchown(handle: int, uid: int, gid: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(handle).st_mode))

    monkeypatch.setattr(os, "fchown", fchown)
    with umask(0):
        write_whole(file, b"new", mode=0o644, owner=Owner(12_345, 12_346))
    assert modes == [PRIVATE]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_it_is_its_owners_from_its_beginning_on(file: Path) -> None:
    with written_whole(file, mode=PRIVATE, owner=Owner(12_345, 12_346)) as draft:
        status = os.fstat(draft.fileno())
        assert (status.st_uid, status.st_gid) == (12_345, 12_346)
    status = file.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12_345, 12_346, 0o600)


def test_a_draft_that_was_left_behind_gives_nothing_to_the_new_one(file: Path) -> None:
    """Neither its content, nor its mode, nor another name that it has."""
    left = file.with_name(".file.new")
    left.write_bytes(b"a longer one, of a crash")
    left.chmod(0o666)
    (file.parent / "another name").hardlink_to(left)
    write_whole(file, b"new", mode=PRIVATE)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == PRIVATE
    assert (file.parent / "another name").read_bytes() == b"a longer one, of a crash"
    assert names(file.parent) == ["another name", "file"]


def test_no_link_is_written_through(file: Path, tmp_path: Path) -> None:
    """Root writes where a service of another user could put one."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"theirs")
    file.unlink()
    for link in (file, file.with_name(".file.new")):
        link.symlink_to(precious)
    write_whole(file, b"new", mode=PRIVATE)
    assert precious.read_bytes() == b"theirs"
    assert not file.is_symlink()
    assert file.read_bytes() == b"new"


def test_what_appears_in_the_drafts_place_meanwhile_is_not_written_through(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that comes after the old draft was taken away."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"theirs")

    def raced(path: str) -> None:
        Path(path).symlink_to(precious)

    with monkeypatch.context() as race:
        race.setattr(os, "unlink", raced)
        with pytest.raises(FileExistsError):
            write_whole(file, b"new")
    assert precious.read_bytes() == b"theirs"
    assert file.read_bytes() == b"old"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "file", b"new")
    with pytest.raises(FileNotFoundError):
        sync_names(tmp_path / "none")
