"""What comes out of an archive stays below its folder, and is no more than there is room for."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from beepwatch.train.datasets.archives import ArchiveError, is_archive, limit_bytes, unpack

NAMES = ["fan/a.wav", "fan/b.wav"]


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]  # the modes are listed
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def unpacked(archive: Path) -> dict[str, bytes]:
    into = archive.parent / "into"
    into.mkdir()
    unpack(archive, into, lambda name: not name.endswith(".exe"))
    return {
        file.relative_to(into).as_posix(): file.read_bytes()
        for file in into.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.zip", ""),
        ("a.tar", "w"),
        ("a.TGZ", "w:gz"),
        ("a.tar.bz2", "w:bz2"),
        ("a.tar.xz", "w:xz"),
    ],
)
def test_what_is_wanted_comes_out(name: str, mode: str, tmp_path: Path) -> None:
    members = {each: each.encode() * 100 for each in NAMES}
    given = members | {"run.exe": b"no"}
    archive = tmp_path / name
    assert is_archive(archive)
    made = tarred(archive, given, mode) if mode else zipped(archive, given)
    assert unpacked(made) == members


@pytest.mark.parametrize("name", ["../a.wav", "/tmp/a.wav", "fan/../../a.wav", "..\\a.wav"])
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_name_that_leads_outside_is_refused(make, name: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    archive = make(tmp_path / ("a.zip" if make is zipped else "a.tar"), {name: b"x"})
    with pytest.raises(ArchiveError, match="a place outside of where it is unpacked"):
        unpacked(archive)
    assert not list(tmp_path.parent.glob("a.wav"))


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for kind, name in ((tarfile.SYMTYPE, "s.wav"), (tarfile.LNKTYPE, "h.wav")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "/etc/passwd"
            file.addfile(link)
        device = tarfile.TarInfo("d.wav")
        device.type = tarfile.CHRTYPE
        file.addfile(device)
    assert unpacked(tmp_path / "a.tar") == {}
    info = zipfile.ZipInfo("s.wav")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    folder = tmp_path / "zip"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w") as zipped_links:
        zipped_links.writestr(info, "/etc/passwd")
    assert unpacked(folder / "a.zip") == {}


def test_a_second_name_of_a_file_is_a_file(tmp_path: Path) -> None:
    """As tar packs two hard links: the second one says only what the first is called."""
    (tmp_path / "fan").mkdir()
    (tmp_path / "fan" / "a.wav").write_bytes(b"sound")
    (tmp_path / "fan" / "b.wav").hardlink_to(tmp_path / "fan" / "a.wav")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        for name in NAMES:
            file.add(tmp_path / name, name)
    with tarfile.open(tmp_path / "a.tar.gz") as file:
        assert file.getmember("fan/b.wav").islnk()
    assert unpacked(tmp_path / "a.tar.gz") == dict.fromkeys(NAMES, b"sound")


def test_a_bomb_is_stopped_where_the_room_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 MB in 30 kB, of which 10 MB may come out."""
    archive = zipped(tmp_path / "a.zip", {"a.wav": bytes(30_000_000)})
    monkeypatch.setattr("beepwatch.train.datasets.archives._LEAST_LIMIT_BYTES", 10_000_000)
    assert archive.stat().st_size < 50_000
    with pytest.raises(ArchiveError, match="far more than its size"):
        unpacked(archive)
    assert (tmp_path / "into" / "a.wav").stat().st_size <= 10_000_000


def test_the_limit_leaves_room_on_the_disk() -> None:
    assert limit_bytes(10**6, free_bytes=10**12) == 2 * 10**9
    assert limit_bytes(10**9, free_bytes=10**12) == 10**11
    assert limit_bytes(10**9, free_bytes=10**9) == 5 * 10**8
    assert limit_bytes(10**9, free_bytes=0) == 0


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_a_damaged_archive_is_said(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpacked(tmp_path / name)


def test_an_archive_that_is_cut_short_is_said(tmp_path: Path) -> None:
    whole = tarred(tmp_path / "a.tar.gz", {name: name.encode() * 10**5 for name in NAMES}, "w:gz")
    whole.write_bytes(whole.read_bytes()[:-300])
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpacked(whole)


def test_of_two_members_of_one_name_the_first_stays(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.wav", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.wav", b"second")
    assert unpacked(tmp_path / "a.zip") == {"a.wav": b"first"}
