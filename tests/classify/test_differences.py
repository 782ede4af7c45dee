"""What is most unlike normal is found among the strange windows, and said in plain words."""

import numpy as np
import pytest

from beepwatch.classify.condition import Difference, Listener
from beepwatch.classify.differences import change_of, difference_text
from beepwatch.classify.novelties import Seen
from beepwatch.classify.spectra import centres_hz, steady_and_typical
from tests.daemon.fans import normal_fan, well, whining


def test_the_change_is_that_of_the_stranger_half() -> None:
    """However the other half sounds, the whine is where it is."""
    listener = Listener(normal_fan())
    seen = []
    for sound in (whining(3), well(3), whining(3, 5), well(3, 6)):
        heard, typical = steady_and_typical(sound)
        judged = listener.judge(heard)
        assert judged is not None
        seen.append(
            Seen(
                strangeness=judged.strangeness,
                state=judged.state,
                spectrum=heard,
                typical=typical,
            )
        )
    change = change_of(listener, seen)
    np.testing.assert_array_equal(change.spectra, [seen[0].typical, seen[2].typical])
    assert change.most.pitch_hz == pytest.approx(3_100, abs=20)
    assert change.most.kind == "tone"
    assert centres_hz()[change.db.argmax()] == pytest.approx(3_100, abs=20)
    assert change.db.max() == pytest.approx(change.most.more_db)
    assert np.abs(np.median(change.db)) < 1


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            Difference(pitch_hz=3_142.0, more_db=14.4, kind="tone"),
            "3.1 kHz whine that was not there, 14 dB more",
        ),
        (
            Difference(pitch_hz=97.0, more_db=-8.6, kind="tone"),
            "97 Hz hum is missing, 9 dB less",
        ),
        (
            Difference(pitch_hz=612.0, more_db=6.0, kind="noise"),
            "612 Hz noise that was not there, 6 dB more",
        ),
    ],
)
def test_a_difference_in_words(found: Difference, text: str) -> None:
    assert difference_text(found) == text
