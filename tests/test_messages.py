"""What is sent arrives as it was; what is no message is refused."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.messages import (
    Alert,
    AlertKind,
    AnyMessage,
    Clip,
    Condition,
    Done,
    Ended,
    Event,
    Failed,
    Fault,
    FaultKind,
    Finish,
    Finished,
    Heartbeat,
    Hum,
    Inquiry,
    Listen,
    Listening,
    Piece,
    Poke,
    Quiet,
    Ready,
    Taken,
    Watch,
    Window,
    decode,
    encode,
)

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
SPAN = {
    "stream_id": "a",
    "sequence": 7,
    "first_sample": 112_000,
    "rate_hz": 16_000,
    "started_at": NOON,
    "started_mono_s": 1_234.5,
    "level_dbfs": -math.inf,
    "lost_samples": 3,
    "source": "microphone:USB",
}


@pytest.mark.parametrize(
    "message",
    [
        Window(pcm=b"\x01\x00\xff\x7f", **SPAN),  # type: ignore[arg-type]
        Quiet(samples=48_000, **SPAN),  # type: ignore[arg-type]
        Hum(samples=2, pcm=b"\x01\x00\xff\x7f", **SPAN),  # type: ignore[arg-type]
        Ended(source="file:a.wav"),
        Listening(source="microphone", rate_hz=44_100, channels=2),
        Fault(kind=FaultKind.NO_DEVICE, text="no microphone", since=NOON, count=2, cleared=True),
        Failed(text="no model", exit_code=3),
        Heartbeat(counts={"windows": 3}),
        Ready(),
        Ready(model="beep-1"),
        Inquiry(number=1),
        Condition(number=1, up_s=2.5, source="microphone", level_age_s=1.5, model="beep-1"),
        Listen(number=2, length_s=10.0),
        Piece(number=2, pcm=b"\x01\x00", rate_hz=16_000, started_at=NOON, last=True),
        Taken(),
        Watch(number=3, since_mono_s=-1.5, for_s=9_000.0),
        Done(stream_id="a", sequence=7),
        Finish(within_s=5.0),
        Finished(),
        Poke(),
        Alert(
            kind=AlertKind.HEARD, text="beep", created_at=NOON, due_at=NOON, dedupe_key="heard:1"
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_arrives_as_it_was_sent(message: AnyMessage) -> None:
    """Digital silence (-inf dBFS) and microseconds included."""
    assert decode(encode(message)) == message


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_a_decode_error_and_nothing_else(data: bytes) -> None:
    try:
        message = decode(data)
    except msgspec.DecodeError:
        return
    assert decode(encode(message)) == message


@given(pcm=st.binary(min_size=2, max_size=64), cut=st.integers(0, 300))
def test_a_message_cut_short_is_a_decode_error(pcm: bytes, cut: int) -> None:
    data = encode(Window(pcm=pcm, **SPAN))  # type: ignore[arg-type]
    with pytest.raises(msgspec.DecodeError):
        decode(data[: cut % len(data)])


def test_a_windows_waveform_is_its_pcm_as_int16() -> None:
    window = Window(pcm=b"\x01\x00\xff\x7f\x00\x80", **SPAN)  # type: ignore[arg-type]
    assert window.samples == 3
    np.testing.assert_array_equal(window.waveform(), np.array([1, 32_767, -32_768], np.int16))


def test_a_clip_knows_its_length() -> None:
    assert Clip(pcm=bytes(32_000), rate_hz=16_000, started_at=NOON).duration_s == 1.0


def test_an_event_of_more_than_a_day_does_not_wrap() -> None:
    event = Event(
        label="beep",
        onset=NOON,
        offset=NOON + timedelta(days=1, seconds=2),
        pulses=9,
        peak_score=0.9,
        model_id="m",
    )
    assert event.duration_s == 86_402.0


def test_messages_cannot_be_changed_on_their_way() -> None:
    with pytest.raises(AttributeError):
        Ended(source="a").source = "b"  # type: ignore[misc]
