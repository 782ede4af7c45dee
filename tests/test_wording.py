"""Numbers of things read as people say them."""

import pytest

from beepwatch.wording import counted


@pytest.mark.parametrize(
    ("count", "said"), [(0, "no pulses"), (1, "1 pulse"), (2, "2 pulses"), (1_000, "1000 pulses")]
)
def test_one_is_singular_and_none_is_no(count: int, said: str) -> None:
    assert counted(count, "pulse") == said
