"""What was lost between two blocks, told from their times."""

import numpy as np
import pytest

from beepwatch.capture.losses import Losses

RATE_HZ = 10_000
FRAMES = 500  # 50 ms


def losses_of(gaps: dict[int, float], flags: set[int], jitter_s: float = 0.0) -> list[int]:
    """Frames told lost before each of 100 blocks when time jumps by `gaps` before some."""
    late = np.random.default_rng(1).uniform(0, jitter_s, 100)
    losses = Losses(RATE_HZ)
    stamp_s = 1_000.0
    told = []
    for index in range(100):
        stamp_s += gaps.get(index, 0.0)
        told.append(
            losses.before(FRAMES, stamp_s, stamp_s + 0.05 + late[index], flagged=index in flags)
        )
        stamp_s += FRAMES / RATE_HZ
    return told


def test_an_announced_loss_is_as_long_as_the_stamps_say() -> None:
    told = losses_of({50: 0.3, 70: 0.01}, flags={50, 70})

    assert {index: lost for index, lost in enumerate(told) if lost} == {50: 3_000, 70: 100}


def test_a_loss_that_nobody_announced_is_believed_after_a_second() -> None:
    told = losses_of({50: 0.3}, flags=set())

    (noticed,) = [index for index, lost in enumerate(told) if lost]
    assert 70 <= noticed <= 71
    assert told[noticed] == 3_000


def test_late_arrivals_are_no_losses() -> None:
    assert sum(losses_of({}, flags=set(), jitter_s=0.2)) == 0


def test_a_stamp_that_the_sound_server_corrects_is_no_loss() -> None:
    """PulseAudio finds out after a second that its first guess of the latency was 0.2 s off."""
    losses = Losses(RATE_HZ)

    lost = [
        losses.before(FRAMES, i * 0.05 + 0.2 * (i > 20), i * 0.05 + 0.25, flagged=False)
        for i in range(100)
    ]

    assert sum(lost) == 0


def test_with_late_arrivals_the_time_line_stays_true() -> None:
    """Each overflow loses 0.1 s; late arrivals may misplace it, they do not add up."""
    flags = {10, 30, 50, 70, 90}

    told = losses_of(dict.fromkeys(flags, 0.1), flags, jitter_s=0.01)

    assert sum(told) == pytest.approx(5_000, abs=120)


def test_drift_of_the_sound_cards_clock_is_no_loss() -> None:
    """Half an hour at 200 ppm: 0.4 s in all."""
    losses = Losses(RATE_HZ)
    block_s = FRAMES / RATE_HZ * (1 + 2e-4)

    assert (
        sum(losses.before(FRAMES, i * block_s, i * block_s, flagged=False) for i in range(144_000))
        == 0
    )
