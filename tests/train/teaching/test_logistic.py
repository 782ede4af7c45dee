"""Logistic regression against what is known of it."""

import numpy as np
import pytest

from beepwatch.train.teaching.logistic import fit


def test_it_finds_the_odds_of_a_feature_that_is_there_or_not() -> None:
    """Of 100 rows with it 80 are true, of 100 without 20: the weight is ln 16, the bias -ln 4."""
    seen = np.repeat([[1.0], [0.0]], 100, axis=0).astype(np.float32)
    truth = np.array([True] * 80 + [False] * 20 + [True] * 20 + [False] * 80)
    weights, bias = fit(seen, truth, np.ones(200), penalty=1e-9)
    assert weights == pytest.approx([np.log(16)], rel=1e-3)
    assert bias == pytest.approx(-np.log(4), rel=1e-3)


def test_a_row_that_counts_twice_is_two_rows() -> None:
    rng = np.random.default_rng(2)
    seen = rng.normal(size=(50, 3)).astype(np.float32)
    truth = seen[:, 0] + rng.normal(size=50) > 0
    twice, _ = fit(
        np.concatenate([seen, seen[:10]]),
        np.concatenate([truth, truth[:10]]),
        np.ones(60),
        penalty=0.01,
    )
    weight = np.ones(50)
    weight[:10] = 2
    weighted, _ = fit(seen, truth, weight, penalty=0.01)
    assert weighted == pytest.approx(twice, rel=1e-4)


def test_a_feature_that_never_changes_tells_nothing() -> None:
    seen = np.zeros((20, 2), dtype=np.float32)
    seen[:10, 0] = 1
    weights, _ = fit(seen, np.arange(20) < 10, np.ones(20), penalty=0.01)
    assert weights[1] == 0
    assert weights[0] > 1


def test_separable_rows_have_finite_weights() -> None:
    seen = np.linspace(-1, 1, 100, dtype=np.float32)[:, None] ** 3
    weights, bias = fit(seen, seen[:, 0] > 0, np.ones(100), penalty=1e-4)
    assert np.isfinite(weights).all()
    assert ((seen @ weights + bias > 0) == (seen[:, 0] > 0)).all()
