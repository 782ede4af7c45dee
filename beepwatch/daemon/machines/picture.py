"""The picture that goes with an unusual machine: its sound of late, and how it differs from normal.

    pitch | spectrogram, time to the right | less than normal (blue) | more (red)

Drawn with numpy alone, as an indexed PNG. On both sides pitch goes upward, in octaves.
"""

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.spectra import ABOVE_NARROW, BANDS, NARROW_BANDS, Floats, centres_hz
from beepwatch.messages import Clip
from beepwatch.web.pictures import levels, palette, png

Pixels = NDArray[np.uint8]

_LOWEST_HZ, _HIGHEST_HZ = 40.0, 7_900.0
_HEIGHT, _SOUND_WIDTH, _CHANGE_WIDTH = 240, 420, 161
_LEFT, _GAP, _RIGHT, _TOP, _BOTTOM = 48, 14, 18, 20, 20
_MARKED_HZ = (50, 100, 200, 500, 1_000, 2_000, 4_000)
_LEAST_RANGE_DB, _MOST_RANGE_DB = 20, 40

# The last places of the palette; the others are the spectrogram's.
_COLOURS = ((17, 20, 34), (62, 68, 92), (236, 90, 80), (92, 150, 240), (226, 228, 236))
_GROUND, _GRID, _MORE, _LESS, _INK = range(256 - len(_COLOURS), 256)

_DOT = 2  # pixels
_GLYPHS = {  # five rows of three dots, from above
    **{"0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717"},
    **{"6": "74757", "7": "71222", "8": "75757", "9": "75717", "k": "45655", "H": "55755"},
    **{"z": "07127", "d": "11757", "B": "65656", "s": "03416", "+": "02720", "-": "00700"},
    " ": "00000",
}
_GLYPH_WIDTH, _GLYPH_HEIGHT = 4 * _DOT, 5 * _DOT


def picture_of(clip: Clip, change_db: Floats) -> bytes:
    """A PNG of a clip at 16 kHz, and of how much more each band has than normal, [BANDS]."""
    width = _LEFT + _SOUND_WIDTH + _GAP + _CHANGE_WIDTH + _RIGHT
    pixels = np.full((_TOP + _HEIGHT + _BOTTOM, width), _GROUND, dtype=np.uint8)
    sound = levels(
        np.frombuffer(clip.pcm, dtype="<i2"),
        width=_SOUND_WIDTH,
        height=_HEIGHT,
        lowest_hz=_LOWEST_HZ,
    )
    rows = slice(_TOP, _TOP + _HEIGHT)
    pixels[rows, _LEFT : _LEFT + _SOUND_WIDTH] = np.minimum(sound, _GROUND - 1)
    right = _LEFT + _SOUND_WIDTH + _GAP
    range_db = _range_db(change_db)
    pixels[rows, right : right + _CHANGE_WIDTH] = _bars(rows_of(change_db), range_db)
    _mark_pitches(pixels)
    below = _TOP + _HEIGHT + (_BOTTOM - _GLYPH_HEIGHT) // 2
    _write(pixels, f"-{clip.duration_s:.0f} s", _LEFT, below)
    _write(pixels, "0 s", _LEFT + _SOUND_WIDTH - 3 * _GLYPH_WIDTH, below)
    _write(pixels, f"-{range_db}", right, below)
    _write(pixels, f"+{range_db} dB", right + _CHANGE_WIDTH - 4 * _GLYPH_WIDTH, below)
    own = bytes(channel for colour in _COLOURS for channel in colour)
    return png(pixels, palette()[: -len(own)] + own)


def rows_of(change_db: Floats) -> Floats:
    """What of [BANDS] each row of the picture shows, the highest pitch first, [rows].

    Of the bands in a row the one that differs most; a row with none shows the nearest.
    """
    used = np.r_[:NARROW_BANDS, ABOVE_NARROW:BANDS]  # each pitch once
    hz, db = centres_hz()[used], change_db[used]
    edges_hz = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _HEIGHT + 1)
    first = np.searchsorted(hz, edges_hz)
    shown = np.empty(_HEIGHT, dtype=np.float32)
    for row in range(_HEIGHT):
        within = db[first[row] : first[row + 1]]
        if not within.size:
            middle_hz = np.sqrt(edges_hz[row] * edges_hz[row + 1])
            nearest = int(np.abs(hz - middle_hz).argmin())
            within = db[nearest : nearest + 1]
        shown[row] = within[np.abs(within).argmax()]
    beside = np.stack([np.roll(shown, by) for by in (0, 1, -1)])  # a line of one row is too thin
    return np.asarray(np.take_along_axis(beside, np.abs(beside).argmax(axis=0)[None], 0)[0][::-1])


def _range_db(change_db: Floats) -> int:
    most_db = float(np.abs(change_db).max())
    return int(min(max(10 * np.ceil(most_db / 10), _LEAST_RANGE_DB), _MOST_RANGE_DB))


def _bars(rows_db: Floats, range_db: int) -> Pixels:
    """From the middle to the right for more, to the left for less, [rows, _CHANGE_WIDTH]."""
    at_db = np.linspace(-range_db, range_db, _CHANGE_WIDTH)
    bars = np.full((len(rows_db), _CHANGE_WIDTH), _GROUND, dtype=np.uint8)
    marked = np.linspace(0, _CHANGE_WIDTH - 1, 2 * range_db // 10 + 1)  # every 10 dB
    bars[:, np.round(marked).astype(int)] = _GRID
    bars[(at_db > 0) & (at_db <= rows_db[:, None])] = _MORE
    bars[(at_db < 0) & (at_db >= rows_db[:, None])] = _LESS
    bars[:, _CHANGE_WIDTH // 2] = _INK
    return bars


def _mark_pitches(pixels: Pixels) -> None:
    octaves = np.log(_HIGHEST_HZ / _LOWEST_HZ)
    for hz in _MARKED_HZ:
        row = _TOP + round(_HEIGHT * (1 - np.log(hz / _LOWEST_HZ) / octaves))
        text = f"{hz // 1_000}k" if hz >= 1_000 else f"{hz}"
        pixels[row, _LEFT - 4 : _LEFT] = _INK
        column = _LEFT - 6 - _GLYPH_WIDTH * len(text)
        _write(pixels, text, column, row - _GLYPH_HEIGHT // 2)
    _write(pixels, "Hz", _LEFT - 6 - 2 * _GLYPH_WIDTH, (_TOP - _GLYPH_HEIGHT) // 2)


def _write(pixels: Pixels, text: str, column: int, row: int) -> None:
    """Text whose upper left corner is there."""
    for glyph in text:
        dots = np.array(
            [[int(line) >> bit & 1 for bit in (2, 1, 0)] for line in _GLYPHS[glyph]], dtype=bool
        )
        dots = dots.repeat(_DOT, axis=0).repeat(_DOT, axis=1)
        pixels[row : row + dots.shape[0], column : column + dots.shape[1]][dots] = _INK
        column += _GLYPH_WIDTH
