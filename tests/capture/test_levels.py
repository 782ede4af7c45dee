"""A level on a screen."""

import math

import pytest

from beepwatch.capture.levels import meter


@pytest.mark.parametrize(
    ("level", "filled", "text"),
    [(-math.inf, 0, "  -inf"), (-70.0, 0, " -70.0"), (-35.0, 15, " -35.0"), (0.0, 30, "   0.0")],
)
def test_a_meter_is_a_bar_of_thirty_and_a_number(level: float, filled: int, text: str) -> None:
    assert meter(level) == "█" * filled + "░" * (30 - filled) + f" {text} dBFS"
