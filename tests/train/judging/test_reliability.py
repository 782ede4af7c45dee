"""A score of 0.9 means 0.9, or the error says by how much it does not."""

import math

import numpy as np
import pytest

from beepwatch.train.judging.reliability import fit_temperature, frames_in_pulses, reliability


def test_frames_in_pulses_are_true_and_those_just_after_are_open() -> None:
    truth = frames_in_pulses([(0.1, 0.2), (0.25, 0.3)], 10, 0.05)
    expected = [0, 0, 1, 1, math.nan, 1, math.nan, math.nan, 0, 0]
    assert truth.tolist() == pytest.approx(expected, nan_ok=True)


def test_scores_that_keep_their_promise_have_no_error() -> None:
    scores = np.repeat([0.05, 0.75], 400).astype(np.float32)
    truth = np.zeros(800, dtype=np.float32)
    truth[:20] = 1.0
    truth[400:700] = 1.0
    found = reliability(scores, truth)
    assert found.error == pytest.approx(0.0, abs=1e-6)
    assert [one.frames for one in found.bins] == [400, 400]


def test_the_error_is_the_mean_distance_of_score_and_share() -> None:
    """300 frames that say 0 and are silent, 100 that say 1 and are half right."""
    scores = np.repeat([0.0, 1.0], [300, 100]).astype(np.float32)
    truth = np.repeat([0.0, 1.0, 0.0], [300, 50, 50]).astype(np.float32)
    found = reliability(scores, truth)
    assert found.error == pytest.approx(0.125)
    assert found.error_where_unsure == pytest.approx(0.5)


def test_open_frames_do_not_count() -> None:
    found = reliability(
        np.array([0.95, 0.95], dtype=np.float32), np.array([1.0, math.nan], dtype=np.float32)
    )
    assert found.bins[0].frames == 1
    assert found.error == pytest.approx(0.05)


def test_without_a_frame_that_might_be_a_beep_nothing_is_said_of_them() -> None:
    found = reliability(np.zeros(5, dtype=np.float32), np.zeros(5, dtype=np.float32))
    assert found.error == 0.0
    assert math.isnan(found.error_where_unsure)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_by_which_scores_promise_too_much(temperature: float) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0.0, 2.0, 200_000)
    truth = (rng.random(200_000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    truth[:1_000] = math.nan
    scores = (1 / (1 + np.exp(-temperature * logits))).astype(np.float32)
    assert fit_temperature(scores, truth) == pytest.approx(temperature, rel=0.03)
