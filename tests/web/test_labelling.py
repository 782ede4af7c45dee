"""What the page asks for, over a real socket."""

import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from beepwatch.train.datasets.catalogue import Catalogue, Relabelling, read_table
from tests.web.page_server import NAMES, PageServer, page_server, write_wav

SAVED: dict[str, object] = {"refused": {}, "gone": []}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("a.wav", "night/b.wav", "night/c.wav"):
        write_wav(tmp_path / "clips" / name)
    return tmp_path / "clips"


@pytest.fixture
def server(directory: Path) -> Iterator[PageServer]:
    with page_server(directory) as running:
        yield running


def test_the_session_has_every_clip_once_with_its_label(
    directory: Path, server: PageServer
) -> None:
    (directory / "dataset.csv").write_text("path,label\ngone.wav,spin\na.wav,beep\n")
    status, _, content = server.ask("GET", "/session")
    session = json.loads(content)
    assert status == 200
    assert session["names"] == list(NAMES)
    clips = [clip for group in session["groups"] for clip in group]
    assert sorted(clip["path"] for clip in clips) == ["a.wav", "night/b.wav", "night/c.wav"]
    assert {(clip["duration_s"], clip["score"], clip["pitch_hz"]) for clip in clips} == {
        (1.0, 0.5, 1000)
    }
    assert session["labels"] == {server.ids["a.wav"]: "beep"}


def test_a_label_is_on_the_disk_when_the_answer_comes(directory: Path, server: PageServer) -> None:
    assert server.label("night/b.wav", "beep") == SAVED
    assert read_table(directory / "dataset.csv").rows["night/b.wav"]["label"] == "beep"
    refused = {server.ids["night/b.wav"]: "beep"}
    assert server.label("night/b.wav", "wash") == {"refused": refused, "gone": []}
    assert server.label("night/b.wav", "", seen="beep") == SAVED
    assert read_table(directory / "dataset.csv").rows["night/b.wav"]["label"] == ""


def test_a_clip_that_is_gone_keeps_no_other_from_being_saved(
    directory: Path, server: PageServer
) -> None:
    """The server was started again without it, and the page has both still to send."""
    changes = [
        {"clip": clip, "seen": "", "label": "beep"} for clip in ("0" * 16, server.ids["a.wav"])
    ]
    status, _, content = server.ask("POST", "/labels", changes)
    assert (status, json.loads(content)) == (200, {"refused": {}, "gone": ["0" * 16]})
    assert dict(Catalogue(directory).labels()) == {"a.wav": "beep"}


@pytest.mark.parametrize("strange", ["a label of another program " * 4, " beep", "two\nlines"])
def test_a_label_that_nobody_would_type_here_can_be_replaced_and_come_back(
    strange: str, directory: Path, server: PageServer
) -> None:
    """It was in the table before; undoing gives it back. The page sends what fails for ever."""
    Catalogue(directory).relabel([Relabelling(path="a.wav", seen="", label=strange)])
    _, _, content = server.ask("GET", "/session")
    assert json.loads(content)["labels"] == {server.ids["a.wav"]: strange}
    assert server.label("a.wav", "wash", seen=strange) == SAVED
    assert server.label("a.wav", strange, seen="wash") == SAVED
    assert dict(Catalogue(directory).labels()) == {"a.wav": strange}


def test_changes_are_told_as_they_happen_whoever_made_them(
    directory: Path, server: PageServer
) -> None:
    a, b = server.ids["a.wav"], server.ids["night/b.wav"]
    server.label("a.wav", "beep")
    with server.changes() as told:
        assert next(told) == {"all": {a: "beep"}}
        server.label("night/b.wav", "wash")
        assert next(told) == {"changed": {b: "wash"}}
        other = Catalogue(directory)  # as another program has it
        other.relabel(
            [
                Relabelling(path="a.wav", seen="beep", label=""),
                Relabelling(path="strange.wav", seen="", label="beep"),
            ]
        )
        assert next(told) == {"changed": {a: ""}}


