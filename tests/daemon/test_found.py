"""The forms in which findings leave: what other programs read is exactly so."""

import csv
import json
import resource
from datetime import UTC, datetime
from pathlib import Path

import pytest

from beepwatch.daemon.found import Found, Given, NoLabelTrack, Scanned, found, written
from beepwatch.decide.episodes import Episode
from beepwatch.decide.pulses import Pulse
from beepwatch.errors import ConfigurationError, DiskFull

BEEP = Found(file="a/kitchen.wav", label="beep", onset_s=2.1, offset_s=3.25, pulses=4, score=0.91)


def given(path: str, name: str | None = None) -> Given:
    """A recording, by its own name unless it was found below a directory."""
    return Given(file=Path(path), name=Path(name or Path(path).name))


def test_an_episode_is_told_from_the_first_onset_to_the_last_offset() -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC)
    pulses = tuple(
        Pulse(onset=at, onset_s=onset_s, duration_s=0.25, peak_score=score)
        for onset_s, score in [(1.00049, 0.7), (2.0, 0.87654)]
    )
    one = found(Path("a.wav"), Episode(label="beep", pulses=pulses, closed=True))
    assert json.loads(one.as_json()) == {
        "file": "a.wav",
        "label": "beep",
        "onset_s": 1.0,
        "offset_s": 2.25,
        "pulses": 2,
        "score": 0.8765,
    }


def test_nothing_begins_before_the_recording() -> None:
    """What sounds from the first sample on: its onset is reckoned from a silence before it."""
    pulse = Pulse(
        onset=datetime(1970, 1, 1, tzinfo=UTC), onset_s=-0.01, duration_s=3.0, peak_score=0.9
    )
    one = found(Path("a.wav"), Episode(label="beep", pulses=(pulse,), closed=True))
    assert one.as_audacity_label() == "0.000\t2.990\tbeep"


def test_a_label_track_is_what_audacity_exports(tmp_path: Path) -> None:
    """Start, end and text with tabs between; one file per recording, below its own folder."""
    kitchen = given("a/kitchen.wav", "a/kitchen.wav")
    later = Found(file="a/kitchen.wav", label="spin", onset_s=60, offset_s=61, pulses=1, score=0.9)
    with written([kitchen], table=None, labels=tmp_path / "labels") as write:
        write(Scanned(given=kitchen, found=(BEEP, later)))
    track = tmp_path / "labels" / "a" / "kitchen.wav.txt"
    assert track.read_bytes() == b"2.100\t3.250\tbeep\n60.000\t61.000\tspin\n"


def test_a_recording_without_beeps_empties_an_older_track(tmp_path: Path) -> None:
    quiet, broken = given("quiet.wav"), given("broken.wav")
    for found_then in ((BEEP,), ()):
        with written([quiet, broken], table=None, labels=tmp_path) as write:
            write(Scanned(given=quiet, found=found_then))
            problem = None if found_then else "broken.wav is empty"
            write(Scanned(given=broken, found=found_then, problem=problem))
    assert (tmp_path / "quiet.wav.txt").read_text() == ""
    assert (tmp_path / "broken.wav.txt").read_text() == "2.100\t3.250\tbeep\n"


@pytest.mark.parametrize("by_hand", ["2.000000\t3.250000\tbeep\n", "", "2.100\t3.250\tspin\n"])
def test_a_track_that_was_corrected_by_hand_is_kept(tmp_path: Path, by_hand: str) -> None:
    """Whatever became of it, and whatever a later scan finds; the tracks of others are written."""
    mine, other = given("mine.wav"), given("a/other.wav", "a/other.wav")
    with written([mine, other], table=None, labels=tmp_path) as write:
        for one in (mine, other):
            write(Scanned(given=one, found=(BEEP,)))
    (tmp_path / "mine.wav.txt").write_text(by_hand)
    for found_now in ((BEEP,), (BEEP, BEEP)):
        with written([mine, other], table=None, labels=tmp_path) as write:
            with pytest.raises(NoLabelTrack, match=r"mine\.wav\.txt is not as a scan wrote it, "):
                write(Scanned(given=mine, found=found_now))
            write(Scanned(given=other, found=found_now))
        assert (tmp_path / "mine.wav.txt").read_text() == by_hand
        line = "2.100\t3.250\tbeep\n"
        assert (tmp_path / "a" / "other.wav.txt").read_text() == line * len(found_now)


def test_a_track_that_was_put_where_another_was_is_no_longer_the_scan_s(tmp_path: Path) -> None:
    """What is right for one recording may be a correction of the other."""
    one, two = given("one.wav"), given("two.wav")
    with written([one, two], table=None, labels=tmp_path) as write:
        write(Scanned(given=one, found=(BEEP,)))
        write(Scanned(given=two))
    (tmp_path / "two.wav.txt").write_bytes((tmp_path / "one.wav.txt").read_bytes())
    with (
        written([two], table=None, labels=tmp_path) as write,
        pytest.raises(NoLabelTrack, match="not as a scan wrote it"),
    ):
        write(Scanned(given=two))


