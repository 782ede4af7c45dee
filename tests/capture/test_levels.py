"""A level on a screen."""

import math

import pytest

from beepwatch.capture.levels import meter


@pytest.mark.parametrize(
    ("level", "filled", "text"),
    [
        (-math.inf, 0, "  -inf"),
        (-70.0, 0, " -70.0"),
        (-35.0, 10, " -35.0"),
        (0.0, 20, "   0.0"),
        (3.0, 20, "   3.0"),  # of float samples
    ],
)
def test_a_meter_is_a_bar_of_twenty_and_a_number(level: float, filled: int, text: str) -> None:
    assert meter(level) == "█" * filled + "░" * (20 - filled) + f" {text} dBFS"
