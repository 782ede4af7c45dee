"""A page about a model: how it learned, from what, and how well it hears the dev split.

It lies beside the bundle, needs nothing from elsewhere, and is no part of the bundle: nothing
checks it, nothing ships it.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from beepwatch.classify.bundle import BundleInfo
from beepwatch.train.checkpoints import Progress
from beepwatch.train.history import Checked, Entry, Mined
from beepwatch.train.judging.reliability import Reliability
from beepwatch.train.judging.results import Evaluation, Row, Table, as_html, page, tables
from beepwatch.train.recipe import Recipe

REPORT = "report.html"


def write_report(
    out: Path,
    info: BundleInfo,
    recipe: Recipe,
    progress: Progress,
    entries: Sequence[Entry],
    evaluation: Evaluation,
    *,
    categories: Mapping[str, int],
) -> Path:
    """Write the page into `out`. `entries` may begin late or be none; `categories` counts files."""
    checks = [entry for entry in entries if isinstance(entry, Checked)]
    rounds = [entry for entry in entries if isinstance(entry, Mined)]
    parts = [
        f"<p>{html.escape(summary(out, info, recipe, progress))}</p>",
        "<h2>How it learned</h2>",
        f"<p>{html.escape(told_from(checks))}</p>",
        picture(learning_curves(checks, recipe, progress), "learning curves"),
        as_html(
            [
                mining_table(recipe, progress, rounds),
                Table(
                    title="Thresholds",
                    header=("label", "threshold"),
                    rows=[(label, f"{limit:.2f}") for label, limit in info.thresholds.items()],
                    note="the lowest at which the dev split raises no more false alarms than the "
                    "recipe allows",
                ),
                Table(
                    title="Quality on the dev split, as bundle.json has it",
                    header=("figure", "value"),
                    rows=[(name, f"{value:g}") for name, value in info.quality.items()],
                ),
                counts("Recordings by category", "files", categories),
                counts("Recordings by licence", "files", info.data.licences),
            ]
        ),
        as_html(tables(evaluation)),
        "<h2>Calibration</h2>",
        picture(reliability_diagram(evaluation.reliability), "reliability diagram"),
        "<h2>Recipe</h2>",
        f"<pre>{html.escape(as_text(recipe))}</pre>",
    ]
    path = out / REPORT
    path.write_text(page(f"Model {info.name} {info.model_id}", parts), encoding="utf-8")
    return path


def summary(out: Path, info: BundleInfo, recipe: Recipe, progress: Progress) -> str:
    """The figures that are asked for first."""
    size = sum((out / name).stat().st_size for name in info.files)
    return (
        f"{info.architecture} for {', '.join(info.labels)}: {info.parameters} parameters, "
        f"{size / 1_000:.0f} kB. {progress.step} of {recipe.training.steps} steps; the weights are "
        f"those of step {progress.best_step}, dev score {progress.best_score:.4f} (mean share of "
        "beeps heard where 0.5, 1 and 2 % of the clips without one fire). "
        f"Recipe {info.recipe_digest[:12]}, data {info.data.digest[:12]}."
    )


def told_from(checks: Sequence[Checked]) -> str:
    """Where the curves begin, since what came before may not have been written down."""
    if not checks:
        return "No check of this run was written down."
    return f"{len(checks)} checks were written down, from step {checks[0].step} on."


def learning_curves(checks: Sequence[Checked], recipe: Recipe, progress: Progress) -> Figure:
    """Loss and dev score at each check, with the rounds of mining and the step that was best."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    steps = [check.step for check in checks]
    upper.plot(steps, [check.loss for check in checks], ".-", color="tab:blue")
    upper.set_ylabel("loss, mean since the last check")
    lower.plot(steps, [check.dev_score for check in checks], ".-", color="tab:green")
    lower.set_ylabel("dev score")
    lower.set_xlabel("steps")
    lower.set_xlim(0, 1.02 * recipe.training.steps)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    if progress.best_step:
        best = (progress.best_step, progress.best_score)
        lower.plot(*best, "o", ms=9, mfc="none", color="tab:green", label="best")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        for step in recipe.mining.at_steps[: len(progress.mined)]:
            label = "mined" if step == recipe.mining.at_steps[0] else None
            axes.axvline(step, color="tab:red", ls=":", label=label)
    if progress.best_step:
        lower.legend()
    return figure


def mining_table(recipe: Recipe, progress: Progress, rounds: Sequence[Mined]) -> Table:
    """What each round added; of one that was not written down only the count is known."""
    told = {entry.number: entry for entry in rounds}
    rows: list[Row] = []
    for number, kept in enumerate(progress.mined):
        entry = told.get(number)
        rows.append(
            (
                str(number + 1),
                str(entry.step if entry else recipe.mining.at_steps[number]),
                str(entry.candidates if entry else recipe.mining.candidates),
                str(len(kept)),
                f"{entry.lowest_logit:.2f}" if entry else "",
            )
        )
    return Table(
        title="Mining",
        header=("round", "after step", "candidates", "kept", "lowest logit kept"),
        rows=rows,
        note="clips without a beep that the half-trained network believed in most"
        if rows
        else "none",
    )


def reliability_diagram(found: Reliability) -> Figure:
    """Share of frames within a pulse against what they scored; on the line a score is a share."""
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    axes.plot([one.score for one in found.bins], [one.share for one in found.bins], "o-")
    axes.set_xlabel("mean score")
    axes.set_ylabel("share of frames in a pulse")
    axes.grid(alpha=0.3)
    return figure


def picture(figure: Figure, what: str) -> str:
    """A figure as a PNG within the page."""
    content = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(content, format="png", dpi=110)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(what)}">'


def counts(title: str, unit: str, numbers: Mapping[str, int]) -> Table:
    """Names with a count each."""
    return Table(
        title=title,
        header=("", unit),
        rows=[(name, str(count)) for name, count in sorted(numbers.items())],
    )


def as_text(recipe: Recipe) -> str:
    """Every field of a recipe, those left to their defaults too."""
    return msgspec.json.format(msgspec.json.encode(recipe), indent=2).decode()
