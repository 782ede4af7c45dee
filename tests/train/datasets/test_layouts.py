"""Names and places as they are in the data sets that everybody uses."""

from pathlib import Path

import pytest

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.layouts import (
    LAYOUTS,
    Described,
    LabelTable,
    LayoutError,
    Part,
    by_folder,
    describe,
    label_track,
)


def test_mimii() -> None:
    paths = [
        "fan/id_00/normal/00000000.wav",
        "-6_dB_valve/valve/id_06/abnormal/00000110.wav",
        "README.wav",
    ]
    assert describe("mimii", Path("/data/6_dB_fan"), paths) == {
        paths[0]: Described(
            label="normal", cells={"device": "fan_id_00", "machine": "fan", "snr_db": "6"}
        ),
        paths[1]: Described(
            label="abnormal", cells={"device": "valve_id_06", "machine": "valve", "snr_db": "-6"}
        ),
    }


def test_dcase_from_2021_on() -> None:
    path = "dev_data/fan/train/section_00_source_train_normal_0000_m-n_W.wav"
    target = "fan/test/section_02_target_test_anomaly_0049.wav"
    evaluated = "fan/test/section_03_0000.wav"
    old = "fan/source_test/section_00_source_test_normal_0003_strength_1_ambient.wav"
    found = describe("dcase2", Path("d"), [path, target, evaluated, old])
    assert found[path] == Described(
        label="normal",
        cells={
            "device": "fan_section_00",
            "split": "train",
            "machine": "fan",
            "domain": "source",
            "attributes": "m-n_W",
        },
    )
    assert (found[target].label, found[target].cells["domain"]) == ("abnormal", "target")
    assert (found[evaluated].label, found[evaluated].cells["device"]) == ("", "fan_section_03")
    assert (found[old].cells["split"], found[old].cells["machine"]) == ("test", "fan")


def test_dcase_of_2020() -> None:
    path = "ToyCar/test/anomaly_id_01_00000263.wav"
    cells = {"device": "ToyCar_id_01", "split": "test", "machine": "ToyCar"}
    expected = Described(label="abnormal", cells=cells | {"domain": "", "attributes": ""})
    assert describe("dcase2", Path("d"), [path])[path] == expected
    below = path.removeprefix("ToyCar/")
    assert describe("dcase2", Path("dev_data/ToyCar"), [below])[below] == expected


def test_esc50(tmp_path: Path) -> None:
    """As in the repository's meta/esc50.csv, here below a folder as its zip has one."""
    meta = tmp_path / "ESC-50-master" / "meta"
    meta.mkdir(parents=True)
    (meta / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
        "1-100038-A-14.wav,1,14,chirping_birds,False,100038,A\n"
    )
    paths = ["ESC-50-master/audio/1-100032-A-0.wav", "ESC-50-master/audio/9-9-A-9.wav"]
    assert describe("esc50", tmp_path, paths) == {
        paths[0]: Described(label="dog", cells={"session": "100032", "fold": "1", "esc10": "true"})
    }


def test_a_table_beside_the_files_may_have_been_through_a_spreadsheet(tmp_path: Path) -> None:
    """Semicolons, a byte order mark, CRLF; and files whose suffix somebody wrote large."""
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_bytes(
        b"\xef\xbb\xbffilename;fold;target;category;esc10;src_file;take\r\n"
        b"1-100032-A-0.wav;1;0;dog;True;100032;A\r\n"
    )
    found = describe("esc50", tmp_path, ["audio/1-100032-A-0.WAV"])
    assert [one.label for one in found.values()] == ["dog"]


