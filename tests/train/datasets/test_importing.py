"""Everything comes in, in the right pieces, under the right label, and nothing is written over."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beepwatch.errors import ConfigurationError, DiskFull, UnreadableAudio
from beepwatch.train.datasets.catalogue import NAME, clips_below, read_table
from beepwatch.train.datasets.cutting import Cut
from beepwatch.train.datasets.gathering import Manner
from beepwatch.train.datasets.importing import Imported, import_recordings
from tests.small_disk import small_disk
from tests.train.datasets.sounds import RATE_HZ, convert, noise, read, write


def imported(source: Path, out: Path, workers: int = 0, **manner: object) -> Imported:
    return import_recordings([source], out, Manner(**manner), workers=workers)  # type: ignore[arg-type]


def tree(root: Path) -> Mapping[str, str]:
    """Digests of all visible files but the table."""
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(root.rglob("*"))
        if file.is_file() and file.name != NAME and ".beepwatch" not in file.parts
    }


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """A folder as it comes from a phone: two labels, three formats, one text."""
    write(tmp_path / "phone" / "beep" / "a.wav", noise(1, seconds=1.0))
    wash = write(tmp_path / "b.wav", noise(2, seconds=2.5))
    convert(wash, tmp_path / "phone" / "wash" / "b.m4a")
    convert(wash, tmp_path / "phone" / "wash" / "deep" / "b.mkv", "-c:a", "flac")
    (tmp_path / "phone" / "wash" / "notes.txt").write_text("not sound")
    return tmp_path / "phone"


def test_files_come_as_they_are_in_folders_by_label(phone: Path, tmp_path: Path) -> None:
    done = imported(phone, tmp_path / "out")
    assert (done.recordings, done.clips, done.new, done.problems) == (3, 3, 3, [])
    files = tree(tmp_path / "out")
    assert list(files) == ["beep/a.wav", "deep/wash_b.wav", "wash/b.m4a"]
    assert files["beep/a.wav"] == tree(phone)["beep/a.wav"]
    assert files["wash/b.m4a"] == tree(phone)["wash/b.m4a"]
    assert (
        len(read(tmp_path / "out" / "deep" / "wash_b.wav")) == 2.5 * RATE_HZ
    )  # matroska becomes WAV
    rows = read_table(tmp_path / "out" / NAME).rows
    assert rows.keys() == files.keys()
    row = rows["wash/b.m4a"]
    assert [row[name] for name in ("label", "session", "source", "codec", "sha256", "rate_hz")] == [
        *("wash", "phone/wash/b", "phone/wash/b.m4a", "aac", files["wash/b.m4a"], "16000"),
    ]


def test_an_archive_gives_what_its_folder_gives(phone: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "phone.zip", "w") as file:
        for each in phone.rglob("*.*"):
            file.write(each, each.relative_to(phone))
    assert imported(tmp_path / "phone.zip", tmp_path / "zipped").new == 3
    imported(phone, tmp_path / "out")
    assert tree(tmp_path / "zipped") == tree(tmp_path / "out")
    assert imported(tmp_path / "phone.zip", tmp_path / "zipped").new == 0


def test_two_workers_bring_the_same(phone: Path, tmp_path: Path) -> None:
    cut = Cut(length_ms=300)
    imported(phone, tmp_path / "one", cut=cut)
    imported(phone, tmp_path / "two", workers=2, cut=cut)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert (tmp_path / "two" / NAME).read_bytes() == (tmp_path / "one" / NAME).read_bytes()


@pytest.mark.parametrize("manner", [Manner(), Manner(cut=Cut(length_ms=300))])
def test_a_second_run_touches_nothing(manner: Manner, phone: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    import_recordings([phone], out, manner, workers=0)
    before = {file: file.stat().st_mtime_ns for file in (*out.glob("[!.]*/*"), out / NAME)}
    again = import_recordings([phone], out, manner, workers=0)
    assert (again.new, again.recordings) == (0, 3)
    (out / ".beepwatch" / "imported.jsonl").unlink()  # nothing is known any more
    assert import_recordings([phone], out, manner, workers=0).new == 0
    assert {file: file.stat().st_mtime_ns for file in (*out.glob("[!.]*/*"), out / NAME)} == before


def test_what_was_taken_away_comes_again(phone: Path, tmp_path: Path) -> None:
    imported(phone, tmp_path / "out")
    before = tree(tmp_path / "out")
    (tmp_path / "out" / "beep" / "a.wav").unlink()
    assert imported(phone, tmp_path / "out").new == 1
    assert tree(tmp_path / "out") == before


@settings(max_examples=15)
@given(
    there=st.dictionaries(st.sampled_from(["a.wav", "a~2.wav", "b.wav"]), st.integers(0, 3)),
    given_=st.dictionaries(st.sampled_from(["a.wav", "b.wav"]), st.integers(0, 3), min_size=1),
)
def test_nothing_that_is_there_is_ever_written_over(
    there: dict[str, int], given_: dict[str, int]
) -> None:
    """Whatever lies under the names that the clips would have; the table is another's too."""
    with tempfile.TemporaryDirectory() as folder:
        out, source = Path(folder, "out"), Path(folder, "in")
        for name, seed in there.items():
            write(out / "beep" / name, noise(seed, seconds=0.05))
        for name, seed in given_.items():
            write(source / "beep" / name, noise(seed, seconds=0.05))
        out.mkdir(exist_ok=True)
        (out / NAME).write_text("path,label,room\nbeep/a.wav,spin,bath\n")
        before = tree(out)
        done = imported(source, out)
        after = tree(out)
        assert after.items() >= before.items()
        assert set(tree(source).values()) <= set(after.values())
        assert done.new == len(after) - len(before)
        mine = read_table(out / NAME).rows["beep/a.wav"]
        assert (mine["label"], mine["room"]) == ("spin", "bath")


