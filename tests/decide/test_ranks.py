"""Medians and quantiles: what numpy says, to the last bit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from beepwatch.decide.ranks import Values, median, quantile

ROWS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 60)),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False),
)


def test_the_middle_of_three_and_the_mean_of_the_middle_two_of_four() -> None:
    assert median(np.array([5.0, 1.0, 2.0])) == 2.0
    assert median(np.array([5.0, 1.0, 2.0, 4.0])) == 3.0


def test_a_quantile_lies_between_two_values_as_far_as_its_share() -> None:
    assert quantile(np.array([30.0, 10.0, 20.0]), 0.25) == 15.0
    assert quantile(np.array([30.0, 10.0, 20.0]), 0.5) == 20.0
    assert quantile(np.array([7.0]), 0.6) == 7.0


@given(rows=ROWS)
def test_medians_are_numpys(rows: Values) -> None:
    assert np.array_equal(median(rows), np.median(rows, axis=-1))
    assert median(rows[0]) == np.median(rows[0])


@given(rows=ROWS, share=st.sampled_from([0.0, 0.25, 0.6, 0.85, 1.0]))
def test_quantiles_are_numpys(rows: Values, share: float) -> None:
    assert np.array_equal(quantile(rows, share), np.quantile(rows, share, axis=-1))
    assert quantile(rows[0], share) == np.quantile(rows[0], share)


def test_what_was_asked_of_is_left_as_it_was() -> None:
    values = np.array([3.0, 1.0, 2.0])
    median(values)
    quantile(values, 0.6)
    assert values.tolist() == [3.0, 1.0, 2.0]
