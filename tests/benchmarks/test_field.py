"""Hours of music and voices are counted once, and rates are told with how sure they are."""

from pathlib import Path

from benchmarks.field import Told, recordings


def test_each_recording_is_heard_once_whatever_its_copies_and_links(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    first, copy, other = (tmp_path / "music" / name for name in ("a.ogg", "b.ogg", "c.mp3"))
    first.write_bytes(b"the same")
    copy.write_bytes(b"the same")
    other.write_bytes(b"another")
    (tmp_path / "again").symlink_to(tmp_path / "music")
    (tmp_path / "link.ogg").symlink_to(first)
    (tmp_path / "README").write_text("no recording")
    assert list(recordings(tmp_path)) == [first, other]
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["README", "a.ogg", "c.mp3", "music"]


def test_a_rate_is_told_with_its_interval() -> None:
    """The exact one of a Poisson count: 0 in 2 h is less than 3.69 / 2 an hour."""
    assert str(Told(hours=2.0)) == " 2.00 h,    0 alarms,    0.0 an hour (95 %: 0.0 to 1.8)"
    assert str(Told(hours=0.5, alarms=3)).endswith("6.0 an hour (95 %: 1.2 to 17.5)")
