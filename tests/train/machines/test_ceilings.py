"""Every way of running has its own ceiling, and what wanders has wider limits."""

import numpy as np
import pytest

from beepwatch.classify.condition import unpacked
from beepwatch.classify.portraits import FEATURES, STEADY
from beepwatch.classify.spectra import LINES, Floats, centres_hz
from beepwatch.train.machines.ceilings import (
    LEAST_LINE_DB,
    LEAST_RATE_DB,
    LEAST_UNEVEN_DB,
    PACE_TOLERANCE,
    learn_ceilings,
)

DB = 10 / np.log(10)


def flat(windows: int, line: int | None = None, height_db: float = 20.0) -> Floats:
    """Portraits of nothing but a line, if any."""
    portraits = np.zeros((windows, FEATURES), np.float32)
    if line is not None:
        portraits[:, LINES[line]] = height_db / DB
    return portraits


def halves(windows: int) -> np.ndarray:
    return np.arange(windows) // 20 % 2


def test_each_state_knows_its_own_line_alone() -> None:
    portraits = np.concatenate([flat(80, 300), flat(80, 400)])
    states = np.repeat([0, 1], 80)
    (one, other), limits = learn_ceilings(portraits, states, halves(160))
    for ceiling, own, not_own in ((one, 300, 400), (other, 400, 300)):
        lines = unpacked(ceiling.lines) * DB
        assert lines[own] == pytest.approx(20)
        assert lines[not_own] == 0
    assert limits.line_db == LEAST_LINE_DB
    assert limits.rate_db == LEAST_RATE_DB
    assert limits.uneven_db == LEAST_UNEVEN_DB


@pytest.mark.parametrize("line", [100, 300])
def test_a_line_may_wander_by_three_hundredths(line: int) -> None:
    """Below 2 kHz and above, whose bands are not equally wide."""
    (ceiling,), _ = learn_ceilings(flat(80, line), np.zeros(80, np.intp), halves(80))
    hz = centres_hz()[STEADY][LINES]
    known = hz[unpacked(ceiling.lines) > 1]
    step_hz = hz[line + 1] - hz[line]
    for end_hz, wander in ((known.min(), -1), (known.max(), 1)):
        expected_hz = hz[line] * (1 + wander * PACE_TOLERANCE)
        assert float(end_hz) == pytest.approx(expected_hz, abs=1.5 * float(step_hz))


def test_what_half_of_the_sound_has_alone_widens_its_limit() -> None:
    """A line of 20 dB in every other half, and so 25 dB beyond what the other one knew."""
    portraits = flat(80)
    own = halves(80)
    portraits[own == 1] = flat(40, 300)
    _, limits = learn_ceilings(portraits, np.zeros(80, np.intp), own)
    assert limits.line_db == pytest.approx(25)
    assert limits.rate_db == LEAST_RATE_DB


def test_a_state_shorter_than_a_run_has_a_ceiling_too() -> None:
    portraits = flat(25, 300)
    states = np.array([0] * 20 + [1] * 5)
    ceilings, _ = learn_ceilings(portraits, states, halves(25))
    assert [unpacked(one.lines)[300] > 4 for one in ceilings] == [True, True]
