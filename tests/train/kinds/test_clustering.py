"""From a feature store to kinds of faults that a person has named."""

import csv
import json
import re
import shutil
import threading
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from beepwatch.cli import run_command_line
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.train.kinds.clustering import Clustered, cluster
from beepwatch.train.kinds.partition import Plan
from beepwatch.train.kinds.record import UnusableClusters, clips_by_cluster
from tests.train.datasets.stores import write_index
from tests.train.kinds.faults import AUGMENTED, FAULTS, NORMAL, write_machine, write_sounds

PLAN = Plan(most=4)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """`store`, and the recordings that it is of in `data`."""
    write_sounds(tmp_path / "data")
    return write_machine(tmp_path / "store").parent


@pytest.fixture(scope="module")
def _known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("machine")
    cluster(write_machine(directory / "store"), directory / "kinds", plan=PLAN)
    return directory / "kinds"


@pytest.fixture
def known(machine: Path, _known: Path) -> Path:
    """The same, with clusters in `kinds` that have no names yet."""
    shutil.copytree(_known, machine / "kinds")
    return machine


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "clusters.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def labels_of(data: Path) -> dict[str, str]:
    with (data / "dataset.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row["label"] for row in csv.DictReader(file)}


def clustered(
    machine: Path,
    plan: Plan | None = PLAN,
    **more: Any,  # noqa: ANN401 - as `cluster` has them
) -> Clustered:
    return cluster(machine / "store", machine / "kinds", plan=plan, **more)


def named(
    known: Path,
    names: dict[int, str],
    **more: Any,  # noqa: ANN401 - as `cluster` has them
) -> Clustered:
    return clustered(known, None, names=names, **more)


def test_three_faults_come_out_as_three_clusters_and_augmented_rows_follow(known: Path) -> None:
    done = named(known, {1: "worn", 2: "loose"})
    assert done.problems == ()
    rows = rows_of(known / "kinds")
    fault_of = {row["path"]: re.sub(r".*/|\d+\.wav", "", row["path"]) for row in rows}
    number_of = {"worn": "1", "loose": "2", "bent": "3"}
    assert all(row["cluster"] == number_of[fault_of[row["path"]]] for row in rows)
    assert {row["cluster"]: row["name"] for row in rows} == {"1": "worn", "2": "loose", "3": ""}
    whole = [row for row in rows if not row["augmentation"]]
    made = [row for row in rows if row["augmentation"] == AUGMENTED]
    assert len(whole) == sum(FAULTS.values())
    assert len(made) == 5 + 4 + 3  # every second one of nine, seven, five
    assert len(rows) == len(whole) + len(made)
    assert all(0 < float(row["distance"]) < 4 for row in whole)
    assert {row["distance"] for row in made} == {""}


def test_the_same_features_give_the_same_bytes(known: Path) -> None:
    cluster(known / "store", known / "other", plan=PLAN)
    one, other = (
        {path.name: path.read_bytes() for path in (known / out).iterdir()}
        for out in ("kinds", "other")
    )
    assert one == other
    assert set(one) == {
        *("clusters.csv", "clusters.json", "clusters.png", "distances.png", "elbow.png"),
        *("index.html", "variance.png"),
    }


def test_the_page_needs_nothing_that_is_not_beside_it(known: Path) -> None:
    out = known / "kinds"
    done = named(known, {1: "<b>worn</b>"}, data=known / "data", examples=2)
    text = (out / "index.html").read_text(encoding="utf-8")
    beside = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(beside) == 4 + 3 * 4  # pictures; two near and two far of each cluster
    assert all((out / unescape(name)).is_file() for name in beside)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text.replace("// ", ""))
    assert "<b>worn" not in text
    (data,) = re.findall(r'id="cloud-data">(.*?)</script>', text)
    cloud = json.loads(data)
    assert cloud["titles"] == ["1 <b>worn</b> (9)", "2 (7)", "3 (5)"]
    assert cloud["points"] == [list(place) for place in done.kinds.partition.places]
    assert len(cloud["paths"]) == len(cloud["clusters"]) == 21


