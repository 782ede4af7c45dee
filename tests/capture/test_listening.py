"""The recorder's loop: what comes, in which order, once each, and that it ends when told."""

import itertools
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from beepwatch.capture import listening
from beepwatch.capture.blocks import Block, EndOfSound, Source
from beepwatch.capture.listening import Heard, Listener
from beepwatch.clock import ManualClock, SystemClock
from beepwatch.errors import ConfigurationError, SourceError, UnreadableAudio
from beepwatch.messages import Ended, Fault, FaultKind, Listening, Quiet, Window
from beepwatch.sections import Capture
from tests.capture.sounds import DATA, RATE_HZ, Script, block, noise, sine, write_wav
from tests.capture.waits import Waits

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = np.rint(noise(1, 30, seed=1)).astype(np.int16)
NO_DEVICE = SourceError("no device")


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_BACKOFF_FIRST_S", 0.01)


class Stalling(Script):
    """Time passes while nothing comes."""

    def __init__(
        self, clock: ManualClock, *openings: list[Block | SourceError | EndOfSound | None]
    ) -> None:
        super().__init__(*openings)
        self._clock = clock

    def read(self, within_s: float) -> Block | EndOfSound | None:
        item = super().read(within_s)
        if item is None:
            self._clock.advance(within_s)
        return item


def heard_from(
    source: str | Source,
    *,
    speed: listening.Speed = "max",
    clock: SystemClock | ManualClock | None = None,
    gate: bool = True,
) -> list[Heard | None]:
    return list(listener_on(source, speed=speed, clock=clock, gate=gate))


def listener_on(
    source: str | Source,
    *,
    speed: listening.Speed = "max",
    clock: SystemClock | ManualClock | None = None,
    gate: bool = True,
    stop: threading.Event | None = None,
) -> Listener:
    named, given = (source, None) if isinstance(source, str) else ("microphone", source)
    return Listener(
        Capture(source=named, gate=gate),
        rate_hz=RATE_HZ,
        clock=clock or SystemClock(),
        speed=speed,
        stop=stop or threading.Event(),
        source=given,
    )


def kinds(heard: Iterable[Heard | None]) -> list[str]:
    """Names of what came, runs of the same shortened to one."""
    names = [
        f"{item.kind.value}{' over' if item.cleared else ''}"
        if isinstance(item, Fault)
        else type(item).__name__
        for item in heard
        if item is not None
    ]
    return [name for name, _ in itertools.groupby(names)]


def test_a_recording_is_announced_cut_and_ended() -> None:
    heard = heard_from(f"file:{DATA / 'fire_alarm.flac'}")

    assert kinds(heard) == ["Listening", "Window", "Ended"]
    assert next(item for item in heard if item) == Listening(
        source=f"file:{DATA / 'fire_alarm.flac'}", rate_hz=44_100, channels=1
    )


def test_a_quiet_room_comes_as_gaps_of_known_length() -> None:
    heard = heard_from(f"file:{DATA / 'mains_hum.flac'}")

    quiet = [item for item in heard if isinstance(item, Quiet)]
    assert kinds(heard) == ["Listening", "Quiet", "Ended"]
    assert [(item.first_sample, item.samples) for item in quiet] == [
        (0, 48_000), (16_000, 48_000), (32_000, 48_000)
    ]  # fmt: skip


def test_without_the_gate_everything_comes() -> None:
    assert kinds(heard_from(f"file:{DATA / 'mains_hum.flac'}", gate=False)) == [
        "Listening", "Window", "Ended"
    ]  # fmt: skip


def test_a_recordings_windows_are_the_same_at_any_speed(tmp_path: Path) -> None:
    """Time is the recording's own; the clock stands still at full speed and runs at 50 times."""
    path = write_wav(tmp_path / "a.wav", sine(1_000, 5.4, peak=0.1, rate_hz=44_100), 44_100)

    def spans(heard: list[Heard | None], began: datetime) -> list[tuple[object, ...]]:
        return [
            (item.first_sample, item.pcm, round((item.started_at - began).total_seconds(), 1))
            for item in heard
            if isinstance(item, Window)
        ]

    fast = spans(heard_from(f"file:{path}", clock=ManualClock(NOON)), NOON)
    began_s = time.monotonic()
    began = SystemClock().utc()
    paced = spans(heard_from(f"file:{path}", speed=20.0), began)

    assert fast == paced
    assert 5.4 / 20 <= time.monotonic() - began_s < 5.4
    assert [second for *_, second in fast] == [0.0, 1.0, 2.0, 3.0]


