"""The recorder's main, spoken to over its connection as the supervisor does."""

import threading
import time
import wave
from collections.abc import Callable
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from beepwatch.classify.machines import Machines
from beepwatch.daemon import recorder
from beepwatch.daemon.child import Child
from beepwatch.daemon.inheritance import with_place
from beepwatch.daemon.running import recorder_of
from beepwatch.daemon.settings import RecorderSettings
from beepwatch.messages import (
    PIECE_BYTES,
    Ended,
    Failed,
    Finish,
    Heartbeat,
    Hum,
    Listen,
    Listening,
    Piece,
    Place,
    Quiet,
    Window,
)
from beepwatch.sections import Capture
from benchmarks.gap import spans
from tests.daemon.conversation import (
    QUIET_LOGS,
    RECORDING,
    Conversation,
    recording,
    without_beats,
)
from tests.daemon.fans import normal_fan
from tests.daemon.loud import START
from tests.sound_server import sound_server

UNGATED = RecorderSettings(capture=Capture(gate=False), rate_hz=16_000, speed=1.0, logs=QUIET_LOGS)


def test_the_recorder_sends_a_recording_whole_and_its_last_counts() -> None:
    heard = list(recording().hear())
    spans = [message for message in heard if isinstance(message, Window | Quiet)]
    assert [span.sequence for span in spans] == list(range(len(spans)))
    assert spans[-1].first_sample + spans[-1].samples >= 96 * 16_000
    assert isinstance(without_beats(heard)[0], Listening)
    assert isinstance(without_beats(heard)[-1], Ended)
    beat = heard[-1]
    assert isinstance(beat, Heartbeat)
    assert beat.counts["windows"] + beat.counts["quiet_windows"] == len(spans)


def test_a_next_life_goes_on_with_the_recording_where_the_last_window_came_from() -> None:
    """The same windows of the same stream, none twice and none missing, at the same times."""
    whole = [span for span in recording().hear() if isinstance(span, Window | Quiet)]
    last = whole[40]
    heard = list(recording(resume=heard_until(last)).hear())
    assert [span for span in heard if isinstance(span, Window | Quiet)] == whole[41:]
    assert isinstance(without_beats(heard)[-1], Ended)


def heard_until(last: Window | Quiet) -> Place | None:
    """As the supervisor knows it."""
    return with_place(UNGATED, last).resume


def a_window(source: str, sequence: int) -> Window:
    """A window of 3 s out of one a second, that begins at noon and so many seconds."""
    return Window(
        pcm=bytes(96_000),
        stream_id="earlier",
        sequence=sequence,
        first_sample=16_000 * sequence,
        rate_hz=16_000,
        started_at=START + timedelta(seconds=sequence),
        started_mono_s=100.0 + sequence,
        level_dbfs=-50.0,
        lost_samples=0,
        source=source,
    )


def test_what_was_heard_of_another_recording_passes_over_none_of_this_one() -> None:
    """As when another one is configured, and the last windows of the first still come."""
    place = heard_until(a_window("file:/elsewhere/other.wav", 40))
    heard = list(recording(resume=place).hear())
    spans = [message for message in heard if isinstance(message, Window | Quiet)]
    assert spans[0].first_sample == 0
    assert spans[0].stream_id != "earlier"
    assert spans[0].started_at > START


def test_with_windows_of_another_length_it_goes_on_without_a_gap_and_at_the_same_times() -> None:
    last = a_window(f"file:{RECORDING}", 40)
    capture = Capture(source=last.source, window_s=5.0, hop_s=4.0)
    settings = msgspec.structs.replace(UNGATED, capture=capture, speed="max")
    settings = with_place(settings, last)
    child = Conversation(lambda connection: recorder.main(connection, settings))
    spans = [message for message in child.hear() if isinstance(message, Window | Quiet)]
    assert spans[0].stream_id == last.stream_id
    assert spans[0].first_sample == 40 * 16_000  # the first that ends later than 43 s
    assert spans[0].started_at == last.started_at
    assert [span.first_sample for span in spans[1:3]] == [44 * 16_000, 48 * 16_000]


def test_the_recorder_stops_when_it_is_told_to() -> None:
    child = recording(speed=1.0)
    child.hear_until(Listening)
    child.say(Finish(within_s=1.0))
    assert not [message for message in child.hear() if isinstance(message, Ended)]


def test_the_recorder_ends_when_nobody_listens() -> None:
    child = recording(speed=1.0)
    child.hear_until(Listening)
    assert child.close()


