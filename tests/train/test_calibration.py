"""What dev decides of engines whose answers are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify.bundle import find_bundle
from beepwatch.classify.engines import Engine, open_engine
from beepwatch.train import calibration, evaluation
from beepwatch.train.calibration import calibrate, find_temperature
from beepwatch.train.recipe import ThresholdRecipe
from tests.train.engines import SteadyEngine


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Engine]], None]:
    """Every bundle is opened like this from now on."""

    def like_this(way: Callable[..., Engine]) -> None:
        for module in (calibration, evaluation):
            monkeypatch.setattr(module, "open_engine", way)

    return like_this


def test_the_temperature_makes_the_mean_score_the_share_of_true_frames(
    data: Path, opens: Callable[[Callable[..., Engine]], None]
) -> None:
    """20 streams of 9 s, 0.9 s of each a pulse and 0.3 s open, and 6 s of household."""
    opens(lambda _bundle: SteadyEngine(0.02))
    said: list[str] = []
    temperature = find_temperature(find_bundle("beep"), data, report=said.append)
    share = 20 * 0.9 / (20 * 8.7 + 6)
    expected = np.log(0.98 / 0.02) / np.log((1 - share) / share)
    assert temperature == pytest.approx(expected, rel=0.01)
    assert said[-1] == f"temperature {temperature:.3f}"


def test_thresholds_are_the_lowest_without_more_false_alarms_than_allowed(
    data: Path, opens: Callable[[Callable[..., Engine]], None]
) -> None:
    """An engine that answers 0.6 to everything needs a threshold above it."""
    bundle = find_bundle("beep")
    plan = ThresholdRecipe(false_alarms_per_hour=0.0, lowest=0.3, highest=0.9)
    opens(lambda _bundle: SteadyEngine(0.6))
    thresholds, found = calibrate(bundle, data, plan)
    assert thresholds == {"beep": pytest.approx(0.61, abs=0.011)}
    assert found.quality()["dev_patterns_20_db"] == 0.0
    opens(lambda _bundle: SteadyEngine(0.95))
    assert calibrate(bundle, data, plan)[0] == {"beep": 0.9}
    opens(open_engine)
    assert calibrate(bundle, data, plan)[0] == {"beep": 0.3}