def test_a_track_of_unknown_origin_that_says_the_same_is_a_scan_s_from_then_on(
    tmp_path: Path,
) -> None:
    """As those of a version that kept no marks."""
    kitchen = given("kitchen.wav")
    (tmp_path / "kitchen.wav.txt").write_text("2.100\t3.250\tbeep\n")
    for found_now in ((BEEP,), ()):
        with written([kitchen], table=None, labels=tmp_path) as write:
            write(Scanned(given=kitchen, found=found_now))
    assert (tmp_path / "kitchen.wav.txt").read_text() == ""


def test_a_folder_in_a_track_s_place_costs_that_recording_alone(tmp_path: Path) -> None:
    kitchen, other = given("kitchen.wav"), given("other.wav")
    (tmp_path / "kitchen.wav.txt").mkdir()
    with written([kitchen, other], table=None, labels=tmp_path) as write:
        with pytest.raises(NoLabelTrack, match=r"cannot be written: Is a directory\. Move it away"):
            write(Scanned(given=kitchen, found=(BEEP,)))
        write(Scanned(given=other, found=(BEEP,)))
    assert (tmp_path / "other.wav.txt").read_text() == "2.100\t3.250\tbeep\n"


def test_a_track_that_found_no_room_is_written_when_there_is_some(tmp_path: Path) -> None:
    """Half of it is not there to be taken for somebody's own."""
    kitchen = given("kitchen.wav")
    many = Scanned(given=kitchen, found=(BEEP,) * 1_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with (
            pytest.raises(ConfigurationError, match="cannot be written: File too large"),
            written([kitchen], table=None, labels=tmp_path) as write,
        ):
            write(many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with written([kitchen], table=None, labels=tmp_path) as write:
        write(many)
    assert (tmp_path / "kitchen.wav.txt").read_text().count("beep") == 1_000


def test_two_recordings_never_share_a_label_track(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match=r"a/x\.wav and b/x\.wav would both get .*x\.wav"),
        written([given("a/x.wav"), given("b/x.wav")], table=None, labels=tmp_path),
    ):
        pass
    with written([given("a/x.wav"), given("a/x.wav")], table=None, labels=tmp_path):
        pass  # the same recording named twice


def test_a_name_too_long_for_a_label_track_costs_that_recording_alone(tmp_path: Path) -> None:
    long, short = given(f"{'x' * 250}.wav"), given("short.wav")
    with written([long, short], table=tmp_path / "all.csv", labels=tmp_path) as write:
        with pytest.raises(NoLabelTrack, match=r"txt cannot be written: File name too long\. Give"):
            write(Scanned(given=long, found=(BEEP,)))
        write(Scanned(given=short, found=(BEEP,)))
    assert (tmp_path / "short.wav.txt").read_text() == "2.100\t3.250\tbeep\n"
    assert (tmp_path / "all.csv").read_text().count("beep") == 2


def test_a_table_has_the_keys_of_the_json_as_columns(tmp_path: Path) -> None:
    name = 'kitchen, "old".wav'
    odd = Found(file=name, label="beep", onset_s=2.1, offset_s=3.25, pulses=4, score=0.91)
    with written([], table=tmp_path / "all.csv", labels=None) as write:
        write(Scanned(given=given(name), found=(odd,)))
        before_the_end = (tmp_path / "all.csv").read_text()
    assert before_the_end == (tmp_path / "all.csv").read_text()
    with (tmp_path / "all.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {key: str(value) for key, value in json.loads(odd.as_json()).items()}


def test_a_table_takes_the_place_of_an_older_one_and_of_nothing_else(tmp_path: Path) -> None:
    """`--csv a.wav b.wav` is soon typed, and the recording would be gone."""
    table, recording = tmp_path / "all.csv", tmp_path / "a.wav"
    recording.write_bytes(b"RIFF of a washer that nobody can record again")
    for _ in range(2):
        with written([], table=table, labels=None):
            pass
    with (
        pytest.raises(ConfigurationError, match=r"a\.wav is there already and is no table"),
        written([], table=recording, labels=None),
    ):
        pass
    assert recording.read_bytes().startswith(b"RIFF of a washer")


def test_a_table_without_room_is_named() -> None:
    with (
        pytest.raises(DiskFull, match="/dev/full cannot be written: No space left on device"),
        written([], table=Path("/dev/full"), labels=None) as write,
    ):
        write(Scanned(given=given("a.wav"), found=(BEEP,)))


def test_what_else_goes_wrong_meanwhile_is_not_the_table_s_fault(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), written([], table=tmp_path / "all.csv", labels=None):
        raise BrokenPipeError


@pytest.mark.parametrize("option", ["table", "labels"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_scanned(
    tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").touch()
    wanted: dict[str, Path | None] = {"table": None, "labels": None}
    wanted[option] = tmp_path / "file" / "below"
    with (
        pytest.raises(ConfigurationError, match="cannot be written: Not a directory"),
        written([], table=wanted["table"], labels=wanted["labels"]),
    ):
        pass