def test_a_layout_fills_the_columns_and_names_do_not_collide(tmp_path: Path) -> None:
    seeds = iter(range(9))
    for machine in ("id_00", "id_02"):
        for label in ("normal", "abnormal"):
            file = tmp_path / "6_dB_fan" / "fan" / machine / label / "00000000.wav"
            write(file, noise(next(seeds), seconds=0.1))
    write(tmp_path / "6_dB_fan" / "other.wav", noise(5, seconds=0.1))
    done = imported(tmp_path / "6_dB_fan", tmp_path / "out", layout="mimii", licence="CC BY-SA 4.0")
    assert (done.clips, done.left_out) == (4, 1)
    row = read_table(tmp_path / "out" / NAME).rows["abnormal/fan_id_02_00000000.wav"]
    assert [row[name] for name in ("label", "device", "snr_db", "licence")] == [
        *("abnormal", "fan_id_02", "6", "CC BY-SA 4.0"),
    ]


def test_labels_of_a_table_and_of_all(phone: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label,device\nbeep/a.wav,oven,hob\n")
    imported(phone, tmp_path / "out", table=tmp_path / "labels.csv")
    (row,) = read_table(tmp_path / "out" / NAME).rows.values()
    assert (row["path"], row["label"], row["device"]) == ("oven/beep_a.wav", "oven", "hob")
    imported(phone / "beep" / "a.wav", tmp_path / "one", label="../x")
    assert clips_below(tmp_path / "one") == ["_x/a.wav"]
    imported(phone / "beep" / "a.wav", tmp_path / "none")
    assert clips_below(tmp_path / "none") == ["unlabelled/a.wav"]


def test_a_label_in_any_script_has_a_folder_of_a_name_that_is_short_enough(tmp_path: Path) -> None:
    """File systems count bytes, and up to 255 of them."""
    label = "洗濯機の終わりのブザー" * 12
    done = imported(write(tmp_path / "a.wav", noise(1, seconds=0.1)), tmp_path / "out", label=label)
    assert (done.problems, done.new) == ([], 1)
    ((path, row),) = read_table(tmp_path / "out" / NAME).rows.items()
    assert (row["label"], path.split("/")[0]) == (label, label[:85])


def test_words_that_are_no_text_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """As a terminal gives what was typed in another encoding."""
    file = write(tmp_path / "a.wav", noise(1, seconds=0.1))
    for option in ("label", "licence"):
        with pytest.raises(ConfigurationError, match=rf"--{option} is 'caf\\udce9', which is no t"):
            imported(file, tmp_path / "out", 0, **{option: "caf\udce9"})
    assert not (tmp_path / "out").exists()


def test_a_recording_that_only_looks_as_one_that_was_brought_in_is_another(tmp_path: Path) -> None:
    """Recorders without a clock give all files of all their cards one name, length and date."""
    out = tmp_path / "out"
    one, two = (tmp_path / card / "rec" / "R1.wav" for card in ("one", "two"))
    for seed, file in enumerate((one, two)):
        os.utime(write(file, noise(seed, seconds=0.5)), ns=(0, 0))
        assert imported(file.parent, out).new == 1
        assert imported(file.parent, out).new == 0
    os.utime(write(one, noise(2, seconds=0.5)), ns=(0, 0))
    assert imported(one.parent, out).new == 1
    assert len(clips_below(out)) == 3


def test_what_cannot_be_read_costs_a_line_and_what_breaks_off_gives_what_there_is(
    tmp_path: Path,
) -> None:
    source = tmp_path / "in" / "wash"
    whole = write(source / "a.wav", noise(1, seconds=3.0)).read_bytes()
    (source / "a.wav").write_bytes(whole[: len(whole) // 2])
    (source / "empty.wav").touch()
    (source / "text.wav").write_text("no sound")
    (source / "bad.zip").write_text("no archive")
    manner = Manner(cut=Cut(length_ms=1_000))
    sources = [tmp_path / "in", source / "bad.zip"]
    done = import_recordings(sources, tmp_path / "out", manner, workers=0)
    assert clips_below(tmp_path / "out") == ["wash/a.0001.wav"]
    assert [problem.split(".")[0] for problem in done.problems] == [
        f"{source}/bad",
        *("in/wash/a", "in/wash/empty", "in/wash/text"),
    ]
    assert "is cut short: 1.50 s of the 3.00 s" in done.problems[1]
    assert done.problems[1].endswith("What comes before was imported.")
    assert done.problems[3] == (
        "in/wash/text.wav: holds no sound that ffmpeg can decode. Give an audio file that plays."
    )


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.aiff", "a.wav"])
def test_what_is_cut_short_is_told_though_a_decoder_says_nothing(name: str, tmp_path: Path) -> None:
    """Its pieces are whole, so no check of the data set could tell it afterwards."""
    whole = write(tmp_path / "whole.wav", noise(1, seconds=3.0))
    options = ("-c:a", "pcm_f32le") if name == "a.wav" else ()
    file = convert(whole, tmp_path / "in" / name, *options)
    assert imported(tmp_path / "in", tmp_path / "whole", cut=Cut(length_ms=500)).problems == []
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    done = imported(tmp_path / "in", tmp_path / "out", cut=Cut(length_ms=500))
    assert 2 <= done.new <= 3
    (problem,) = done.problems
    assert problem.startswith(f"in/{name}: is cut short: ")
    assert problem.endswith("What comes before was imported.")


def test_one_import_at_a_time_and_what_a_killed_one_left_goes(phone: Path, tmp_path: Path) -> None:
    left = tmp_path / "out" / ".beepwatch" / "importing-killed"
    left.mkdir(parents=True)
    (left / "draft").write_text("half a clip")
    with (tmp_path / "out" / ".beepwatch" / "importing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="another import is writing"):
            imported(phone, tmp_path / "out")
        assert left.exists()
    imported(phone, tmp_path / "out")
    assert not list((tmp_path / "out" / ".beepwatch").glob("importing-*"))


def test_a_source_that_is_not_there_and_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone does not exist"):
        imported(tmp_path / "gone", tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        imported(tmp_path, tmp_path / "file" / "out")


def test_a_source_without_recordings_costs_a_line_and_nothing_but_such_is_refused(
    phone: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = import_recordings([empty, phone], tmp_path / "out", Manner(), workers=0)
    assert done.recordings == 3
    assert done.problems == [f"there is no recording in {empty}. Name another folder or file."]
    with pytest.raises(UnreadableAudio, match="there is no recording in"):
        import_recordings([empty, empty], tmp_path / "none", Manner(), workers=0)


def test_an_archive_within_a_source_is_named_and_not_passed_over(
    phone: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(phone / "more.ZIP", "w") as file:
        file.write(phone / "beep" / "a.wav", "wash/a.wav")
    done = imported(phone, tmp_path / "out")
    assert (done.recordings, done.archives, done.problems) == (3, ("phone/more.ZIP",), [])
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.write(phone / "more.ZIP", "fan/more.ZIP")
    with pytest.raises(UnreadableAudio, match=r"as sources: 1 archive, 'all\.zip/fan/more\.ZIP' f"):
        imported(tmp_path / "all.zip", tmp_path / "none")


def test_what_a_table_names_and_no_source_has_is_told(phone: Path, tmp_path: Path) -> None:
    """One table of two folders, and one recording that is in neither."""
    write(tmp_path / "card" / "c.wav", noise(3, seconds=0.2))
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nbeep/a.wav,oven\ngone.wav,oven\nc.wav,hob\n")
    manner = Manner(table=table)
    done = import_recordings([phone, tmp_path / "card"], tmp_path / "out", manner, workers=0)
    assert (done.new, done.left_out, done.without_file) == (2, 2, ("gone.wav",))


def test_labels_that_share_a_folder_have_clips_of_different_names(tmp_path: Path) -> None:
    """Which does not depend on who is done first."""
    for seed, label in enumerate(("a?b", "a:b")):
        write(tmp_path / "in" / label / "x.wav", noise(seed, seconds=0.1))
    imported(tmp_path / "in", tmp_path / "out")
    first, second = clips_below(tmp_path / "out")
    assert (first[:6], second) == ("a_b/x-", "a_b/x.wav")


def test_a_label_behind_the_end_of_its_recording_is_told(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.wav", noise(1, seconds=2.0))
    (tmp_path / "in" / "a.txt").write_text("0.5\t1\tbeep\n1.5\t3\twash\n2\t3\tspin\n9\t10\tspin\n")
    done = imported(tmp_path / "in", tmp_path / "out", layout="audacity")
    assert clips_below(tmp_path / "out") == ["beep/a.0001.wav", "wash/a.0002.wav"]
    assert done.problems == [
        "in/a.wav: 2 labels behind its end at 2.00 s, 'spin' at 2.00 s for one. Is the track of it?"
    ]


def test_what_two_sources_have_in_common_comes_once(phone: Path, tmp_path: Path) -> None:
    (phone / ".put aside").mkdir()
    aside = shutil.copy(phone / "wash" / "b.m4a", phone / ".put aside" / "c.m4a")
    sources = [phone / "beep" / "a.wav", phone, phone / "wash", phone / "." / "wash" / "b.m4a"]
    done = import_recordings([*sources, phone], tmp_path / "out", Manner(), workers=0)
    assert (done.recordings, done.problems) == (3, [])
    imported(phone, tmp_path / "once")
    assert tree(tmp_path / "out") == tree(tmp_path / "once")
    assert import_recordings([phone, Path(aside)], tmp_path / "out", Manner(), workers=0).new == 1


def test_two_sources_of_one_name_are_told_apart(phone: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "phone"
    write(other / "beep" / "a.wav", noise(77, seconds=0.2))
    done = import_recordings([phone, other], tmp_path / "out", Manner(), workers=0)
    assert done.new == 4
    sources = [row["source"] for row in read_table(tmp_path / "out" / NAME).rows.values()]
    assert "phone/beep/a.wav" in sources
    assert "phone-2/beep/a.wav" in sources


def test_without_links_a_name_is_taken_all_the_same(
    phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a USB stick: link() says that it may not."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    imported(phone, tmp_path / "out")
    files = tree(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / ".beepwatch")
    assert imported(phone, tmp_path / "out").new == 0
    assert tree(tmp_path / "out") == files
    assert files["beep/a.wav"] == tree(phone)["beep/a.wav"]


def test_a_data_set_below_its_own_source_is_not_brought_in_again(phone: Path) -> None:
    out = phone / "recordings"
    imported(phone, out)
    first = tree(out)
    assert imported(phone, out).recordings == 3
    assert tree(out) == first
    with pytest.raises(ConfigurationError, match="is the data set itself"):
        imported(out, out)
    with pytest.raises(ConfigurationError, match="recordings/beep is a part of the data set"):
        imported(out / "beep", out)


def test_a_name_that_is_no_text_becomes_one(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/in/w\xff"
    write(Path(os.fsdecode(folder + b"/caf\xe9.wav")), noise(1, seconds=0.1))
    imported(tmp_path / "in", tmp_path / "out")
    (row,) = read_table(tmp_path / "out" / NAME).rows.values()
    assert (row["path"], row["label"]) == ("w\ufffd/caf\ufffd.wav", "w\ufffd")


@pytest.mark.parametrize(("leave_bytes", "brought"), [(0, []), (60_000, ["beep/a.wav"])])
def test_a_full_disk_ends_it_with_a_line_and_costs_nothing(
    leave_bytes: int, brought: list[str], phone: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", size_bytes=2_000_000) as disk:
        out = disk.path / "out"
        out.mkdir()
        disk.fill(leave_bytes)
        with pytest.raises(DiskFull, match="the disk is full"):
            imported(phone, out, channel="mix")
        assert list(tree(out)) == brought
        disk.make_room()
        imported(phone, out, channel="mix")
        assert read_table(out / NAME).rows.keys() == tree(out).keys()
        assert len(tree(out)) == 3
        imported(phone, tmp_path / "whole", channel="mix")
        assert tree(out) == tree(tmp_path / "whole")
