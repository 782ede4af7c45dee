"""The picture of an unusual machine shows the sound, and what of it is more or less than normal."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from beepwatch.classify.spectra import ABOVE_NARROW, BANDS, NARROW_BANDS, RATE_HZ, centres_hz
from beepwatch.daemon.machines.picture import picture_of, rows_of
from beepwatch.messages import Clip
from tests.daemon.fans import whining
from tests.daemon.loud import START

ROWS = 240
RED, BLUE = (236, 90, 80), (92, 150, 240)


def changed(*changes: tuple[float, float]) -> np.ndarray:
    """So many dB more at each of these pitches, and nowhere else."""
    db = np.zeros(BANDS, np.float32)
    for pitch_hz, more_db in changes:
        hz = centres_hz()
        hz[NARROW_BANDS:ABOVE_NARROW] = 0  # what the narrow bands answer for
        db[int(np.abs(hz - pitch_hz).argmin())] = more_db
    return db


def row_of(pitch_hz: float) -> float:
    return ROWS * float(np.log(7_900 / pitch_hz) / np.log(7_900 / 40))


@pytest.mark.parametrize("pitch_hz", [60.0, 97.0, 440.0, 1_990.0, 2_300.0, 7_000.0])
def test_each_change_is_in_the_row_of_its_pitch(pitch_hz: float) -> None:
    """Low bands are wider than a row and fill several."""
    db = changed((pitch_hz, -12.0))
    nearest_hz = float(centres_hz()[db.argmin()])
    rows = np.flatnonzero(rows_of(db))
    assert rows_of(db).min() == -12
    assert rows[0] - 3 <= row_of(nearest_hz) <= rows[-1] + 3
    assert len(rows) <= 3 + ROWS * np.log((nearest_hz + 16) / (nearest_hz - 16)) / np.log(200)


def test_the_picture_has_the_whine_on_the_left_and_red_and_blue_on_the_right() -> None:
    clip = Clip(pcm=whining(30).tobytes(), rate_hz=RATE_HZ, started_at=START)
    png = picture_of(clip, changed((3_100, 30.0), (440, -15.0)))
    image = np.round(imread(io.BytesIO(png), format="png")[:, :, :3] * 255).astype(int)
    assert image.shape[:2] == (280, 661)
    red = np.argwhere((image == RED).all(axis=2))
    blue = np.argwhere((image == BLUE).all(axis=2))
    assert red[:, 0].mean() - 20 == pytest.approx(row_of(3_100), abs=2)
    assert blue[:, 0].mean() - 20 == pytest.approx(row_of(440), abs=3)
    middle = 48 + 420 + 14 + 80
    assert red[:, 1].min() > middle > blue[:, 1].max()
    assert (red[:, 1].max() - middle) / (middle - blue[:, 1].min()) == pytest.approx(2, rel=0.1)
    grid = np.flatnonzero((image[30, -179:-18] == (62, 68, 92)).all(axis=1))
    assert grid.tolist() == pytest.approx([0, 26.7, 53.3, 106.7, 133.3, 160], abs=1)
    above_the_hum = image[20 : 20 + 130, 48 + 210].sum(axis=1)
    assert int(above_the_hum.argmax()) == pytest.approx(row_of(3_100), abs=2)


@pytest.mark.parametrize("samples", [0, 100, RATE_HZ])
def test_a_clip_that_is_hardly_one_has_a_picture_too(samples: int) -> None:
    clip = Clip(pcm=bytes(2 * samples), rate_hz=RATE_HZ, started_at=START)
    assert picture_of(clip, changed((50, 90.0))).startswith(b"\x89PNG")
