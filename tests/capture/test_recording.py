"""Training data: native rate, nothing overwritten, a JSON that is whole."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from beepwatch.capture.recording import record
from beepwatch.capture.sessions import Judgement, Recorded, RecordingSummary, Subject
from beepwatch.clock import ManualClock
from beepwatch.errors import ConfigurationError, DiskFull, UnreadableAudio
from beepwatch.sections import Capture
from tests.capture.sounds import DATA, noise, sine, write_wav
from tests.small_disk import small_disk

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """21 s at 44.1 kHz, stereo; beeps at 10.5 s and 19 s."""
    sound = noise(21, 30, seed=1, rate_hz=44_100)
    beep = sine(2_000, 0.2, peak=0.1, rate_hz=44_100)
    for at_s in (10.5, 19):
        start = round(at_s * 44_100)
        sound[start : start + beep.size] += beep
    mono = np.rint(sound).astype(np.int16)
    return write_wav(tmp_path / "room.wav", np.repeat(mono, 2), 44_100, channels=2)


def recorded(
    sound: Path,
    out: Path,
    /,
    *,
    minutes: float | None = None,
    terminal: bool = False,
    columns: int = 200,
    gate: bool = True,
    **more: Any,  # noqa: ANN401 - whatever `record` takes
) -> tuple[RecordingSummary, str]:
    output = io.StringIO()
    summary = record(
        Capture(source=f"file:{sound}", gate=gate),
        label="beep",
        minutes=minutes,
        out=out,
        **more,
        speed="max",
        stop=threading.Event(),
        console=Console(file=output, force_terminal=terminal, width=columns),
        clock=ManualClock(NOON),
    )
    return summary, output.getvalue()


def test_writes_what_is_not_silent_at_the_native_rate(room: Path, tmp_path: Path) -> None:
    summary, _ = recorded(room, tmp_path / "out")

    assert summary.files == ("20260101T120009.000Z.wav", "20260101T120018.000Z.wav")
    with wave.open(str(tmp_path / "out" / "beep" / summary.files[0])) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getnframes()) == (44_100, 1, 132_300)
    assert (summary.counts["windows"], summary.counts["quiet_windows"]) == (2, 5)


def test_the_json_tells_how_it_was_made(room: Path, tmp_path: Path) -> None:
    recorded(room, tmp_path / "out")

    told = json.loads((tmp_path / "out/beep/session-20260101T120000.000Z.json").read_text())
    assert told["label"] == "beep"
    assert told["device"] == str(room)
    assert told["rate_hz"] == 44_100
    assert told["gate_over_floor_db"] == 6
    assert told["started"] == "2026-01-01T12:00:00Z"
    assert told["complete"] is True
    assert len(told["files"]) == 2


def test_nothing_is_overwritten(room: Path, tmp_path: Path) -> None:
    recorded(room, tmp_path / "out")
    summary, _ = recorded(room, tmp_path / "out")

    assert summary.files[0] == "20260101T120009.000Z-2.wav"
    assert len(list((tmp_path / "out" / "beep").glob("*.wav"))) == 4
    assert len(list((tmp_path / "out" / "beep").glob("*.json"))) == 2


def test_recorders_in_one_folder_at_once_leave_each_other_alone(room: Path, tmp_path: Path) -> None:
    """Five, at the same moments by the same clock: every name is wanted five times."""
    start = threading.Barrier(5)

    def one(number: int) -> RecordingSummary:
        start.wait()
        return recorded(room, tmp_path / "out", gate=False, appliance=f"machine {number}")[0]

    with ThreadPoolExecutor(5) as pool:
        summaries = list(pool.map(one, range(5)))

    folder = tmp_path / "out" / "beep"
    files = sorted(file.name for file in folder.glob("*.wav"))
    assert [len(summary.files) for summary in summaries] == [7] * 5
    assert sorted(name for summary in summaries for name in summary.files) == files
    sessions = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    assert {told["appliance"]: told["files"] for told in sessions} == {
        summary.appliance: list(summary.files) for summary in summaries
    }
    assert len(sessions) == 5
    for name in files:
        with wave.open(str(folder / name)) as wav:
            assert wav.getnframes() == 132_300


def test_so_many_kb_are_of_all_sessions_of_the_same(room: Path, tmp_path: Path) -> None:
    """A file has 264,644 bytes, and 600 kB are reached by the third of what would be seven."""
    same: dict[str, Any] = {
        "gate": False,
        "until_kb": 600,
        "appliance": "washer",
        "room": "laundry",
    }
    first, _ = recorded(room, tmp_path, minutes=3 / 60, **same)
    second, said = recorded(room, tmp_path, **same)
    third, there = recorded(room, tmp_path, **same)
    other, _ = recorded(room, tmp_path, **{**same, "appliance": "dryer"})

    assert [len(one.files) for one in (first, second, third, other)] == [1, 2, 0, 3]
    assert (second.kb, second.kb_before) == pytest.approx((529.288, 264.644))
    assert "goes on after 1 file of earlier sessions, 265 kB" in said
    assert third.counts["openings"] == 0
    assert there.startswith("enough is there: 3 files of earlier sessions, 794 kB\nstopped: no ")


def test_what_somebody_deleted_is_recorded_anew(room: Path, tmp_path: Path) -> None:
    first, _ = recorded(room, tmp_path, gate=False, until_kb=600)
    (tmp_path / "beep" / first.files[0]).unlink()
    (tmp_path / "beep" / "somebody's own.wav").write_bytes(bytes(1_000_000))

    second, _ = recorded(room, tmp_path, gate=False, until_kb=600)

    assert len(second.files) == 1


def files_told(folder: Path) -> list[str]:
    """Of the only session."""
    (session,) = folder.glob("session-*.json")
    return list(json.loads(session.read_text())["files"])


def test_a_session_that_was_killed_counts_as_far_as_it_came(room: Path, tmp_path: Path) -> None:
    words = ["record", "--label", "beep", "--source", f"file:{room}", "--no-pre-label"]
    command = [sys.executable, "-m", "beepwatch", *words, "--out", str(tmp_path), "--speed", "5"]
    environment = {**os.environ, "BEEPWATCH_CAPTURE__GATE": "false"}  # noqa: TID251 - the child's
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as recorder:
        folder = tmp_path / "beep"
        while not list(folder.glob("*Z.wav")) or not files_told(folder):
            assert recorder.poll() is None
            threading.Event().wait(0.02)
        recorder.send_signal(signal.SIGKILL)

    (session,) = folder.glob("session-*.json")
    left = json.loads(session.read_text())
    summary, _ = recorded(room, tmp_path, gate=False, until_kb=600)
    assert not left["complete"]
    assert len(left["files"]) in (1, 2)
    assert len(left["files"]) + len(summary.files) == 3


def test_a_damaged_json_costs_its_session_and_no_recording(room: Path, tmp_path: Path) -> None:
    recorded(room, tmp_path, gate=False, until_kb=600)
    (session,) = (tmp_path / "beep").glob("session-*.json")
    session.write_text('{"label": "be')

    assert len(recorded(room, tmp_path, gate=False, until_kb=600)[0].files) == 3


@pytest.mark.parametrize("name", ["two\nlines", " washer", "w" * 81])
@pytest.mark.parametrize("option", ["appliance", "room"])
def test_names_are_names(option: str, name: str, room: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--device" if option == "appliance" else "--room"):
        recorded(room, tmp_path, **dict[str, Any]({option: name}))

    assert not list(tmp_path.glob("beep/*"))


def test_a_file_that_cannot_be_written_whole_is_none(room: Path, tmp_path: Path) -> None:
    """The system lets no file of the process grow over 100 kB, until it ends."""
    command = "import atexit, resource, signal; from beepwatch.__main__ import main; "
    command += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    command += "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]; "
    command += "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard)); "
    command += "atexit.register(resource.setrlimit, resource.RLIMIT_FSIZE, (hard, hard)); main()"
    words = ["record", "--label", "beep", "--source", f"file:{room}", "--speed", "max"]
    done = subprocess.run(
        [sys.executable, "-c", command, *words, "--out", str(tmp_path), "--no-pre-label"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "cannot be written: File too large" in done.stderr.splitlines()[-1]
    (session,) = (tmp_path / "beep").iterdir()
    assert json.loads(session.read_text())["files"] == []


class Slow:
    """A clerk whose judgements take until the end."""

    def __init__(self) -> None:
        self.taken: list[Recorded] = []
        self.finished = False

    def take(self, recorded: Recorded) -> None:
        self.taken.append(recorded)

    def judgements(self) -> dict[str, Judgement]:
        if not self.finished:
            return {}
        return {
            one.path.name: Judgement(label="beep", score=0.5, heard=False) for one in self.taken
        }

    def finish(self, within_s: float) -> None:
        del within_s
        self.finished = True


def test_files_are_handed_to_the_clerk_when_they_are_whole(room: Path, tmp_path: Path) -> None:
    clerk = Slow()
    summary, said = recorded(room, tmp_path, appliance="washer", room="laundry", clerk=clerk)

    assert [one.path.name for one in clerk.taken] == list(summary.files)
    subject = Subject(label="beep", appliance="washer", room="laundry")
    assert [(one.subject, one.rate_hz, one.duration_s) for one in clerk.taken] == [
        (subject, 44_100, 3.0)
    ] * 2
    told = json.loads((tmp_path / f"beep/{clerk.taken[0].session}.json").read_text())
    assert (told["appliance"], told["room"]) == ("washer", "laundry")
    assert told["judgements"] == {
        name: {"label": "beep", "score": 0.5, "heard": False} for name in summary.files
    }
    assert "the model hears something in 0 of them" in said


def test_minutes_are_minutes_of_sound(room: Path, tmp_path: Path) -> None:
    summary, _ = recorded(room, tmp_path / "out", minutes=12 / 60)

    assert summary.files == ("20260101T120009.000Z.wav",)
    assert summary.counts["windows"] + summary.counts["quiet_windows"] == 4


def test_the_meter_is_for_terminals(room: Path, tmp_path: Path) -> None:
    _, plain = recorded(room, tmp_path / "a")
    _, drawn = recorded(room, tmp_path / "b", terminal=True)

    assert "dBFS" not in plain
    assert "recording 'beep'" in plain
    assert "stopped: 2 files, 5 silent windows left out" in plain
    assert "dBFS" in drawn


@pytest.mark.parametrize("columns", [80, 20])
def test_the_meter_takes_one_line(columns: int, room: Path, tmp_path: Path) -> None:
    """The cursor goes up a line once, to wipe it out at the end."""
    _, drawn = recorded(room, tmp_path, terminal=True, columns=columns)

    assert drawn.count("dBFS" if columns == 80 else "…") > 5
    assert drawn.count("\x1b[1A") == 1


def test_a_file_that_breaks_off_leaves_a_whole_json(room: Path, tmp_path: Path) -> None:
    room.write_bytes(room.read_bytes()[:-100_000])
    with pytest.raises(UnreadableAudio):
        recorded(room, tmp_path / "out")

    (told,) = (tmp_path / "out" / "beep").glob("*.json")
    assert json.loads(told.read_text())["complete"] is True


@pytest.mark.parametrize("before", [(), ("out",), ("out", "out/beep"), ("out", "out/wash")])
def test_of_a_file_that_cannot_be_opened_nothing_is_left(
    before: tuple[str, ...], tmp_path: Path
) -> None:
    """Neither a session nor a folder that was made for it; one that was there before stays."""
    for folder in before:
        (tmp_path / folder).mkdir()
    with pytest.raises(UnreadableAudio):
        recorded(tmp_path / "nothing.wav", tmp_path / "out")

    assert {str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")} == set(before)


def test_a_disk_without_room_is_left_without_an_empty_session(room: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 65_536) as disk:
        (disk.path / "beep").mkdir()
        disk.fill()
        with pytest.raises(DiskFull, match="the disk is full"):
            recorded(room, disk.path)
        assert list((disk.path / "beep").iterdir()) == []


@pytest.mark.parametrize("label", ["", "..", "a/b", " ", " beep", "two\nlines", "\udcff", "a\0b"])
def test_a_label_must_be_a_folder_name(label: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="label"):
        record(
            Capture(source="stdin"),
            label=label,
            minutes=None,
            out=tmp_path,
            stop=threading.Event(),
            console=Console(file=io.StringIO()),
        )


def test_a_folder_that_cannot_be_made_is_named(room: Path) -> None:
    with pytest.raises(ConfigurationError, match="--out"):
        recorded(room, room)


def test_stops_when_told(tmp_path: Path) -> None:
    stop = threading.Event()

    class StopsOnceItListens(io.StringIO):
        def write(self, text: str) -> int:
            if "listening at" in text:
                stop.set()
            return super().write(text)

    summary = record(
        Capture(source=f"file:{DATA / 'appliance_far_away.flac'}"),
        label="hum",
        minutes=None,
        out=tmp_path,
        stop=stop,
        console=Console(file=StopsOnceItListens()),
    )

    assert summary.complete
    assert summary.counts["openings"] == 1
    assert summary.counts["windows"] + summary.counts["quiet_windows"] <= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("stream:http://127.0.0.1:9/x", "gives no sound: Connection refused. Check its address"),
        ("stdin", "ended before any sound came. Let something send sound there, or name another"),
    ],
)
@pytest.mark.parametrize("given", [b"", b"x"])
def test_of_a_source_that_never_was_there_it_is_said_and_nothing_left(
    words: str, said: str, given: bytes, tmp_path: Path
) -> None:
    """discard(9): nobody listens. A byte is no sample."""
    command = [sys.executable, "-m", "beepwatch", "record", "--label", "beep", "--no-pre-label"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--source", words],
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"beepwatch: {words} {said}")
    assert "again" not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mic
def test_without_an_input_there_is_nothing_to_record(tmp_path: Path) -> None:
    """Whatever this machine has, none of its inputs has such a name."""
    command = [sys.executable, "-m", "beepwatch", "record", "--label", "beep"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path), "--source", "microphone:no such thing"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 3
    assert list(tmp_path.rglob("*.*")) == []  # no session that was none
    (said,) = done.stderr.splitlines()
    assert said.startswith("beepwatch: there is no input device") or (
        "no input device matches" in said
    )
