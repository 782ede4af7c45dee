"""What a sound that was learned once more is worse in, in words."""

import pytest

from beepwatch.train.teaching.relearning import CHECKED, Trial

BEFORE = Trial(caught=40, alarms_per_month=0.4, wrong=0)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (Trial(caught=41, alarms_per_month=1.0, wrong=0), ""),
        (
            Trial(caught=39, alarms_per_month=0.0, wrong=0),
            f"it would hear 39 of {CHECKED} trials where it hears 40",
        ),
        (
            Trial(caught=40, alarms_per_month=1.2, wrong=0),
            "about 1 false alarm a month would be expected where it is 0",
        ),
        (
            Trial(caught=40, alarms_per_month=3.4, wrong=0),
            "about 3 false alarms a month would be expected where it is 0",
        ),
        (
            Trial(caught=40, alarms_per_month=0.0, wrong=1),
            "it would take 1 clip called wrong, not 0",
        ),
    ],
)
def test_it_is_said_in_which_way_it_is_worse(after: Trial, said: str) -> None:
    assert after.is_worse_than(BEFORE) == said
