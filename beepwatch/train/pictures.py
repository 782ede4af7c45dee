"""Figures become files."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from beepwatch.whole_files import written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110


def write_png(figure: "Figure", file: Path) -> None:
    """The same figure gives the same bytes; the file is whole or as it was. Raises OSError.

    Words are shown as they are, whatever is in them; a letter that the font lacks is a box.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    FigureCanvasAgg(figure)
    for axes in figure.axes:  # whose ticks get their words when they are asked for
        axes.get_xticklabels()
        axes.get_yticklabels()
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with written_whole(file) as png, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
