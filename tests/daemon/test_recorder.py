"""The recorder's main, spoken to over its connection as the supervisor does."""

from beepwatch.messages import (
    Ended,
    Failed,
    Finish,
    Heartbeat,
    Listening,
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
