"""Figures become files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110


def write_png(figure: "Figure", file: Path) -> None:
    """The same figure gives the same bytes; the file is whole or as it was. Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    draft = file.with_name(f".{file.name}.part")
    try:
        figure.savefig(draft, format="png", dpi=DPI, metadata={"Software": None})
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