def test_a_broken_table_is_said_and_once_it_is_mended_all_goes_on(
    directory: Path, server: PageServer
) -> None:
    server.label("a.wav", "beep")
    table = directory / "dataset.csv"
    good = table.read_text()
    with server.changes() as told:
        next(told)
        table.write_text("path,label\na.wav\n")
        change = {"clip": server.ids["night/b.wav"], "seen": "", "label": "beep"}
        status, _, content = server.ask("POST", "/labels", [change])
        assert status == 503
        assert "line 2: 1 cell in 2 columns" in json.loads(content)["error"]
        assert server.ask("GET", "/session")[0] == 503
        assert table.read_text() == "path,label\na.wav\n"
        table.write_text(good)
        assert server.label("night/b.wav", "beep") == SAVED
        assert next(told) == {"changed": {server.ids["night/b.wav"]: "beep"}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[", 400),
        ({"clip": "a"}, 400),
        ([{"clip": "a", "seen": "", "label": "beep", "path": "/etc/passwd"}], 400),
        ([{"clip": "{a}", "seen": "", "label": "x" * 65}], 400),
        ([{"clip": "{a}", "seen": "", "label": "two\nlines"}], 400),
        ([{"clip": "{a}", "seen": "", "label": " "}], 400),
        (b" " * 2_000_001, 413),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    body: object, status: int, directory: Path, server: PageServer
) -> None:
    if isinstance(body, list) and body[0]["clip"] == "{a}":
        body = [body[0] | {"clip": server.ids["a.wav"]}]
    found, _, content = server.ask("POST", "/labels", body)
    assert found == status
    assert json.loads(content)["error"]
    assert not (directory / "dataset.csv").exists()


def test_pictures_and_sound_are_sent_once_and_again_when_the_clip_changed(
    directory: Path, server: PageServer
) -> None:
    for name, beginning in (("picture.png", b"\x89PNG"), ("sound.wav", b"RIFF")):
        path = f"/clips/{server.ids['a.wav']}/{name}"
        status, headers, content = server.ask("GET", path)
        assert (status, content[:4]) == (200, beginning)
        again = server.ask("GET", path, If_None_Match=headers["etag"])
        assert (again[0], again[2]) == (304, b"")
        write_wav(directory / "a.wav", 2.0 if name == "picture.png" else 3.0)
        assert server.ask("GET", path, If_None_Match=headers["etag"])[0] == 200
    with wave.open(io.BytesIO(content)) as heard:
        assert heard.getnframes() == 2 * 16_000


def test_a_clip_that_became_a_link_to_elsewhere_is_not_served(
    directory: Path, server: PageServer
) -> None:
    write_wav(directory.parent / "secret.wav")
    path = f"/clips/{server.ids['a.wav']}/sound.wav"
    assert server.ask("GET", path)[0] == 200
    (directory / "a.wav").unlink()
    (directory / "a.wav").symlink_to(directory.parent / "secret.wav")
    assert server.ask("GET", path)[0] == 404
    (directory / "a.wav").unlink()
    status, _, content = server.ask("GET", path)
    assert (status, json.loads(content)) == (404, {"error": "a.wav is gone. Load the page again."})
    (directory / "a.wav").write_text("no sound at all\n" * 20)
    status, _, content = server.ask("GET", path)
    assert status == 404
    assert "holds no sound" in json.loads(content)["error"]


def test_a_clip_that_needs_a_missing_ffmpeg_is_answered_in_words(
    directory: Path, server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "a.wav").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(1_000))
    monkeypatch.setenv("PATH", str(directory))
    status, _, content = server.ask("GET", f"/clips/{server.ids['a.wav']}/sound.wav")
    assert status == 404
    assert "needs ffmpeg, which is not on PATH. Install it" in json.loads(content)["error"]


def test_the_server_ends_while_a_page_listens(directory: Path) -> None:
    running = PageServer(directory)
    with running.changes() as told:
        assert next(told) == {"all": {}}
        running.stop()
        assert not running.thread.is_alive()
        assert list(told) == []
