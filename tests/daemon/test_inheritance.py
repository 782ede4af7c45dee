"""What a recorder's next life is told, and that a hanging recorder is told of once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from beepwatch.daemon import child, supervisor
from beepwatch.daemon.inheritance import as_planned, hang, inheriting, with_fault, with_place
from beepwatch.daemon.settings import MessengerSettings, RecorderSettings
from beepwatch.logs import LogSettings
from beepwatch.messages import Fault, FaultKind, Quiet
from beepwatch.sections import Capture, Notify, Store
from tests.daemon.stage import Stage

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLANNED = RecorderSettings(capture=Capture(), rate_hz=16_000, speed=1.0, logs=LogSettings())


def fault(kind: FaultKind, *, cleared: bool = False) -> Fault:
    return Fault(kind=kind, text="", since=NOON, cleared=cleared)


def test_what_is_told_is_known_until_it_is_called_over() -> None:
    settings = PLANNED
    for kind in (FaultKind.STALLED, FaultKind.ALL_ZERO, FaultKind.CLIPPING):
        settings = with_fault(settings, fault(kind))

    assert [known.kind for known in settings.faults] == [FaultKind.STALLED, FaultKind.ALL_ZERO]
    settings = with_fault(settings, fault(FaultKind.STALLED, cleared=True))
    assert [known.kind for known in settings.faults] == [FaultKind.ALL_ZERO]


def test_it_is_no_part_of_the_plan_and_outlives_another_one() -> None:
    told = with_fault(PLANNED, fault(FaultKind.NO_DEVICE))

    assert as_planned(told) == PLANNED
    assert inheriting(PLANNED, told) == told


def test_so_it_is_with_a_disk_that_the_messenger_has_told_of() -> None:
    planned = MessengerSettings(
        notify=Notify(), store=Store(), token=None, channels=("console",), logs=LogSettings()
    )
    lent = msgspec.structs.replace(planned, memo=3)
    told = with_fault(lent, fault(FaultKind.DISK_FULL))

    assert [known.kind for known in told.faults] == [FaultKind.DISK_FULL]
    assert as_planned(told) == planned
    assert inheriting(planned, told) == told
    assert with_fault(told, fault(FaultKind.DISK_FULL, cleared=True)) == lent
    assert with_fault(told, fault(FaultKind.CHANNEL)) == told


def test_how_far_a_recording_was_heard_outlives_another_plan(tmp_path: Path) -> None:
    """Or all of it would be heard, and told, once more."""
    source = f"file:{tmp_path}/washing.wav"
    span = Quiet(
        samples=48_000,
        stream_id="a",
        sequence=40,
        first_sample=640_000,
        rate_hz=16_000,
        started_at=NOON + timedelta(seconds=40),
        started_mono_s=140.0,
        level_dbfs=-50.0,
        lost_samples=0,
        source=source,
    )
    heard = with_place(PLANNED, span)
    assert heard.resume is not None
    assert (heard.resume.began_at, heard.resume.began_mono_s) == (NOON, 100.0)
    assert as_planned(heard) == PLANNED
    other = msgspec.structs.replace(PLANNED, capture=Capture(source=source, hop_s=0.5))
    assert inheriting(other, heard).resume == heard.resume


def test_a_hanging_recorder_is_news_unless_the_microphone_is_known_to_be_away() -> None:
    assert hang(with_fault(PLANNED, fault(FaultKind.STALLED)), NOON) is None
    news = hang(with_fault(PLANNED, fault(FaultKind.ALL_ZERO)), NOON)
    assert news is not None
    assert news.kind is FaultKind.STALLED


def test_a_recorder_that_hangs_again_and_again_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does whose sound server takes its connection and answers nothing."""
    monkeypatch.setattr(child, "STARTING_S", 2.0)
    monkeypatch.setattr(supervisor, "STOPS_WITHIN_S", 0.5)
    stage = Stage(tmp_path)
    stage.play(
        lambda: stage.wait_for("deaf began", times=3),
        lambda: stage.wait_for("fault"),
        stage.signal,
        recorder="deaf",
        patient=False,
    )

    # On a busy machine the others do not start in time either.
    lines = [line for line in stage.journal if line.startswith(("fault", "recovered"))]
    told = [line for line in lines if "the recorder" in line]
    assert len(told) == 1
    assert told[0].startswith("fault: the recorder hangs and hears nothing.")
