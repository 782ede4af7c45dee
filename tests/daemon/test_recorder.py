"""The recorder's main, spoken to over its connection as the supervisor does."""

from beepwatch.messages import (
    Ended,
    Failed,
    Finish,
    Heartbeat,
    Listening,
    Place,
    Quiet,
    Window,
)
from tests.daemon.conversation import recording, without_beats


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
    place = Place(
        stream_id=last.stream_id,
        sequence=last.sequence,
        began_at=whole[0].started_at,
        began_mono_s=whole[0].started_mono_s,
    )
    heard = list(recording(resume=place).hear())
    assert [span for span in heard if isinstance(span, Window | Quiet)] == whole[41:]
    assert isinstance(without_beats(heard)[-1], Ended)


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