def test_examples_are_the_nearest_and_the_furthest(known: Path) -> None:
    out, data = known / "kinds", known / "data"
    done = named(known, {}, data=data, examples=2)
    members = done.kinds.members(3)
    paths = [done.kinds.recordings[n].path for n in members]
    heard = [(out / "clips" / f"3-{kind}.wav").read_bytes() for kind in ("near-1", "far-1")]
    assert heard == [(data / path).read_bytes() for path in (paths[0], paths[-1])]
    assert len(list((out / "clips").iterdir())) == 3 * 4
    named(known, {}, data=data, examples=1)
    assert len(list((out / "clips").iterdir())) == 3 * 2
    named(known, {1: "worn"}, examples=1)
    assert (out / "index.html").read_text().count("<audio") == 3 * 2  # they are still there
    clustered(known, Plan(clusters=2, most=2))
    assert (out / "index.html").read_text().count("<audio") == 0  # they were of others


def test_a_path_that_leads_out_of_the_data_set_is_not_copied(known: Path) -> None:
    (known / "secret.wav").write_bytes(b"secret")
    for path in (known / "data" / "abnormal").glob("bent*"):
        path.unlink()
        path.symlink_to(known / "secret.wav")
    done = named(known, {}, data=known / "data", examples=5)
    assert len(done.problems) == FAULTS["bent"]
    assert "abnormal/bent0.wav is not in" in "".join(done.problems)
    clips = list((known / "kinds" / "clips").iterdir())
    assert {clip.name.split("-")[0] for clip in clips} == {"1", "2"}  # bent is the third
    assert all(clip.read_bytes() != b"secret" for clip in clips)


def test_clips_of_somebody_else_beside_ours_stay(known: Path) -> None:
    out, data = known / "kinds", known / "data"
    named(known, {}, data=data, examples=1)
    (out / "clips" / "fan-near-window.wav").write_bytes(b"mine")
    clustered(known, Plan(clusters=2, most=2))
    assert [clip.name for clip in (out / "clips").iterdir()] == ["fan-near-window.wav"]