def test_a_source_that_is_none_is_told_with_its_exit_code() -> None:
    (failed,) = without_beats(recording(source="gramophone").hear())
    assert isinstance(failed, Failed)
    assert failed.exit_code == 2
    assert "'gramophone'" in failed.text


def two_lives(
    child: Child,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[], None],
) -> tuple[list[Window | Quiet], list[Window | Quiet]]:
    """What a recorder tells until after `end()`, and the beginning of what the next one does."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    heard: list[Window | Quiet] = []
    try:
        child.start(time.monotonic())
        for span in spans(child, time.monotonic() + 45):
            heard.append(span)
            if len(heard) == 2:
                end()
            if span.stream_id != heard[0].stream_id:
                break
    finally:
        child.put_to_rest()
    before, after = (list(one) for _, one in groupby(heard, key=lambda span: span.stream_id))
    return before, after


@pytest.mark.mic
@pytest.mark.slow
def test_a_recorder_that_makes_room_sends_what_it_has_heard_before_the_next_one_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for other settings, on a real sound server: the end of what it heard, and no zeros."""
    child = Child("recorder", "beepwatch.daemon.recorder", UNGATED)

    def make_room() -> None:
        child.dismiss(time.monotonic(), 30)

    with sound_server(tmp_path) as server:
        before, after = two_lives(child, server.environment, monkeypatch, make_room)
    assert [span.samples for span in before[:-1]] == [48_000] * (len(before) - 1)
    assert 32_000 <= before[-1].samples < 48_000
    assert after[0].started_mono_s > before[-1].started_mono_s + before[-1].samples / 16_000


@pytest.mark.mic
@pytest.mark.slow
def test_a_recorder_begins_with_what_a_killed_one_had_heard_and_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real sound server: the time in which nobody listened is told as lost, and no more."""
    child = recorder_of(UNGATED)

    def kill() -> None:
        threading.Event().wait(0.6)  # of the sound that no window holds yet
        child.kill()

    with sound_server(tmp_path) as server:
        before, after = two_lives(child, server.environment, monkeypatch, kill)
    told_until_s = before[-1].started_mono_s + before[-1].samples / 16_000
    assert after[0].started_mono_s == pytest.approx(told_until_s, abs=0.01)
    assert 0 < after[0].lost_samples < 16_000 * 3.0


def test_who_wants_to_hear_the_room_hears_it_gate_or_no_gate() -> None:
    """What the gate drops comes too, unbroken, sample for sample, and no more than was asked."""
    child = recording(speed=30.0)
    child.hear_until(Listening)
    child.say(Listen(number=5, length_s=29.5))
    heard = without_beats(child.hear())
    pieces = [message for message in heard if isinstance(message, Piece)]
    spans = [message for message in heard if isinstance(message, Window | Quiet)]
    pcm = b"".join(piece.pcm for piece in pieces)
    assert len(pcm) == 2 * round(29.5 * 16_000)
    assert {(piece.number, piece.rate_hz) for piece in pieces} == {(5, 16_000)}
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert max(len(piece.pcm) for piece in pieces) <= PIECE_BYTES
    began = pieces[0].started_at
    compared = 0
    for span in spans:
        start = 2 * round((span.started_at - began).total_seconds() * 16_000)
        if isinstance(span, Window) and 0 <= start <= len(pcm) - len(span.pcm):
            assert pcm[start : start + len(span.pcm)] == span.pcm
            compared += 1
    assert compared
    assert any(isinstance(span, Quiet) for span in spans[:20])


def test_while_a_machine_is_learned_dropped_windows_come_with_their_sound(tmp_path: Path) -> None:
    """Taught and taken away while the recorder runs, at ten times the speed of time."""
    learned = normal_fan()
    sound = tmp_path / "silence.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 600 * 16_000))
    settings = RecorderSettings(
        capture=Capture(source=f"file:{sound}"),
        rate_hz=16_000,
        speed=10.0,
        logs=QUIET_LOGS,
        directory=tmp_path / "state",
    )
    child = Conversation(lambda connection: recorder.main(connection, settings))
    first = child.hear_until(Quiet)
    shelf = Machines(tmp_path / "state")
    shelf.put(learned, START)
    child.hear_until(Hum)
    shelf.remove("fan")
    assert not any(isinstance(message, Hum) for message in first)
    in_a_row = 0
    for message in child.hear():
        if isinstance(message, Window | Quiet):
            in_a_row = 0 if isinstance(message, Window | Hum) else in_a_row + 1
        if in_a_row > 5:
            break
    assert in_a_row > 5
    child.close()
