"""Logistic regression, regularised, by Newton's method; numpy only, the same bits every time.

Murphy, Machine Learning: A Probabilistic Perspective (2012), section 8.3.4 and 8.3.6.
"""

import numpy as np
from numpy.typing import NDArray

STEPS = 25
ENOUGH = 1e-6  # largest change of a weight after which nothing more happens


def fit(
    seen: NDArray[np.float32],
    truth: NDArray[np.bool_],
    weight: NDArray[np.float64],
    *,
    penalty: float,
) -> tuple[NDArray[np.float64], float]:
    """Weights [features] and bias that tell the true rows of `seen` [rows, features].

    `weight` says what each row counts; their sum is made 1, so that `penalty`, of half the squared
    weights of standardised features, means the same for few rows and for many.
    """
    share = weight / weight.sum()
    wide = seen.astype(np.float64)
    mean = share @ wide
    spread = np.sqrt(np.maximum(share @ (wide - mean) ** 2, 1e-12))
    spread[spread < 1e-4] = 1.0  # constant: it tells nothing, and must not be divided by nothing
    rows = np.concatenate([(wide - mean) / spread, np.ones((len(wide), 1))], axis=1)
    ridge = np.full(rows.shape[1], penalty)
    ridge[-1] = 1e-9
    found = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        answer = 0.5 * (1 + np.tanh(0.5 * (rows @ found)))
        slope = rows.T @ (share * (answer - truth)) + ridge * found
        curvature = (rows * (share * answer * (1 - answer))[:, None]).T @ rows + np.diag(ridge)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(found)), slope)
        size = float(np.abs(step).max())
        found -= step * min(1.0, 4.0 / max(size, 1e-12))  # far from the end Newton overshoots
        if size < ENOUGH:
            break
    weights = found[:-1] / spread
    return weights, float(found[-1] - weights @ mean)
