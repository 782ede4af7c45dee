"""`dataset.csv`: nobody's rows are lost, nothing is half written, and what is no table is said."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from beepwatch.train.datasets.catalogue import (
    COLUMNS,
    NAME,
    Catalogue,
    CatalogueError,
    Relabelling,
    Table,
    clips_below,
    read_table,
    write_table,
)
from tests.small_disk import small_disk


def labelled(path: str, label: str, seen: str = "") -> Relabelling:
    return Relabelling(path=path, seen=seen, label=label)


def test_names_with_line_ends_of_any_kind_and_empty_rows_are_read_as_they_are(
    tmp_path: Path,
) -> None:
    odd = {"path": "a\rb.wav", "label": "x\r\ny"}
    write_table(tmp_path / NAME, Table(columns=("path", "label"), rows={odd["path"]: odd}))
    with (tmp_path / NAME).open("a") as file:
        file.write(",\r\nc.wav,beep\r\n")
    assert list(read_table(tmp_path / NAME).rows.values()) == [
        odd,
        {"path": "c.wav", "label": "beep"},
    ]


def test_the_first_label_makes_a_table_with_the_columns_of_every_data_set(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    assert dict(catalogue.labels()) == {}
    assert catalogue.relabel([labelled('a, b/ü "1".wav', "beep")]) == {}
    table = read_table(tmp_path / NAME)
    assert table.columns == COLUMNS
    assert table.rows == {
        'a, b/ü "1".wav': dict.fromkeys(COLUMNS, "") | {"path": 'a, b/ü "1".wav', "label": "beep"}
    }


def test_rows_and_columns_of_others_stay_as_they_are_and_in_their_order(tmp_path: Path) -> None:
    before = 'room,path,label\nbath,gone.wav,spin\n"kitchen, ""old""",b.wav,\n,a.wav,wash\n'
    (tmp_path / NAME).write_text(before)
    Catalogue(tmp_path).relabel([labelled("b.wav", "beep"), labelled("c.wav", "human")])
    assert (tmp_path / NAME).read_text() == (
        before.replace('""",b.wav,', '""",b.wav,beep') + ",c.wav,human\n"
    )


def test_a_table_without_labels_gets_the_column(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("path,licence\na.wav,CC0\nb.wav,CC0\n", encoding="utf-8-sig")
    Catalogue(tmp_path).relabel([labelled("b.wav", "beep")])
    assert (tmp_path / NAME).read_text() == "path,licence,label\na.wav,CC0,\nb.wav,CC0,beep\n"


def test_a_label_that_was_not_seen_is_never_overwritten(tmp_path: Path) -> None:
    mine, theirs = Catalogue(tmp_path), Catalogue(tmp_path)
    assert mine.relabel([labelled("a.wav", "beep")]) == {}
    refused = theirs.relabel([labelled("a.wav", "wash"), labelled("b.wav", "wash")])
    assert refused == {"a.wav": "beep"}
    assert dict(mine.labels()) == {"a.wav": "beep", "b.wav": "wash"}
    assert theirs.relabel([labelled("a.wav", "beep")]) == {}  # both say the same
    assert theirs.relabel([labelled("a.wav", "wash", seen="beep")]) == {}
    assert mine.relabel([labelled("a.wav", "", seen="beep")]) == {"a.wav": "wash"}
    assert mine.relabel([labelled("a.wav", "", seen="wash")]) == {}
    assert dict(theirs.labels()) == {"b.wav": "wash"}


def test_what_is_said_of_clips_fills_empty_cells_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("path,label,device\na.wav,beep,old\n")
    catalogue = Catalogue(tmp_path)
    catalogue.describe(
        [{"path": "a.wav", "device": "new", "room": "bath"}, {"path": "b.wav", "room": "hall"}]
    )
    assert (tmp_path / NAME).read_text() == (
        "path,label,device,room\na.wav,beep,old,bath\nb.wav,,,hall\n"
    )
    assert dict(catalogue.labels()) == {"a.wav": "beep"}


def test_labels_are_the_same_object_until_somebody_writes(tmp_path: Path) -> None:
    mine, theirs = Catalogue(tmp_path), Catalogue(tmp_path)
    mine.relabel([labelled("a.wav", "beep")])
    before = mine.labels()
    assert mine.labels() is before
    theirs.relabel([labelled("b.wav", "beep")])
    assert dict(mine.labels()) == {"a.wav": "beep", "b.wav": "beep"}
    (tmp_path / NAME).unlink()
    assert dict(mine.labels()) == {}


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Each has a table of its own, as programs do."""

    def write(writer: int) -> None:
        catalogue = Catalogue(tmp_path)
        for number in range(25):
            catalogue.relabel([labelled(f"{writer}-{number}.wav", f"label {writer}")])

    threads = [threading.Thread(target=write, args=[writer]) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(Catalogue(tmp_path).labels()) == {
        f"{writer}-{number}.wav": f"label {writer}" for writer in range(4) for number in range(25)
    }


WRITES_FOR_EVER = """
import itertools, pathlib, sys
from beepwatch.train.datasets.catalogue import Catalogue, Relabelling
catalogue = Catalogue(pathlib.Path(sys.argv[1]))
for number in itertools.count():
    catalogue.relabel([Relabelling(path=f"{number}.wav", seen="", label="beep")])
    print(number, flush=True)
"""


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    """However far the next one had come, the table is whole."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(40):
            acknowledged = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
    labels = Catalogue(tmp_path).labels()
    assert len(labels) - (acknowledged + 1) in (0, 1)
    assert set(labels) >= {f"{number}.wav" for number in range(acknowledged + 1)}


def test_a_full_disk_is_said_and_costs_nothing_that_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=1_000_000) as disk:
        catalogue = Catalogue(disk.path)
        catalogue.relabel([labelled("a.wav", "beep")])
        disk.fill()
        with pytest.raises(CatalogueError, match=r"dataset\.csv cannot be written: No space left"):
            catalogue.relabel([labelled("b.wav", "beep")])
        assert dict(catalogue.labels()) == dict(Catalogue(disk.path).labels()) == {"a.wav": "beep"}
        disk.make_room()
        catalogue.relabel([labelled("b.wav", "beep")])
        assert dict(Catalogue(disk.path).labels()) == {"a.wav": "beep", "b.wav": "beep"}
        assert sorted(path.name for path in disk.path.iterdir()) == [NAME]


