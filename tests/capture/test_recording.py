"""Training data: native rate, nothing overwritten, a JSON that is whole."""

import io
import json
import subprocess
import sys
import threading
import wave
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from beepwatch.capture.recording import RecordingSummary, record
from beepwatch.clock import ManualClock
from beepwatch.config import Capture
from beepwatch.errors import ConfigurationError, UnreadableAudio
from tests.capture.sounds import DATA, noise, sine, write_wav

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
    room: Path, out: Path, *, minutes: float | None = None, terminal: bool = False
) -> tuple[RecordingSummary, str]:
    output = io.StringIO()
    summary = record(
        Capture(source=f"file:{room}"),
        label="beep",
        minutes=minutes,
        out=out,
        speed="max",
        stop=threading.Event(),
        console=Console(file=output, force_terminal=terminal, width=200),
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


def test_a_broken_file_leaves_a_whole_json(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio):
        recorded(tmp_path / "nothing.wav", tmp_path / "out")

    (told,) = (tmp_path / "out" / "beep").glob("*.json")
    assert json.loads(told.read_text())["complete"] is True


@pytest.mark.parametrize("label", ["", "..", "a/b", " "])
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


def test_a_folder_that_cannot_be_made_is_named(room: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--out"):
        recorded(room, room)


def test_stops_when_told(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()

    summary = record(
        Capture(source=f"file:{DATA / 'appliance_far_away.flac'}"),
        label="hum",
        minutes=None,
        out=tmp_path,
        stop=stop,
        console=Console(file=io.StringIO()),
    )

    assert summary.complete
    assert summary.counts["openings"] == 1


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
    assert done.stderr.splitlines()[-1].startswith("beepwatch: there is no input device") or (
        "no input device matches" in done.stderr.splitlines()[-1]
    )