def test_urbansound8k(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text(
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
    )
    path = "audio/fold5/100032-3-0-0.wav"
    assert describe("urbansound8k", tmp_path, [path]) == {
        path: Described(label="dog_bark", cells={"session": "100032", "fold": "5", "salience": "1"})
    }


def test_irmas(tmp_path: Path) -> None:
    paths = [
        "IRMAS-TrainingData/cel/[cel][cla]0001__1.wav",
        "IRMAS-TrainingData/cel/008__[cel][nod][cla]0058__2.wav",
        "Part1/01 Caravan-11.wav",
        "Part1/no text.wav",
    ]
    (tmp_path / "Part1").mkdir()
    (tmp_path / "Part1" / "01 Caravan-11.txt").write_text("sax\t\ngac\t\n")
    (tmp_path / "Part1" / "no text.txt").write_text("Recorded for a film, all rights reserved.\n")
    assert describe("irmas", tmp_path, paths) == {
        paths[0]: Described(label="cel", cells={"session": "cel-0001", "genre": "cla"}),
        paths[1]: Described(label="cel", cells={"session": "cel-0058", "genre": "cla"}),
        paths[2]: Described(label="sax+gac", cells={"session": "01 Caravan", "split": "test"}),
    }


def test_audacity(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "0.500000\t1.250000\tbeep\n\\\t2000.0\t3000.0\n2,0\t3,5\twash up\n4\t4\tpoint\n\n5\t6\n"
    )
    assert describe("audacity", tmp_path, ["a.m4a", "b.m4a"]) == {
        "a.m4a": Described(
            label="",
            parts=(
                Part(start_s=0.5, end_s=1.25, label="beep"),
                Part(start_s=2.0, end_s=3.5, label="wash up"),
                Part(start_s=5.0, end_s=6.0, label=""),
            ),
        )
    }


@pytest.mark.parametrize("line", ["words", "2\t1\tbackwards", "-1\t2\tx", "0\tinf\tx", "nan\t1\tx"])
def test_a_line_that_is_no_label_is_said(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"0\t1\tgood\n{line}\n")
    with pytest.raises(LayoutError, match=r"a\.txt: line 2 is "):
        list(label_track(tmp_path / "a.txt"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_that_lie_otherwise_are_said(layout: str, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="Name the folder"):
        describe(layout, tmp_path, ["a/b.wav"])


def test_an_unknown_layout_is_said_with_those_there_are() -> None:
    with pytest.raises(LayoutError, match="--layout is 'esc51'; known: mimii, dcase2, esc50,"):
        describe("esc51", Path("d"), ["a.wav"])


def test_the_folder_that_holds_a_file_is_its_label() -> None:
    found = by_folder(Path("d"), ["beep/a.wav", "x/wash/b.wav", "c.wav"])
    assert [one.label for one in found.values()] == ["beep", "wash", ""]


def test_a_table_names_files_by_path_or_by_a_name_that_is_of_one_alone(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("filename,category,device\nx/a.wav,beep,washer\nb.wav,wash,\nc.wav,spin,\n")
    known = LabelTable(table)
    found = known.describe(["x/a.wav", "y/b.wav", "y/c.wav", "z/c.wav", "a.wav"])
    assert found == {
        "x/a.wav": Described(label="beep", cells={"device": "washer"}),
        "y/b.wav": Described(label="wash", cells={"device": ""}),
    }
    assert known.without_file() == ["c.wav"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfFilename;Label;\r\nx\\a.WAV; beep ;\r\n;;\r\n",  # a spreadsheet's
        b"label\tpath\rbeep\t./x/a.wav\r",
        b'path, label\n"x/a.wav",beep\n',
        b"path,label\nx/a.wav,beep\nx/a.wav,beep\n",
    ],
)
def test_a_table_is_read_as_programs_of_all_kinds_write_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    found = LabelTable(tmp_path / "labels.csv").describe(["x/a.wav"])
    assert found == {"x/a.wav": Described(label="beep")}


def test_a_name_of_a_mac_is_the_one_that_everybody_else_writes(tmp_path: Path) -> None:
    """HFS+ takes letters apart: u and two dots for ü."""
    (tmp_path / "labels.csv").write_text("path,label\nb\u00fcgeln.wav,iron\n", encoding="utf-8")
    path = "bu\u0308geln.wav"
    assert LabelTable(tmp_path / "labels.csv").describe([path]) == {path: Described(label="iron")}


def test_a_cell_of_two_lines_is_one_cell(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text('path,label,note\na.wav,beep,"one\ntwo\u2028three"\n')
    found = LabelTable(tmp_path / "labels.csv").describe(["a.wav"])
    assert found["a.wav"].cells == {"note": "one\ntwo\u2028three"}


def test_a_file_with_two_labels_is_not_given_one_of_them(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.wav,beep\n./a.wav,spin\n")
    with pytest.raises(LayoutError, match=r"'\./a\.wav' twice, and differently: 'beep' and 'spin'"):
        LabelTable(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no row below its header; one of path, file"),
        (b"path,label\n", "has no row below its header; one of path, file"),
        (b"path,sound\na.wav,x\n", "has the columns path, sound; one of path, file"),
        (b"path,label\nother.wav,x\n", "names none of the files, 'other.wav' for one"),
        (b"path,label\n\xff\xfe\n", "is no text: byte 11 is no UTF-8"),
        (b'path,label\n"a.wav,x\n', "is no table: "),
    ],
)
def test_a_table_that_cannot_be_used_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(ConfigurationError) as error:
        LabelTable(tmp_path / "labels.csv").describe(["a.wav"])
    assert said in str(error.value)