def test_a_linked_table_stays_linked_and_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    real = tmp_path / "labels of all.csv"
    real.write_text("path,label\n")
    real.chmod(0o640)
    (tmp_path / "clips" / NAME).symlink_to(real)
    Catalogue(tmp_path / "clips").relabel([labelled("a.wav", "beep")])
    assert real.read_text() == "path,label\na.wav,beep\n"
    assert real.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "clips" / NAME).is_symlink()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: expected names of columns, 'path' once among them; found "),
        (b"RIFF\x00\x00\xff\xfe", "byte 6 is no UTF-8"),
        (b"path;label\na.wav;beep\n", "line 1: expected names of columns, .*; found 'path;label'"),
        (b"path,label,path\n", "line 1: expected names of columns"),
        (b"path,label\na.wav,beep\nb.wav,beep,wash\n", "line 3: 3 cells in 2 columns"),
        (b"path,label\na.wav\n", "line 2: 1 cell in 2 columns"),
        (b'path,label\n"a.wav,beep\n', "line 2: unexpected end of data"),
        (b"path,label\na.wav,beep\n\na.wav,wash\n", "line 4: a second row of 'a.wav'"),
        (b"path,label\n,beep\n", "line 2: it has no path"),
    ],
)
def test_what_is_no_table_is_named_with_its_line_and_left_alone(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(content)
    catalogue = Catalogue(tmp_path)
    with pytest.raises(CatalogueError, match=rf"dataset\.csv is no table: {said}"):
        catalogue.labels()
    with pytest.raises(CatalogueError, match="is no table"):
        catalogue.relabel([labelled("b.wav", "beep")])
    assert (tmp_path / NAME).read_bytes() == content


def test_a_table_that_is_a_directory_and_a_data_set_that_is_gone_are_said(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(CatalogueError, match=r"dataset\.csv cannot be read: Is a directory"):
        Catalogue(tmp_path).labels()
    with pytest.raises(CatalogueError, match=r"dataset\.csv cannot be written: No such file"):
        Catalogue(tmp_path / "gone").relabel([labelled("b.wav", "beep")])


def test_clips_are_audio_files_inside_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "clips"
    for name in ("b.wav", "beep/a.FLAC", "beep/notes.txt", ".cache/c.wav", "d.wav/e.mp3"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    (tmp_path / "secret.wav").touch()
    (directory / "out.wav").symlink_to(tmp_path / "secret.wav")
    (directory / "in.wav").symlink_to("b.wav")
    (directory / "nowhere.wav").symlink_to("nothing.wav")
    (directory / "circle.wav").symlink_to("circle.wav")
    assert clips_below(directory) == ["b.wav", "beep/a.FLAC", "d.wav/e.mp3", "in.wav"]
