"""`beepwatch dataset label` on input that is bad, and how it ends."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from beepwatch.cli import run_command_line
from tests.web.page_server import write_wav
from tests.web.program import labelling_program


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_wav(tmp_path / "clips" / "a.wav")
    return tmp_path / "clips"


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line of them."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_port_in_use_is_one_line(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_command_line(["dataset", "label", str(directory), "--port", str(port)]) == 2
    assert complaint(capsys) == (
        f"beepwatch: cannot listen on 127.0.0.1 port {port}: Address already in use. "
        "End what uses it, or choose others with --port and --host."
    )


def test_a_table_that_is_none_is_one_line_and_stays(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "dataset.csv").write_bytes(b"PK\x03\x04\xff\xff")
    assert run_command_line(["dataset", "label", str(directory), "--port", "0"]) == 1
    said = f"{directory}/dataset.csv is no table: byte 4 is no UTF-8. Mend it, or move it away."
    assert complaint(capsys) == f"beepwatch: {said}"
    assert (directory / "dataset.csv").read_bytes() == b"PK\x03\x04\xff\xff"


def test_without_the_extra_it_says_what_to_install(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "beepwatch.web.labelling", raising=False)
    monkeypatch.setitem(sys.modules, "starlette", None)  # as if it were not there
    for name in [name for name in sys.modules if name.startswith("starlette.")]:
        monkeypatch.delitem(sys.modules, name)
    assert run_command_line(["dataset", "label", str(directory)]) == 2
    assert "needs starlette" in (said := complaint(capsys))
    assert "pip install 'beepwatch[web]'" in said


def test_a_clip_that_cannot_be_read_is_named_and_the_rest_is_served(directory: Path) -> None:
    """And whoever lets others in is told so."""
    (directory / "b.wav").write_text("no sound at all\n" * 20)
    with labelling_program(directory, "--host", "0.0.0.0") as program:  # noqa: S104
        assert program.said.startswith("1 clip in 1 group: http://0.0.0.0:")
        assert program.end(signal.SIGTERM) == 1
    lines = program.complained.splitlines()
    assert lines[0].startswith(f"beepwatch: {directory}/b.wav holds no sound")
    assert lines[1] == "Anyone who reaches this address can listen and label."


def test_what_has_the_clips_stays_as_it_was(directory: Path) -> None:
    """Looking at clips writes nothing at all."""
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    with labelling_program(directory) as program:
        assert program.said.startswith("1 clip in 1 group: http://127.0.0.1:")
        assert program.end() == 0
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before
