"""The manifest is believed in nothing that can be checked."""

import csv
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.errors import UnreadableAudio
from beepwatch.train.dataset import (
    CORRECTIONS,
    DatasetError,
    NoManifest,
    check_groups,
    choose,
    data_digest,
    loud_stretches,
    read_manifest,
    read_pulses,
    read_signal,
    read_sound,
)
from tests.train.conftest import RATE_HZ, SPANS_S, beeps


def test_only_what_may_be_redistributed_is_chosen_for_training(data: Path) -> None:
    recordings = read_manifest(data)
    everything = choose(recordings, "train", ["household"], redistributable_only=False)
    shippable = choose(recordings, "train", ["household"], redistributable_only=True)
    assert {recording.path for recording in everything} - {
        recording.path for recording in shippable
    } == {"train/household/secret.flac"}


@pytest.mark.parametrize("text", ["", "path,split,category\n", "path,split,category\n\n"])
def test_a_manifest_that_lists_nothing_is_a_mistake_of_who_names_it(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(NoManifest, match="lists no recording") as refused:
        read_manifest(tmp_path)
    assert refused.value.exit_code == 2


def test_a_directory_without_a_manifest_is_one_too(tmp_path: Path) -> None:
    with pytest.raises(NoManifest, match=f"no manifest.csv in {tmp_path}") as refused:
        read_manifest(tmp_path)
    assert refused.value.exit_code == 2


def test_a_split_holds_no_recording_of_another(data: Path) -> None:
    recordings = read_manifest(data)
    categories = ["household", "beep_real", "rir"]
    chosen = {
        split: {r.path for r in choose(recordings, split, categories, redistributable_only=False)}
        for split in ("train", "dev", "test")
    }
    assert not chosen["train"] & chosen["dev"]
    assert not (chosen["train"] | chosen["dev"]) & chosen["test"]
    assert all(path.startswith("test/") for path in chosen["test"])


def test_a_group_in_two_splits_is_refused(data: Path) -> None:
    recordings = read_manifest(data)
    stray = msgspec.structs.replace(
        choose(recordings, "test", ["beep_real"], redistributable_only=False)[0], split="train"
    )
    with pytest.raises(DatasetError, match=r"'test timer'.*is in both test and train"):
        check_groups([*recordings, stray])


def test_a_group_that_only_names_its_source_is_no_group(data: Path) -> None:
    recording = read_manifest(data)[0]
    unknown = msgspec.structs.replace(recording, group="sounds", category="speech")
    check_groups([unknown, msgspec.structs.replace(unknown, split="test")])


def test_a_group_whose_name_merely_occurs_in_its_sources_is_one(data: Path) -> None:
    recording = read_manifest(data)[0]
    for group in ("7", "example.org", "und"):
        known = msgspec.structs.replace(
            recording, group=group, source="example.org/sounds7", category="speech"
        )
        with pytest.raises(DatasetError, match=f"group '{group}' .* is in both"):
            check_groups([known, msgspec.structs.replace(known, split="test")])


def test_pitch_and_snr_are_taken_from_the_note_where_the_columns_are_empty(data: Path) -> None:
    (monitor,) = choose(read_manifest(data), "train", ["beep_clean"], redistributable_only=True)
    assert (monitor.pitch_hz, monitor.snr_db) == (3_000.0, 60.5)


def test_a_manifest_needs_no_more_than_paths_splits_and_categories(tmp_path: Path) -> None:
    """As a spreadsheet saves it: with a byte order mark, and rows cut short."""
    rows = "path,split,category,f0_hz,snr_db\nb.wav,dev,beep_real,1700,0\na.wav,dev,speech\n"
    (tmp_path / "manifest.csv").write_text(rows, encoding="utf-8-sig")
    speech, beep = read_manifest(tmp_path)
    assert (speech.path, speech.category, speech.pitch_hz) == ("a.wav", "speech", None)
    assert (beep.pitch_hz, beep.snr_db, beep.group, beep.redistribute) == (1_700.0, 0.0, "", "")


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        (b"path,split\na.wav,dev\n", "manifest.csv has no column 'category'"),
        (
            b"path,split,category,f0_hz\na.wav,dev,speech,\nb.wav,dev,beep_real,high\n",
            "manifest.csv, line 3: f0_hz is 'high'; it has to be a number",
        ),
        (b"path,split,category\n\xff.wav,dev,speech\n", "It has to be CSV in UTF-8"),
        (b'path,split,category\n"a.wav,dev,speech\n', "It has to be CSV in UTF-8"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_with_the_place(
    tmp_path: Path, manifest: bytes, complaint: str
) -> None:
    (tmp_path / "manifest.csv").write_bytes(manifest)
    with pytest.raises(DatasetError, match=re.escape(complaint)):
        read_manifest(tmp_path)


def test_pulses_may_be_missing_but_not_end_before_they_began(tmp_path: Path) -> None:
    assert read_pulses(tmp_path).keys() == listed(CORRECTIONS).keys()
    (tmp_path / "pulses.csv").write_text("path,onset_s,offset_s\na.wav,1.5,1.5\n")
    with pytest.raises(DatasetError, match=r"pulses.csv, line 2: a pulse from '1.5' to '1.5'"):
        read_pulses(tmp_path)


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio, match=r"away\.flac: there is no such file"):
        read_sound(tmp_path / "away.flac", RATE_HZ)


def test_a_listed_beep_has_its_listed_pulses(data: Path) -> None:
    (timer,) = choose(read_manifest(data), "dev", ["beep_real"], redistributable_only=True)
    signal = read_signal(data, timer, read_pulses(data), RATE_HZ)
    assert [(pulse.onset_s, pulse.offset_s) for pulse in signal.pulses] == SPANS_S
    assert signal.pitch_hz == 1_700


def test_a_clean_beep_that_is_not_listed_has_pulses_where_it_is_loud() -> None:
    sound = beeps(3_000, [(0.5, 0.7), (1.0, 1.2)], 1.5).astype(np.float32)
    found = loud_stretches(sound, RATE_HZ)
    assert np.array(found) == pytest.approx(np.array([(0.5, 0.7), (1.0, 1.2)]), abs=0.011)


def listed(table: Path) -> dict[str, list[tuple[float, float]]]:
    """A table of pulses by path, read by other means."""
    pulses: dict[str, list[tuple[float, float]]] = {}
    for row in csv.DictReader(table.read_text().splitlines()):
        pulses.setdefault(row["path"], []).append((float(row["onset_s"]), float(row["offset_s"])))
    return pulses


def test_corrections_stand_for_the_recordings_that_they_name_and_no_others(tmp_path: Path) -> None:
    corrections = listed(CORRECTIONS)
    corrected = next(iter(corrections))
    with (tmp_path / "pulses.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ("path", "onset_s", "offset_s"),
                (corrected, 0.125, 0.25),
                ("dev/beep_real/timer.flac", 1.5, 1.75),
            ]
        )
    pulses = read_pulses(tmp_path)
    assert pulses[corrected] == corrections[corrected]
    assert (0.125, 0.25) not in pulses[corrected]
    assert pulses["dev/beep_real/timer.flac"] == [(1.5, 1.75)]
    assert pulses.keys() == corrections.keys() | {"dev/beep_real/timer.flac"}


