"""Notes begin softly, bend, ring on or sound as chords."""

import numpy as np
import pytest

from beepwatch.train import instruments
from beepwatch.train.tones import struck_partial
from tests.train.spectra import RATE_HZ, SAMPLES, Wave, band_share, level


@pytest.mark.parametrize("kind", sorted(instruments.STRUCK))
def test_struck_things_die_away_from_the_start(kind: str) -> None:
    """What rings in the last twentieth of a long rest is at least 6 dB below the loudest."""
    bar = instruments.STRUCK[kind]
    sound = instruments.struck(np.random.default_rng(0), 8 * RATE_HZ, RATE_HZ, bar)
    strongest = np.abs(sound).max()
    assert strongest > 0
    ring = struck_partial(RATE_HZ, RATE_HZ, bar.low_hz, bar.decay_s[0])
    quarter = round(bar.decay_s[0] * RATE_HZ)
    if quarter + 100 < len(ring):
        after = np.abs(ring[quarter : quarter + 100]).max()
        assert after < 0.5 * np.abs(ring[:100]).max()
