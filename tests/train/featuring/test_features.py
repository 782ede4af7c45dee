"""A feature store holds what its recipe makes of its recordings, and only news are worked on."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from beepwatch.clock import ManualClock
from beepwatch.errors import ConfigurationError, UnreadableAudio
from beepwatch.train import features
from beepwatch.train.featuring.provenance import versions_of
from beepwatch.train.featuring.recipe import read_feature_recipe
from beepwatch.train.featuring.store import FeatureStoreError
from beepwatch.train.featuring.work import Job, Plan, features_of, work_on
from tests.train.featuring.conftest import AUGMENTED, RECIPE, hiss
from tests.train.featuring.stores import FILES, LONG_AGO, extract, index, rows_of, stored


def test_the_rows_of_each_recording_are_its_features(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    outcome = extract(recipe_file, data, out)
    recipe = read_feature_recipe(recipe_file)
    assert [entry["path"] for entry in index(out)] == [
        *("beep/a.wav", "beep/b.wav", "spin/c.wav", "spin/d.wav", "wash/e.flac", "wash/f.wav")
    ]
    for entry in index(out)[:4]:
        sound, _ = soundfile.read(data / entry["path"], dtype="float32")
        assert (rows_of(out, entry) == features_of(sound, recipe)).all()
        assert float(entry["duration_s"]) == len(sound) / 16_000
    assert index(out)[4]["rate_hz"] == "44100"
    assert index(out)[4]["label"] == "wash"
    assert sum(int(entry["frames"]) for entry in index(out)) == outcome.frames
    meta = json.loads((out / "features.json").read_text())
    assert meta["columns"] == {"logmel": {"first": 0, "count": 8}, "rms": {"first": 8, "count": 1}}
    assert meta["recipe_sha256"] == recipe.digest
    assert meta["counts"]["labels"] == {"beep": 2, "spin": 2, "wash": 2}


def test_workers_and_order_do_not_change_a_byte(
    augmented_file: Path, data: Path, tmp_path: Path
) -> None:
    alone, many = tmp_path / "alone", tmp_path / "many"
    extract(augmented_file, data, alone)
    head, *rows = (data / "dataset.csv").read_text().splitlines()
    (data / "dataset.csv").write_text("\n".join([head, *reversed(rows)]) + "\n")
    assert extract(augmented_file, data, many, workers=2).rows == 10
    assert stored(alone) == stored(many)


def test_nothing_is_done_twice(recipe_file: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert extract(recipe_file, data, out).made == 6
    before = [(out / name).stat().st_mtime_ns for name in FILES]
    again = extract(recipe_file, data, out)
    assert (again.made, again.written) == (0, False)
    assert [(out / name).stat().st_mtime_ns for name in FILES] == before


def test_only_a_changed_a_new_and_a_lost_recording_make_a_difference(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    extract(recipe_file, data, out)
    hiss(data / "beep/b.wav", 77, samples=3_000)
    hiss(data / "spin/new.wav", 78)
    (data / "dataset.csv").unlink()
    (data / "wash/f.wav").unlink()
    (data / "beep/a.wav").rename(data / "beep/z.wav")
    assert extract(recipe_file, data, out).made == 2
    extract(recipe_file, data, tmp_path / "fresh")
    assert stored(out) == stored(tmp_path / "fresh")
    assert [entry["path"] for entry in index(out)][1] == "beep/z.wav"


def test_what_another_ffmpeg_reads_is_made_anew_and_nothing_else(
    recipe_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is half as loud, so that its rows are others though recording and recipe are not."""
    (data / "dataset.csv").unlink()
    coded = data / "beep" / "b.m4a"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", data / "beep/b.wav", coded], check=True)
    out = tmp_path / "out"
    assert extract(recipe_file, data, out).made == 7
    assert extract(recipe_file, data, out).made == 0
    decoders = {entry["path"]: entry["decoder"] for entry in index(out)}
    assert decoders.pop("beep/b.m4a").startswith("ffmpeg ")
    assert set(decoders.values()) == {""}

    other = tmp_path / "bin" / "ffmpeg"
    other.parent.mkdir()
    other.write_text(
        "#!/bin/bash\n"
        '[ "$1" = -version ] && echo "ffmpeg version 99.1 Copyright" && exit\n'
        f'exec {shutil.which("ffmpeg")} "${{@:1:$#-1}}" -af volume=0.5 "${{@: -1}}"\n'
    )
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent), prepend=os.pathsep)
    again = extract(recipe_file, data, out)
    assert (again.made, again.written) == (1, True)
    assert [e["decoder"] for e in index(out) if e["decoder"]] == ["ffmpeg 99.1"]
    extract(recipe_file, data, tmp_path / "fresh")
    assert stored(out) == stored(tmp_path / "fresh")
    assert extract(recipe_file, data, out).made == 0