def test_every_correction_is_well_formed() -> None:
    """A path is split/category/file; pulses come one after the other."""
    corrections = listed(CORRECTIONS)
    assert corrections
    for path, pulses in corrections.items():
        assert re.fullmatch(r"(train|dev|test)/(beep_\w+|melody)/[^/]+\.flac", path), path
        times = [time_s for pulse in pulses for time_s in pulse]
        assert times == sorted(set(times)), path
        assert times[0] >= 0, path


def test_silence_has_no_loud_stretches() -> None:
    assert loud_stretches(np.zeros(16_000, dtype=np.float32), RATE_HZ) == []


def test_sound_at_another_rate_keeps_its_length_in_seconds(data: Path) -> None:
    assert len(read_sound(data / "train/beep_real/timer.flac", 8_000)) == 16_000


def test_a_text_file_is_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("buy soap")
    with pytest.raises(UnreadableAudio, match=r"notes\.wav"):
        read_sound(path, RATE_HZ)


def test_a_directory_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no manifest\.csv"):
        read_manifest(tmp_path)


def test_the_digest_changes_with_content_and_not_with_order(data: Path) -> None:
    recordings = [r for r in read_manifest(data) if r.split == "dev"]
    digest = data_digest(data, recordings)
    assert data_digest(data, reversed(recordings)) == digest
    assert data_digest(data, recordings[1:]) != digest
