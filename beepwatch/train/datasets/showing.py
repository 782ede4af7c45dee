"""A check as tables on a terminal and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from beepwatch.train.datasets.checking import Checked, Counts, Finding, reasons
from beepwatch.train.pictures import write_png
from beepwatch.wording import counted, printable

Cells = Mapping[str, tuple[int, float]]

_MOST_LINES = 20  # of one property; the others are one line together
_MOST_FINDINGS = 50
_MOST_BARS = 12
_LONGEST_NAME = 40  # characters


def _properties(counts: Counts) -> list[tuple[str, Cells]]:
    return [
        ("rate in Hz", counts.rates_hz),
        ("channels", counts.channels),
        ("bits", counts.bits),
        ("duration", counts.durations),
        ("format", counts.formats),
        ("label", counts.labels),
        ("split", counts.splits),
    ]


def show(console: Console, checked: Checked) -> None:
    """Counts and shares of each property, then what is wrong."""
    counts = checked.counts
    table = Table(title=_size(counts), box=None)
    table.add_column("")
    table.add_column("")
    for heading in ("files", "share", "hours"):
        table.add_column(heading, justify="right")
    for name, cells in _properties(counts):
        _add(table, name, cells)
    console.print(table)
    if checked.findings:
        _show_findings(console, checked.findings)


def _size(counts: Counts) -> str:
    return f"{counted(counts.files, 'file')}, {counts.seconds / 3_600:.2f} h"


def _add(table: Table, name: str, cells: Cells) -> None:
    total = sum(count for count, _ in cells.values())
    rows = list(cells.items())
    if len(rows) > _MOST_LINES:
        others = rows[_MOST_LINES - 1 :]
        together = (sum(cell[0] for _, cell in others), sum(cell[1] for _, cell in others))
        rows = [*rows[: _MOST_LINES - 1], (f"{len(others)} others", together)]
    for place, (value, (count, seconds)) in enumerate(rows):
        table.add_row(
            name if place == 0 else "",
            escape(printable(value)),
            f"{count:,}",
            f"{100 * count / total:.1f} %",
            f"{seconds / 3_600:.2f}",
            end_section=place == len(rows) - 1,
        )


def _show_findings(console: Console, findings: Sequence[Finding]) -> None:
    console.print()
    for one in findings[:_MOST_FINDINGS]:
        line = printable(f"{one.reason:<15} {one.path}: {one.detail}")
        console.print(line, markup=False, soft_wrap=True)
    if len(findings) > _MOST_FINDINGS:
        console.print(f"… and {len(findings) - _MOST_FINDINGS:,} more, all of them in the list.")
    found = ", ".join(f"{count:,} {reason}" for reason, count in reasons(findings).items())
    console.print(found, soft_wrap=True)


def draw(file: Path, checked: Checked) -> None:
    """The same as bars, a PNG. Raises ImportError without matplotlib, OSError."""
    from matplotlib.figure import Figure

    found = {reason: (count, 0.0) for reason, count in reasons(checked.findings).items()}
    panels = [*_properties(checked.counts), ("found", found)]
    figure = Figure(figsize=(12, 13), layout="constrained")
    counts = checked.counts
    figure.suptitle(_size(counts))
    for axes, (name, cells) in zip(figure.subplots(4, 2).flat, panels, strict=True):
        rows = list(cells.items())[:_MOST_BARS]
        total = max(1, sum(count for count, _ in cells.values()))
        bars = axes.barh(range(len(rows)), [count for _, (count, _) in rows])
        axes.set_yticks(range(len(rows)), [value[:_LONGEST_NAME] for value, _ in rows])
        if rows:
            axes.bar_label(
                bars,
                labels=[f" {count:,} ({100 * count / total:.0f} %)" for _, (count, _) in rows],
                fontsize=8,
            )
        axes.margins(x=0.25)
        axes.invert_yaxis()
        axes.tick_params(labelsize=8)
        axes.set_title(name, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    write_png(figure, file)