def test_both_times_of_a_recordings_window_follow_its_samples() -> None:
    windows = [
        item
        for item in heard_from(
            f"file:{DATA / 'appliance_far_away.flac'}", clock=ManualClock(NOON, 500.0), gate=False
        )
        if isinstance(item, Window)
    ]

    assert {item.started_mono_s - item.first_sample / RATE_HZ for item in windows} == {500.0}
    assert windows[7].started_at == NOON.replace(second=7)


def test_a_signs_of_life_come_while_a_recording_is_held_back(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", SECOND, RATE_HZ)
    times_s = [time.monotonic()]
    for _ in listener_on(f"file:{path}", speed=0.5):
        times_s.append(time.monotonic())  # noqa: PERF401 - the time between is what is tested

    assert times_s[-1] - times_s[0] >= 1.9
    assert np.diff(times_s).max() <= 0.6


def test_signs_of_life_come_while_a_microphone_is_silent() -> None:
    stop = threading.Event()
    clock = ManualClock(NOON)

    class Waiting(Script):
        def read(self, within_s: float) -> Block | EndOfSound | None:
            clock.advance(within_s)
            return None

    times_s = [clock.mono_s()]
    for item in listener_on(Waiting([None]), clock=clock, stop=stop):
        times_s.append(clock.mono_s())
        assert item is None
        if len(times_s) == 4:
            stop.set()

    assert np.diff(times_s).max() <= 0.6


def test_a_lost_microphone_is_told_once_and_opened_again() -> None:
    source = Script(
        [*[block(SECOND)] * 4, SourceError("unplugged")],
        [NO_DEVICE],
        [NO_DEVICE],
        [*[block(SECOND)] * 3, EndOfSound()],
    )
    listener = listener_on(source, gate=False)
    heard = list(listener)

    assert kinds(heard) == [
        "Listening", "Window", "no device", "Listening", "no device over", "Window", "Ended"
    ]  # fmt: skip
    assert listener.counts.openings == 2
    assert listener.counts.faults == 1
    assert (source.opened, source.closed) == (4, 2)
    streams = {item.stream_id for item in heard if isinstance(item, Window)}
    assert len(streams) == 2


def test_a_loss_is_told_before_the_source_is_closed_which_may_take_for_ever() -> None:
    source = Script([block(SECOND), SourceError("hangs")], [EndOfSound()])
    told = [
        (item.cleared, source.closed)
        for item in listener_on(source, gate=False)
        if isinstance(item, Fault)
    ]

    assert told[0] == (False, 0)


def test_what_is_away_for_long_is_not_written_down_at_each_try() -> None:
    """Three tries fail alike, one otherwise, then it is there."""
    source = Script(*[[NO_DEVICE]] * 3, [SourceError("busy")], [block(SECOND), EndOfSound()])
    with capture_logs() as lines:
        heard_from(source)

    lost = [line for line in lines if line["event"] == "source_lost"]
    assert [(line["log_level"], line["reason"]) for line in lost] == [
        ("info", "no device"),
        ("debug", "no device"),
        ("debug", "no device"),
        ("info", "busy"),
    ]


@pytest.mark.parametrize("kind", [FaultKind.NO_DEVICE, FaultKind.STALLED])
def test_what_an_earlier_listener_told_is_called_over_and_not_told_again(kind: FaultKind) -> None:
    listener = Listener(
        Capture(gate=False),
        rate_hz=RATE_HZ,
        clock=SystemClock(),
        stop=threading.Event(),
        source=Script([NO_DEVICE], [block(SECOND), EndOfSound()]),
        faults=[Fault(kind=kind, text="away", since=NOON)],
    )

    assert kinds(listener) == ["Listening", f"{kind.value} over", "Window", "Ended"]


def test_a_recording_in_the_place_of_a_mute_microphone_ends_what_was_told() -> None:
    listener = Listener(
        Capture(source=f"file:{DATA / 'fire_alarm.flac'}"),
        rate_hz=RATE_HZ,
        clock=SystemClock(),
        speed="max",
        stop=threading.Event(),
        faults=[Fault(kind=FaultKind.ALL_ZERO, text="mute", since=NOON)],
    )

    assert kinds(listener) == ["Listening", "all zero over", "Window", "Ended"]


def test_what_was_heard_until_the_loss_is_not_lost_with_it() -> None:
    source = Script([block(SECOND[:8_000]), SourceError("unplugged")], [EndOfSound()])

    windows = [item for item in heard_from(source, gate=False) if isinstance(item, Window)]

    assert len(windows) == 1
    np.testing.assert_array_equal(windows[0].waveform()[:8_000], SECOND[:8_000])


def test_a_missing_microphone_is_waited_for() -> None:
    source = Script([NO_DEVICE], [NO_DEVICE], [block(SECOND), EndOfSound()])

    assert kinds(heard_from(source, gate=False)) == [
        "no device", "Listening", "no device over", "Window", "Ended"
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "stalled_after_s"), [([block(SECOND)], 2.4), ([], 5.2)])
def test_a_microphone_that_gives_nothing_is_stalled_and_opened_again(
    first: list[Block], stalled_after_s: float
) -> None:
    clock = ManualClock(NOON)
    source = Stalling(clock, [*first, None], [*[block(SECOND)] * 3, EndOfSound()])

    heard: list[Heard | None] = []
    for item in listener_on(source, clock=clock, gate=False, stop=Waits(clock)):
        heard.append(item)
        if isinstance(item, Fault) and not item.cleared:
            assert item.kind is FaultKind.STALLED
            assert clock.mono_s() == pytest.approx(stalled_after_s, abs=0.3)

    assert kinds(heard)[-5:] == ["stalled", "Listening", "stalled over", "Window", "Ended"]


