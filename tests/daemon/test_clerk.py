"""Beside a recording: every file judged and listed, and nothing that fails costs a file."""

import csv
import io
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from beepwatch.capture.recording import record
from beepwatch.capture.sessions import Judgement, Recorded, RecordingSummary, Subject
from beepwatch.classify.engines import Answers
from beepwatch.daemon.clerk import FilingClerk, Judge, opening
from beepwatch.errors import ModelError
from beepwatch.sections import Capture, Config
from tests.capture.sounds import write_wav

RATE_HZ = 16_000
WITHIN_S = 60.0


class Loudest:
    """A judge whose labels are levels: "loud" from half of full scale on, "quiet" from a tenth."""

    labels = ("loud", "quiet")
    thresholds = {"loud": 0.5, "quiet": 0.1}  # noqa: RUF012 - read only
    rate_hz = RATE_HZ
    frame_s = 0.02
    context_s = history_s = 0.0
    step_frames = 1
    model_id = "loudest"

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        frames = np.abs(pcm[: len(pcm) // 320 * 320].reshape(-1, 320)).max(axis=1) / 32_768
        column = frames.astype(np.float32)
        return Answers(
            np.stack([column, np.full_like(column, 0.05)], axis=1),
            np.zeros((len(column), 0), dtype=np.float32),
            np.zeros((len(column), 0), dtype=np.float32),
        )


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Three windows: silence, a peak of 0.8, one of 0.3."""
    peaks = np.repeat([0.0, 0.8, 0.3], 3 * RATE_HZ)
    pcm = np.rint(peaks * 32_768 * np.sin(np.arange(peaks.size) / 5)).astype(np.int16)
    return write_wav(tmp_path / "sound.wav", pcm, RATE_HZ)


def recorded(
    sound: Path, out: Path, open_judge: Callable[[], Judge] | None, label: str = "beep"
) -> tuple[RecordingSummary, list[str]]:
    """Also what the clerk said."""
    said: list[str] = []
    summary = record(
        Capture(source=f"file:{sound}", gate=False),
        label=label,
        minutes=None,
        out=out,
        appliance="washer",
        room="laundry",
        speed="max",
        stop=threading.Event(),
        console=Console(file=io.StringIO()),
        clerk=FilingClerk(out, open_judge, said.append),
    )
    return summary, said


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "dataset.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_is_judged_and_listed(sound: Path, tmp_path: Path) -> None:
    """What is likeliest for its threshold: 0.05 of 0.1 in silence, and in 0.3 of 0.5."""
    out = tmp_path / "out"
    summary, said = recorded(sound, out, Loudest)

    silent, loud, faint = (summary.judgements[name] for name in summary.files)
    assert silent == Judgement(label="quiet", score=0.05, heard=False)
    assert (loud.label, loud.heard) == ("loud", True)
    assert loud.score == pytest.approx(0.8, abs=0.01)
    assert not faint.heard
    listed = rows(out)
    assert [row["path"] for row in listed] == [f"beep/{name}" for name in summary.files]
    assert {(row["device"], row["room"], row["rate_hz"], row["duration_s"]) for row in listed} == {
        ("washer", "laundry", "16000", "3")
    }
    assert {row["session"] for row in listed} == {
        file.stem for file in (out / "beep").glob("session-*.json")
    }
    assert [(row["model_label"], float(row["model_score"])) for row in listed] == [
        (one.label, one.score) for one in (silent, loud, faint)
    ]
    assert [row["label"] for row in listed] == ["", "", ""]
    assert said == []


def test_what_others_have_written_into_the_list_stays(sound: Path, tmp_path: Path) -> None:
    """A person's labels, a column of somebody's own, and the rows of another session."""
    out = tmp_path / "out"
    recorded(sound, out, Loudest)
    listed = rows(out)
    for row in listed:
        row.update({"label": "spin", "note": "old"})
    with (out / "dataset.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)

    recorded(sound, out, Loudest, label="human")

    after = rows(out)
    assert after[:3] == listed
    assert [(row["path"].split("/")[0], row["label"], row["note"]) for row in after[3:]] == [
        ("human", "", "")
    ] * 3


def test_without_a_model_files_are_listed_all_the_same(sound: Path, tmp_path: Path) -> None:
    def missing() -> Judge:
        raise ModelError("there is no model")

    summary, said = recorded(sound, tmp_path / "a", missing)
    _, said_nothing = recorded(sound, tmp_path / "b", None)

    assert len(summary.files) == 3
    assert summary.judgements == {}
    assert said == ["recorded without the model's opinion: there is no model"]
    assert said_nothing == []
    for out in (tmp_path / "a", tmp_path / "b"):
        assert len(rows(out)) == 3
        assert "model_label" not in rows(out)[0]


def test_a_damaged_list_is_said_once_and_left_as_it_is(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset.csv").write_text("this is\nno,table\n")

    summary, said = recorded(sound, out, Loudest)

    assert len(summary.files) == len(summary.judgements) == 3
    assert len(said) == 1
    assert said[0].startswith("not listed: ")
    assert "dataset.csv is no table" in said[0]
    assert (out / "dataset.csv").read_text() == "this is\nno,table\n"


def test_a_model_that_hangs_holds_up_neither_the_recording_nor_its_end(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beepwatch.capture.recording._LAST_JUDGEMENTS_S", 0.1)
    go_on = threading.Event()

    class Hanging(Loudest):
        def answers(self, pcm: NDArray[np.int16]) -> Answers:
            assert go_on.wait(WITHIN_S)
            return super().answers(pcm)

    summary, said = recorded(sound, tmp_path / "out", Hanging)
    go_on.set()

    assert len(summary.files) == 3
    assert summary.complete
    assert summary.judgements == {}
    assert said == ["not all files were judged and listed in time."]


def test_a_file_that_is_gone_again_costs_its_own_row_only(sound: Path, tmp_path: Path) -> None:
    said: list[str] = []
    clerk = FilingClerk(tmp_path, Loudest, said.append)
    gone = Recorded(
        path=tmp_path / "gone.wav",
        subject=Subject(label="beep"),
        session="session-1",
        source="microphone",
        rate_hz=RATE_HZ,
        duration_s=3.0,
    )
    clerk.take(gone)
    clerk.take(msgspec.structs.replace(gone, path=sound))
    clerk.finish(WITHIN_S)

    assert list(clerk.judgements()) == ["sound.wav"]
    assert [row["path"] for row in rows(tmp_path)] == ["sound.wav"]
    assert len(said) == 2
    assert all("gone.wav" in line for line in said)


def test_the_shipped_model_hears_the_beeps_of_the_demo(tmp_path: Path) -> None:
    """By the table beside the recording, nothing beeps before 8 s."""
    kitchen = Path(__file__).parents[2] / "beepwatch/daemon/demo/kitchen.flac"
    said: list[str] = []
    model = opening(Config().model, tmp_path / "state", said.append)
    out = tmp_path / "out"
    summary, _ = recorded(kitchen, out, model)

    heard = [summary.judgements[name].heard for name in summary.files]
    assert any(heard)
    assert not heard[0]
    assert {one.label for one in summary.judgements.values()} == {"beep"}
    assert said == []
