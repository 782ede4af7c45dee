"""What an evaluation found: the numbers for a bundle, and tables as text, Markdown or HTML."""

import html
import math
from collections.abc import Iterable, Sequence

import msgspec

from beepwatch.train.judging.detection import Point, Result, Share, poisson_interval, pooled
from beepwatch.train.judging.reliability import Reliability
from beepwatch.train.judging.rivals import RULE

Row = tuple[str, ...]


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle beside other detectors, on one split."""

    split: str
    model_id: str
    threshold: float
    results: tuple[Result, ...]  # beepwatch first
    skipped: tuple[str, ...]  # detectors that could not be compared, and why
    reliability: Reliability
    curves: dict[str, list[Point]]

    def of(self, name: str) -> Result | None:
        """The result of a detector at its own threshold."""
        return next((one for one in self.results if one.name == name), None)

    def quality(self) -> dict[str, float]:
        """The numbers for `bundle.json`, named by split; what could not be measured is left out."""
        own, rule = self.results[0], self.of(RULE)
        numbers = {f"patterns_{snr:.0f}_db": found.share for snr, found in own.patterns.items()}
        numbers |= {f"singles_{snr:.0f}_db": found.share for snr, found in own.singles.items()}
        for kind, cells in (("patterns", own.patterns), ("singles", own.singles)):
            if clear := pooled(cells):
                numbers[f"{kind}_clear"] = clear.share  # 10 dB and better
        numbers["false_alarms_per_hour"] = own.per_hour(hard=False)
        numbers["false_alarms_per_hour_hard"] = own.per_hour(hard=True)
        numbers["hours"] = sum(own.hours.values())
        numbers["onset_error_ms"] = own.timing.onset_error_ms[0]
        numbers["pulse_count_exact"] = own.timing.count_exact
        numbers["calibration_error"] = self.reliability.error
        if rule is not None:
            numbers["fixed_rule_false_alarms_per_hour"] = rule.per_hour(hard=False)
            if 10.0 in rule.patterns:
                numbers["fixed_rule_patterns_10_db"] = rule.patterns[10.0].share
        return {
            f"{self.split}_{name}": round(value, 4)
            for name, value in numbers.items()
            if math.isfinite(value)
        }

    def table(self) -> str:
        """Plain text for people."""
        return as_text(tables(self))


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of text under a header; what to know before reading it in `note`."""

    title: str
    header: Row
    rows: list[Row]
    note: str = ""


def as_text(tables: Iterable[Table]) -> str:
    """Columns lined up with blanks."""
    return "\n\n".join(_text(table) for table in tables)


def _text(table: Table) -> str:
    lines = [table.title]
    if table.note:
        lines.append(f"  ({table.note})")
    columns = list(zip(table.header, *table.rows, strict=True)) if table.header else []
    widths = [max(len(cell) for cell in column) for column in columns]
    for row in (table.header, *table.rows) if table.header else ():
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(tables: Iterable[Table]) -> str:
    """The same for a page."""
    parts: list[str] = []
    for table in tables:
        parts.append(f"## {table.title}\n")
        if table.note:
            parts.append(f"{table.note}\n")
        if table.header:
            rule = "|---" + "|---:" * (len(table.header) - 1) + "|"
            rows = [f"| {' | '.join(row)} |" for row in (table.header, *table.rows)]
            parts.append("\n".join([rows[0], rule, *rows[1:]]) + "\n")
    return "\n".join(parts)


def as_html(tables: Iterable[Table]) -> str:
    """The same for a browser, as `page` wants it."""
    parts: list[str] = []
    for table in tables:
        parts.append(f"<h2>{html.escape(table.title)}</h2><p>{html.escape(table.note)}</p>")
        if table.header:
            parts.append("<table>")
            for row in (table.header, *table.rows):
                cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
                parts.append(f"<tr>{cells}</tr>")
            parts.append("</table>")
    return "\n".join(parts)


def page(title: str, parts: Iterable[str]) -> str:
    """A page of HTML that needs nothing from elsewhere for its looks."""
    head = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        f"<title>beepwatch: {html.escape(title)}</title>",
        "<style>body{font:15px/1.4 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse}td,th{padding:.15em .6em;text-align:right}"
        "td:first-child{text-align:left}img{max-width:100%}"
        "pre{background:#f4f4f4;padding:1em;overflow-x:auto}</style>",
        f"<h1>{html.escape(title)}</h1>",
    ]
    return "\n".join([*head, *parts, "</html>", ""])


def tables(evaluation: Evaluation) -> list[Table]:
    """Everything that was measured, the most telling first."""
    own = evaluation.results[0]
    found = [
        Table(
            title=f"Split {evaluation.split}, model {evaluation.model_id}, "
            f"threshold {evaluation.threshold:.2f}",
            header=(),
            rows=[],
            note="A beep is heard if a detection lies within 0.5 s of it; SNR is that in a third "
            "of an octave around the beep; rates are per hour with exact 95 % intervals",
        ),
        _recall(evaluation, "Patterns heard (two pulses or more, unseen devices)", "patterns"),
        _recall(evaluation, "Single pulses heard (unseen devices)", "singles"),
        _recall(evaluation, "Heard of devices that training may have met", "kin"),
        _false_alarms(evaluation),
        _by_category(evaluation),
        _timing(evaluation),
        _grouped("beepwatch by device", own.by_device),
        _grouped("beepwatch by pulse length (unseen devices)", own.by_pulse),
        _grouped("beepwatch by room (unseen devices)", own.by_room),
        _reliability(evaluation),
        _remarks(evaluation),
    ]
    return [table for table in found if table.rows or table.note]