def test_a_microphone_that_slept_may_take_its_time() -> None:
    clock = ManualClock(NOON)
    source = Stalling(clock, [*[None] * 20, *[block(SECOND)] * 3, EndOfSound()])

    heard = listener_on(source, clock=clock, gate=False, stop=Waits(clock))

    assert kinds(heard) == ["Listening", "Window", "Ended"]


def test_losses_are_counted_and_reach_the_window() -> None:
    lossy = Block(
        data=SECOND.tobytes(),
        sample_format="int16",
        channels=1,
        rate_hz=RATE_HZ,
        lost_frames=100,
        overflows=2,
        dropped_blocks=1,
        captured_mono_s=5.0,
    )
    listener = listener_on(Script([*[lossy] * 3, EndOfSound()]), gate=False)
    heard = list(listener)

    windows = [item for item in heard if isinstance(item, Window)]
    assert sum(window.lost_samples for window in windows) == 300
    assert "overflow" in kinds(heard)
    counts = listener.counts.as_dict()
    assert (counts["lost_samples"], counts["overflows"], counts["dropped_blocks"]) == (300, 6, 3)


def test_a_live_windows_time_is_when_it_was_heard() -> None:
    clock = ManualClock(NOON, 100.0)
    live = Block(
        data=np.tile(SECOND, 3).tobytes(),
        sample_format="int16",
        channels=1,
        rate_hz=RATE_HZ,
        captured_mono_s=99.5,
    )
    heard = heard_from(Script([live, EndOfSound()]), clock=clock, gate=False)

    (window,) = [item for item in heard if isinstance(item, Window)]
    assert window.started_mono_s == pytest.approx(96.5)
    assert (NOON - window.started_at).total_seconds() == pytest.approx(3.5)


def test_unreadable_files_are_not_tried_again() -> None:
    with pytest.raises(UnreadableAudio):
        heard_from("file:/nothing.wav")


def test_no_known_source_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError):
        Listener(
            Capture(source="gramophone"),
            rate_hz=RATE_HZ,
            clock=SystemClock(),
            stop=threading.Event(),
        )


@pytest.mark.parametrize("source", ["stdin", "paced", "missing"])
def test_it_ends_promptly_when_told(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(listening, "_BACKOFF_FIRST_S", 60.0)
    stop = threading.Event()
    path = write_wav(tmp_path / "a.wav", np.tile(SECOND, 60), RATE_HZ)
    listener = {
        "stdin": lambda: listener_on(Script([None] * 1_000_000), stop=stop),
        "paced": lambda: listener_on(f"file:{path}", speed=0.01, stop=stop),
        "missing": lambda: listener_on(Script([NO_DEVICE]), stop=stop),
    }[source]()
    threading.Timer(0.3, stop.set).start()
    began_s = time.monotonic()

    heard = list(listener)

    assert 0.2 < time.monotonic() - began_s < 30
    assert not any(isinstance(item, Ended) for item in heard)


def test_a_stop_before_the_first_sample_gives_nothing() -> None:
    stop = threading.Event()
    stop.set()

    assert list(listener_on(Script([block(SECOND)]), stop=stop)) == []
