"""Tables of others are read however they are written, and ours are read back as they were."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.train.datasets.tables import TableError, csv_text, rows_of

CELLS = st.text(st.characters(codec="utf-8", categories=["L", "N"]) | st.sampled_from('\r\n,;" \t'))


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3)))
def test_whatever_is_in_a_cell_is_read_back(rows: list[list[str]]) -> None:
    """A carriage return in a file's name above all, which Python's writer leaves unquoted."""
    assert list(csv.reader(io.StringIO(csv_text(rows), newline=""), strict=True)) == rows


def test_what_needs_no_quotes_has_none() -> None:
    assert csv_text([("path", "n"), ("a b.wav", 1), ("x,y", "")]) == 'path,n\na b.wav,1\n"x,y",\n'


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_cells_are_parted_as_the_names_of_the_columns_are(
    delimiter: str, ending: str, tmp_path: Path
) -> None:
    lines = [["path ", "label"], ["a.wav", "x y"], ["", ""], ["b.wav"], ["c.wav", "z", "more"]]
    text = ending.join(delimiter.join(cells) for cells in lines)
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert list(rows_of(tmp_path / "t.csv")) == [
        {"path": "a.wav", "label": "x y"},
        {"path": "b.wav", "label": ""},
        {"path": "c.wav", "label": "z"},
    ]


def test_a_table_of_another_encoding_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("path,label\nbügeln.wav,x\n".encode("cp1252"))
    with pytest.raises(
        TableError, match=r"t\.csv is no text: byte 12 is no UTF-8\. Save it as UTF-8"
    ):
        list(rows_of(tmp_path / "t.csv"))