def test_results_within_the_data_set_would_become_recordings_of_it(known: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Name an --out beside it"):
        cluster(known / "store", known / "data" / "kinds", plan=PLAN, data=known / "data")
    assert not (known / "data" / "kinds").exists()


def test_what_a_killed_run_or_a_file_manager_left_hidden_does_not_matter(machine: Path) -> None:
    (machine / "kinds").mkdir()
    (machine / "kinds" / ".clusters.json.new").write_text("{half")
    (machine / "kinds" / ".DS_Store").write_bytes(b"x")
    assert clustered(machine).problems == ()


def test_after_a_run_that_ended_early_names_come_with_pictures_of_their_clusters(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = known / "kinds", Plan(clusters=2, most=3)
    cluster(known / "store", known / "whole", plan=other)

    def ended(*_: object, **__: object) -> dict[str, str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("beepwatch.train.kinds.clustering.draw", ended)
        with pytest.raises(KeyboardInterrupt):
            clustered(known, other)
    named(known, {})
    for picture in ("elbow.png", "variance.png", "clusters.png"):
        assert (out / picture).read_bytes() == (known / "whole" / picture).read_bytes()


def test_two_who_name_at_the_same_time_both_do(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one begins when the first has read what there is, and waits."""
    threads: list[threading.Thread] = []

    def named_by_another() -> None:
        named(known, {2: "loose"})

    def drawn(*_: object, **__: object) -> dict[str, str]:
        if not threads:
            threads.append(threading.Thread(target=named_by_another))
            threads[0].start()
            threads[0].join(0.2)
        return {}

    monkeypatch.setattr("beepwatch.train.kinds.clustering.draw", drawn)
    named(known, {1: "worn"})
    threads[0].join(60)
    assert named(known, {}).kinds.names == {1: "worn", 2: "loose"}


def test_what_is_too_large_to_copy_is_linked(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beepwatch.train.kinds.examples._LARGEST_BYTES", 3)
    named(known, {}, data=known / "data", examples=1)
    clips = list((known / "kinds" / "clips").iterdir())
    assert len(clips) == 6
    assert all(clip.is_symlink() for clip in clips)
    assert all(clip.read_bytes().startswith(b"sound of ") for clip in clips)


# Names


def test_naming_alone_clusters_nothing_anew(known: Path) -> None:
    """The frames are not even there any more."""
    before = rows_of(known / "kinds")
    (known / "store" / "features.npy").unlink()
    (known / "store" / "index.csv").unlink()
    named(known, {1: "worn", 3: "bent"})
    done = named(known, {2: "loose", 3: ""})
    assert done.kinds.names == {1: "worn", 2: "loose"}
    after = rows_of(known / "kinds")
    assert {row["name"] for row in after} == {"worn", "loose", ""}
    assert [row | {"name": ""} for row in after] == before


def test_there_must_be_clusters_to_be_named(machine: Path) -> None:
    with pytest.raises(BeepwatchError, match="holds no clusters to name"):
        clustered(machine, None, names={1: "worn"})


def test_a_number_that_is_no_cluster_is_refused_and_nothing_changes(known: Path) -> None:
    before = (known / "kinds" / "clusters.json").read_bytes()
    for number in (0, 4):
        with pytest.raises(ConfigurationError, match=rf"no cluster {number}, they are 1 to 3"):
            named(known, {number: "odd"})
    assert (known / "kinds" / "clusters.json").read_bytes() == before


def test_names_stay_with_the_same_clusters_and_not_with_others(known: Path) -> None:
    named(known, {1: "worn", 2: "loose"})
    again = clustered(known, Plan(most=3))
    assert (again.kinds.names, again.forgotten) == ({1: "worn", 2: "loose"}, ())
    other = clustered(known, Plan(clusters=2, most=4))
    assert (other.kinds.names, other.forgotten) == ({}, ("worn", "loose"))


def test_other_features_are_not_named_by_what_was_found_in_these(known: Path) -> None:
    file = known / "store" / "features.json"
    file.write_text(file.read_text().replace('"inputs_sha256": "i"', '"inputs_sha256": "j"'))
    with pytest.raises(BeepwatchError, match="of other features than"):
        named(known, {1: "worn"})


# Labels of the data set


def test_names_become_labels_and_what_was_given_by_hand_stays(known: Path) -> None:
    data, table = known / "data", known / "data" / "dataset.csv"
    text = table.read_text().replace("worn3.wav,abnormal", "worn3.wav,squeak")
    table.write_text(text.replace("abnormal/worn4.wav,abnormal,fan\n", ""))
    done = named(known, {1: "old", 2: "loose"}, data=data, relabelling=True)
    assert done.relabelled is not None
    assert (done.relabelled.changed, done.relabelled.kept) == (7 + 7, 1)
    assert (done.relabelled.unnamed, done.relabelled.missing) == (5, 1)
    named(known, {1: "worn"}, data=data, relabelling=True)
    labels = labels_of(data)
    assert labels["abnormal/worn3.wav"] == "squeak"
    assert [labels[f"abnormal/{one}0.wav"] for one in FAULTS] == ["worn", "loose", "abnormal"]
    assert sum(label == "normal" for label in labels.values()) == NORMAL
    assert sum(label == "worn" for label in labels.values()) == 7


def test_what_has_been_relabelled_can_be_clustered_again(known: Path) -> None:
    """`dataset features` has taken the new labels over meanwhile."""
    before = named(known, {1: "worn"}, data=known / "data", relabelling=True).kinds
    file = known / "store" / "index.csv"
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    labels = labels_of(known / "data")
    write_index(known / "store", [row | {"label": labels[row["path"]]} for row in rows])
    again = clustered(known).kinds
    assert again.partition == before.partition
    assert again.names == {1: "worn"}


@pytest.mark.parametrize(
    ("names", "data", "complaint"),
    [
        ({1: "worn"}, None, "--relabel needs the data set: give --data DIR"),
        ({}, "data", "--relabel has no names to write"),
        ({1: "worn"}, "store", "has no dataset.csv to write labels into"),
    ],
)
def test_labels_need_names_and_a_table(
    known: Path, names: dict[int, str], data: str | None, complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        named(known, names, data=known / data if data else None, relabelling=True)


# As a user types it


def test_the_command_line_clusters_names_and_relabels(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["dataset", "cluster", str(machine / "store"), "--out", str(machine / "kinds")]
    assert run_command_line([*words, "--most", "4"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(
        "21 abnormal recordings (and 12 augmented versions of them) in 3 clusters. Silhouette 0."
    )
    assert "\nclusters: 1 (9), 2 (7), 3 (5)\n" in said.out
    assert said.err == ""
    more = ["--name", "1=worn", "--name", "3 = bent", "--relabel", "--data", str(machine / "data")]
    assert run_command_line([*words, *more]) == 0
    said = capsys.readouterr()
    assert "\nclusters: 1 worn (9), 2 (7), 3 bent (5)\n14 labels written" in said.out
    assert said.err == "7 recordings in a cluster without a name, and so with the label of before\n"
    for path in (machine / "data" / "abnormal").glob("worn*"):
        path.unlink()
    assert run_command_line([*words, "--clusters", "2", "--data", str(machine / "data")]) == 1
    said = capsys.readouterr()
    assert "the clusters are others than before: worn, bent are forgotten" in said.err


@pytest.mark.parametrize(
    ("line", "exit_code", "said"),
    [
        ("{tmp}/no --out {tmp}/kinds", 2, "Directory '{tmp}/no' does not exist."),
        ("{tmp}/data --out {tmp}/kinds", 1, "{tmp}/data/features.json is none of a feature store"),
        ("{tmp}/store --out {tmp}/data", 2, "{tmp}/data is not empty and holds no clusters.json"),
        ("{tmp}/store --out {tmp}/kinds --name worn", 2, "--name is 'worn'; give a cluster's"),
        ("{tmp}/store --out {tmp}/kinds --name x=worn", 2, "--name is 'x=worn'; give a cluster's"),
        ("{tmp}/store --out {tmp}/kinds --name 1=a --name 1=b", 2, "cluster 1 two names"),
        ("{tmp}/store --out {tmp}/kinds --name 4=worn", 2, "--name 4=worn: there is no cluster 4"),
        ("{tmp}/store --out {tmp}/kinds --clusters 21", 2, "Invalid value for '--clusters'"),
        ("{tmp}/store --out {tmp}/kinds --abnormal odd", 1, "no recording labelled 'odd'; found"),
        ("{tmp}/store --out {tmp}/kinds --abnormal a,,b", 2, "--abnormal is 'a,,b'; name labels"),
        ("{tmp}/store --out {tmp}/kinds --components 99", 2, "--components is 99; there are"),
        (
            "{tmp}/store --out {tmp}/kinds --components 2 --variance 0.9",
            2,
            "--components and --variance exclude one another",
        ),
        ("{tmp}/store --out {tmp}/damaged", 1, "{tmp}/damaged/clusters.json cannot be read"),
        ("{tmp}/store --out {tmp}/store/index.csv/kinds", 2, "cannot be made: Not a directory"),
        ("{tmp}/store --out {tmp}/store/index.csv", 2, "cannot be made: Not a directory"),
    ],
)
def test_a_wrong_use_is_one_line(
    machine: Path, line: str, exit_code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "damaged").mkdir()
    (machine / "damaged" / "clusters.json").write_text('{"format": 2}')
    words = [word.replace("{tmp}", str(machine)) for word in line.split()]
    assert run_command_line(["dataset", "cluster", *words]) == exit_code
    (complaint,) = capsys.readouterr().err.splitlines()
    assert complaint.startswith("beepwatch: ")
    assert said.replace("{tmp}", str(machine)) in complaint


def test_clips_come_by_cluster_the_nearest_first(known: Path) -> None:
    found = clips_by_cluster(known / "kinds")
    rows = [row for row in rows_of(known / "kinds") if not row["augmentation"]]
    nearest = sorted(rows, key=lambda row: (int(row["cluster"]), float(row["distance"])))
    assert [path for group in found for path in group] == [row["path"] for row in nearest]
    assert [len(group) for group in found] == list(FAULTS.values())
    with pytest.raises(UnusableClusters, match="holds no clusters"):
        clips_by_cluster(known / "data")