def _recall(evaluation: Evaluation, title: str, which: str) -> Table:
    results: list[tuple[Result, dict[float, Share]]] = [
        (one, getattr(one, which)) for one in evaluation.results
    ]
    snrs = sorted({snr for _one, cells in results for snr in cells}, reverse=True)
    counts = sorted({share.of for _one, cells in results for share in cells.values()})
    return Table(
        title=title,
        header=("", *(f"{snr:.0f} dB" for snr in snrs), "10 dB and better"),
        rows=[
            (
                one.name,
                *(_percent(cells.get(snr)) for snr in snrs),
                f"{_percent(pooled(cells))} ({_of(pooled(cells))})",
            )
            for one, cells in results
        ]
        if snrs
        else [],
        note=f"{_range(counts)} streams at each SNR" if counts else "",
    )


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _percent(share: Share | None) -> str:
    return "" if share is None else f"{100 * share.share:.1f} %"


def _of(share: Share | None) -> str:
    return "" if share is None else f"{share.heard}/{share.of}"


def _rate(count: float, hours: float) -> str:
    low, high = poisson_interval(count, hours)
    return f"{count / hours if hours else 0:.1f} ({low:.1f} to {high:.1f})"


def _false_alarms(evaluation: Evaluation) -> Table:
    ordinary_h = evaluation.results[0].counted(hard=False)[1]
    hard_h = evaluation.results[0].counted(hard=True)[1]
    beside_h = evaluation.results[0].elsewhere_hours
    return Table(
        title="False alarms an hour",
        header=("", "threshold", "ordinary", "hard", "beside the beeps"),
        rows=[
            (
                one.name,
                f"{one.threshold:.4g}",
                _rate(*one.counted(hard=False)),
                _rate(*one.counted(hard=True)),
                _rate(one.elsewhere, one.elsewhere_hours),
            )
            for one in evaluation.results
        ],
        note=f"{ordinary_h:.2f} h of ordinary sound, {hard_h:.2f} h of hard sound (nature and "
        f"other: an hour of it is not an hour of a home), {beside_h:.2f} h of streams with beeps, "
        "where every detection away from the beep counts",
    )


def _by_category(evaluation: Evaluation) -> Table:
    own = evaluation.results[0]
    others = [one for one in evaluation.results[1:] if "equal" not in one.name]
    return Table(
        title="False alarms by category",
        header=("", "hours", "beepwatch", "an hour (95 %)", *(one.name for one in others)),
        rows=[
            (
                category,
                f"{hours:.2f}",
                f"{own.false_alarms[category]:.0f}",
                _rate(own.false_alarms[category], hours),
                *(f"{one.false_alarms[category]:.1f}" for one in others),
            )
            for category, hours in own.hours.items()
        ],
        note="counts; where a detector is told a tone or an example, the mean over them",
    )


def _timing(evaluation: Evaluation) -> Table:
    rows: list[Row] = []
    for one in evaluation.results:
        timing = one.timing
        rows.append(
            (
                one.name,
                str(timing.heard),
                *(_number(ms, 0) for ms in (*timing.onset_error_ms, *timing.offset_error_ms)),
                _number(100 * timing.count_exact, 1),
                _number(timing.count_error, 2),
            )
        )
    return Table(
        title="Times and pulse counts",
        header=(
            *("", "heard", "onset ms, median", "90th", "offset ms, median", "90th"),
            *("count exact %", "count off by"),
        ),
        rows=rows,
        note="patterns of unseen devices heard at 10 dB and better; the truth is good to 20 ms",
    )


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _grouped(title: str, groups: dict[str, dict[float, Share]]) -> Table:
    snrs = sorted({snr for cells in groups.values() for snr in cells}, reverse=True)
    return Table(
        title=title,
        header=("", *(f"{snr:.0f} dB" for snr in snrs)),
        rows=[(group, *(_of(cells.get(snr)) for snr in snrs)) for group, cells in groups.items()],
    )


def _reliability(evaluation: Evaluation) -> Table:
    found = evaluation.reliability
    return Table(
        title="Whether a score of 0.9 means 0.9",
        header=("mean score", "share in a pulse", "frames"),
        rows=[(f"{one.score:.2f}", f"{one.share:.2f}", str(one.frames)) for one in found.bins],
        note=f"expected calibration error {found.error:.4f} over all frames of unseen devices and "
        f"of sound without a beep, {_number(found.error_where_unsure, 3)} over those that score "
        "0.1 or more",
    )


def _remarks(evaluation: Evaluation) -> Table:
    notes = [f"{one.name}: {one.note}" for one in evaluation.results if one.note]
    unique = [note for note in notes if ", equal false alarms:" not in note]
    skipped = [f"left out: {reason}" for reason in evaluation.skipped]
    return Table(title="Remarks", header=(), rows=[], note="; ".join([*unique, *skipped]))
