"""What a recorder has heard and not told is there after its death, in order and to the sample."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from beepwatch.capture.blocks import Block
from beepwatch.capture.inputs import InputDevice
from beepwatch.capture.keepsake import Heard, Keepsake, open_memory
from beepwatch.capture.losses import Losses
from beepwatch.capture.microphone import MicrophoneStream
from beepwatch.clock import SystemClock

RATE_HZ = 10_000
FRAMES = 1_000  # 0.1 s
DEVICE = InputDevice(index=0, name="mic", channels=1, rate_hz=RATE_HZ, is_default=True)


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = open_memory()
    yield descriptor
    os.close(descriptor)


def heard(number: int, *, at_s: float = 0.0, frames: int = FRAMES) -> Heard:
    """The `number`-th tenth of a second of a ramp that begins at `at_s`; it arrives 10 ms late."""
    samples = np.arange(number * FRAMES, number * FRAMES + frames) % 30_000
    age_s = frames / RATE_HZ + 0.01
    return Heard(
        data=samples.astype("<i2").tobytes(),
        rate_hz=RATE_HZ,
        channels=1,
        sample_format="int16",
        frames=frames,
        arrived_s=at_s + number * 0.1 + age_s,
        age_s=age_s,
    )


def samples_of(blocks: list[Block]) -> list[int]:
    return [int(one) for block in blocks for one in np.frombuffer(block.data, dtype="<i2")]


def test_what_was_told_is_left_out_to_the_sample(memory: int) -> None:
    kept = Keepsake(memory)
    for number in range(5):
        kept.keep(heard(number))
    kept.told(0.25)

    untold = Keepsake(memory).untold()

    assert samples_of(untold) == list(range(2_500, 5_000))
    assert [block.lost_frames for block in untold] == [0, 0, 0]
    assert untold[-1].captured_mono_s == pytest.approx(0.5)


def test_it_holds_the_newest_buffers_in_order(memory: int) -> None:
    """27, which are 4 s as the microphone is opened."""
    kept = Keepsake(memory)
    for number in range(100):
        kept.keep(heard(number))

    untold = Keepsake(memory).untold()

    assert samples_of(untold) == [one % 30_000 for one in range(73_000, 100_000)]


def test_a_next_life_writes_on_behind_what_is_there(memory: int) -> None:
    Keepsake(memory).keep(heard(0))
    Keepsake(memory).keep(heard(1))
    assert samples_of(Keepsake(memory).untold()) == list(range(2_000))


FOR_EVER = """
import os, sys
from itertools import count
from beepwatch.capture.keepsake import Heard, Keepsake
kept = Keepsake(int(sys.argv[1]))
for number in count():
    data = number.to_bytes(2, "little") * 10_000 if number < 65_536 else b""
    kept.keep(Heard(data=data, rate_hz=10_000, channels=1, sample_format="int16",
                    frames=10_000, arrived_s=number + 1.0, age_s=1.0))
    if number == 50:
        os.write(1, b".")
"""


def test_a_writer_that_was_killed_while_it_wrote_leaves_what_is_whole(memory: int) -> None:
    """A real process that writes as fast as it can; every sample of a buffer is its number."""
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", FOR_EVER, str(memory)],
            pass_fds=[memory],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},  # noqa: TID251 - the program's
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.read(1) == b"."
            writer.kill()
        buffers = [np.frombuffer(one.data, dtype="<u2") for one in Keepsake(memory).untold()]
        numbers = [int(one[0]) for one in buffers]
        assert all((one == one[0]).all() for one in buffers)
        assert 26 <= len(numbers) <= 27
        assert numbers == sorted(numbers)


def test_between_two_lives_is_what_nobody_heard(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.3 s; within a life a buffer that comes late is no loss."""
    Keepsake(memory).keep(heard(0))
    Keepsake(memory).keep(heard(1, at_s=0.05))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    Keepsake(memory).keep(heard(2, at_s=0.35))
    assert [block.lost_frames for block in Keepsake(memory).untold()] == [0, 0, 3_000]


def test_a_buffer_that_does_not_fit_is_missing(memory: int) -> None:
    kept = Keepsake(memory)
    for number, frames in enumerate([FRAMES, 100_000, FRAMES, 0]):
        kept.keep(heard(number, frames=frames))
    assert samples_of(Keepsake(memory).untold()) == [*range(1_000), *range(2_000, 3_000)]


class Willing:
    """A PortAudio that opens whatever it is asked for."""

    def open(self, **_: object) -> "Willing":
        return self


@pytest.fixture
def inheriting(memory: int) -> Callable[[list[Block]], MicrophoneStream]:
    """A stream with what it was left, that has just heard its first 0.1 s."""

    def open_with(blocks: list[Block]) -> MicrophoneStream:
        stream = MicrophoneStream(DEVICE, SystemClock(), Keepsake(memory))
        stream.start(Willing(), blocks)
        stream._losses = Losses(RATE_HZ)
        stream._heard(
            bytes(2 * FRAMES),
            FRAMES,
            {"input_buffer_adc_time": 5.0, "current_time": 5.0 + FRAMES / RATE_HZ},
            0,
        )
        return stream

    return open_with


def left(ago_s: float, rate_hz: int = RATE_HZ) -> Block:
    """0.1 s of sound that ended so long ago."""
    return Block(
        data=bytes(2 * rate_hz // 10),
        sample_format="int16",
        channels=1,
        rate_hz=rate_hz,
        captured_mono_s=SystemClock().mono_s() - ago_s,
    )


def test_a_stream_begins_with_what_it_was_left_and_tells_the_gap(
    inheriting: Callable[[list[Block]], MicrophoneStream], memory: int
) -> None:
    """1.0 s ago until 0.1 s ago, when the first sample was heard: 0.9 s are missing."""
    before = [left(1.1), left(1.0)]
    stream = inheriting(before)

    assert [stream.read(0.1), stream.read(0.1)] == before
    block = stream.read(0.1)
    assert block is not None
    assert block.frames == FRAMES
    assert block.lost_frames == pytest.approx(0.9 * RATE_HZ, abs=0.3 * RATE_HZ)
    assert len(Keepsake(memory).untold()) == 1


@pytest.mark.parametrize("before", [left(1.0, rate_hz=8_000), left(60.0)])
def test_what_is_of_another_form_or_too_old_is_not_taken(
    inheriting: Callable[[list[Block]], MicrophoneStream], before: Block
) -> None:
    block = inheriting([before]).read(0.1)
    assert block is not None
    assert (block.frames, block.lost_frames) == (FRAMES, 0)