def test_a_file_that_only_looks_the_same_is_read_again(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    extract(recipe_file, data, out)
    file = data / "beep/a.wav"
    looks = file.stat()
    hiss(file, 99)
    os.utime(file, ns=(looks.st_atime_ns, looks.st_mtime_ns))
    assert file.stat().st_size == looks.st_size
    assert extract(recipe_file, data, out).made == 1


def test_a_file_that_has_just_been_written_is_not_trusted_to_stay(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    """Another one of its length within a tick of the file system's clock would look the same."""
    out = tmp_path / "out"
    features.extract(recipe_file, data, out, workers=0, clock=ManualClock(LONG_AGO))
    assert (out / ".inputs.csv").read_text() == ""
    extract(recipe_file, data, out)
    assert len((out / ".inputs.csv").read_text().splitlines()) == 6


def test_another_label_changes_the_index_and_no_rows(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    extract(recipe_file, data, out)
    rows = (out / "features.npy").stat().st_ino
    table = data / "dataset.csv"
    table.write_text(table.read_text().replace("a.wav,beep", "a.wav,spin"))
    outcome = extract(recipe_file, data, out)
    assert (outcome.made, outcome.written) == (0, True)
    assert index(out)[0]["label"] == "spin"
    assert (out / "features.npy").stat().st_ino == rows


def test_augmented_rows_know_their_parent_and_stay_in_its_split(
    augmented_file: Path, recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    extract(recipe_file, data, out)
    assert extract(augmented_file, data, out).made == 4  # two copies of two; the others are there
    versions = [entry for entry in index(out) if entry["parent"]]
    assert {entry["parent"] for entry in versions} == {"beep/a.wav", "spin/c.wav"}
    assert [entry["augmentation"] for entry in versions[:2]] == ["noisy", "noisy#2"]
    assert all(entry["split"] == "train" for entry in versions)
    plain, first, second = (rows_of(out, entry) for entry in index(out)[:3])
    assert plain.shape == first.shape == second.shape
    assert not np.array_equal(plain, first)
    assert not np.array_equal(first, second)


def test_one_more_copy_leaves_the_others_as_they_were(data: Path, tmp_path: Path) -> None:
    out, recipe = tmp_path / "out", tmp_path / "recipe.toml"
    recipe.write_text(AUGMENTED.format(recipe=RECIPE))
    extract(recipe, data, out)
    before = np.array(rows_of(out, index(out)[2]))
    recipe.write_text(recipe.read_text().replace("copies = 2", "copies = 3"))
    assert extract(recipe, data, out).made == 2
    assert (rows_of(out, index(out)[2]) == before).all()


def test_another_recipe_makes_everything_anew(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    extract(recipe_file, data, out)
    recipe_file.write_text(RECIPE.replace("bands = 8", "bands = 9"))
    assert extract(recipe_file, data, out).made == 6
    assert np.load(out / "features.npy", mmap_mode="r").shape[1] == 10


def test_other_code_makes_everything_anew(
    recipe_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    extract(recipe_file, data, out)
    monkeypatch.setattr(
        "beepwatch.train.featuring.provenance.packages", lambda: {"numpy": "another"}
    )
    assert extract(recipe_file, data, out).made == 6


def test_an_index_of_augmentations_that_nobody_made_is_told(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    extract(recipe_file, data, out)
    first, row, *rows = (out / "index.csv").read_text().splitlines()
    cells = row.split(",")
    cells[5] = "far"
    (out / "index.csv").write_text("\n".join([first, ",".join(cells), *rows]) + "\n")
    with pytest.raises(FeatureStoreError, match=r"index\.csv is no index of features"):
        extract(recipe_file, data, out)


def test_a_sound_to_mix_in_that_is_another_now_is_heard(
    augmented_file: Path, data: Path, tmp_path: Path
) -> None:
    """A process that has mixed in the one before, as a cluster's workers have."""
    augmented_file.write_text(
        augmented_file.read_text()
        + '[[augment]]\nname = "busy"\n'
        + 'steps = [{ kind = "mix", others = ["hum.wav"], snr_db = 5 }]\n'
    )
    hiss(data / "hum.wav", 50)
    extract(augmented_file, data, tmp_path / "before")
    hiss(data / "hum.wav", 51)
    extract(augmented_file, data, tmp_path / "after")
    before, after = (index(tmp_path / name) for name in ("before", "after"))
    for one, two in zip(before, after, strict=True):
        same = rows_of(tmp_path / "before", one) == rows_of(tmp_path / "after", two)
        assert same.all() == (one["augmentation"] != "busy")


def test_a_sound_to_mix_in_that_is_missing_is_named(
    augmented_file: Path, data: Path, tmp_path: Path
) -> None:
    augmented_file.write_text(
        augmented_file.read_text()
        + '[[augment]]\nname = "far"\nsteps = [{ kind = "room", responses = ["hall.wav"] }]\n'
    )
    with pytest.raises(ConfigurationError, match=r"hall\.wav is to be mixed in"):
        extract(augmented_file, data, tmp_path / "out")


def test_what_the_quarantine_names_is_left_out(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    (data / "quarantine.csv").write_text("path,reason,detail\nbeep/b.wav,clipped,much\n")
    outcome = extract(recipe_file, data, tmp_path / "out")
    assert (outcome.recordings, outcome.left_out, outcome.problems) == (5, 1, ())
    assert "beep/b.wav" not in {entry["path"] for entry in index(tmp_path / "out")}


def test_a_quarantine_that_went_through_a_spreadsheet_is_read(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    """Which put a byte order mark before it."""
    list_ = "path,reason,detail\nbeep/b.wav,clipped,much\n"
    (data / "quarantine.csv").write_text(list_, encoding="utf-8-sig")
    assert extract(recipe_file, data, tmp_path / "out").left_out == 1


@pytest.mark.parametrize("text", ["name\nbeep/b.wav\n", 'path\n"' + "x" * 200_000 + '"\n'])
def test_a_quarantine_that_is_none_is_told(
    text: str, recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    (data / "quarantine.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=r"quarantine\.csv is no list of `dataset check`"):
        extract(recipe_file, data, tmp_path / "out")


def test_a_quarantine_that_names_everything_is_told(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    paths = [path.relative_to(data) for path in data.glob("*/*.*")]
    rows = "".join(f"{path},clipped,much\n" for path in paths)
    (data / "quarantine.csv").write_text(f"path,reason,detail\n{rows}")
    with pytest.raises(UnreadableAudio, match=r"quarantine\.csv names every recording of "):
        extract(recipe_file, data, tmp_path / "out")


def test_a_recording_of_another_split_is_not_mixed_in(
    augmented_file: Path, data: Path, tmp_path: Path
) -> None:
    augmented_file.write_text(
        augmented_file.read_text()
        + '[[augment]]\nname = "busy"\n'
        + 'steps = [{ kind = "mix", others = ["beep/b.wav"], snr_db = 5 }]\n'
    )
    with pytest.raises(ConfigurationError, match="is a recording of the split 'dev'"):
        extract(augmented_file, data, tmp_path / "out")


def test_rows_that_come_back_in_answers_are_the_same(
    augmented_file: Path, data: Path, tmp_path: Path
) -> None:
    """As a cluster's workers give them, who cannot write into the store's directory."""
    store = tmp_path / "store"
    extract(augmented_file, data, store)
    recipe = read_feature_recipe(augmented_file)
    versions = versions_of(recipe, data)
    plan = Plan(recipe=recipe, versions=versions, data=str(data), into=None)
    job = Job(path="beep/a.wav", versions=tuple(version.name for version in versions))
    (done,) = work_on(plan, [job])
    for made, entry in zip(done.made, index(store)[:3], strict=True):
        assert made.rows == rows_of(store, entry).tobytes()
