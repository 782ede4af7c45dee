"""The page about a model is whole in itself and tells what is known, however little that is."""

import base64
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from matplotlib.axes import Axes

from beepwatch.classify.bundle import load_bundle
from beepwatch.train.checkpoints import Progress
from beepwatch.train.evaluation import evaluate
from beepwatch.train.history import Checked, Mined, read_history
from beepwatch.train.judging.results import Evaluation
from beepwatch.train.recipe import Cycle, Recipe, read_recipe
from beepwatch.train.report import (
    learning_curves,
    mining_table,
    reliability_diagram,
    told_from,
    write_report,
)
from tests.train.conftest import Trained


class Page(HTMLParser):
    """What a browser would load and show."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.titles: list[str] = []
        self.rows: list[list[str]] = []
        self._within = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._within in ("h1", "h2"):
            self.titles.append(data.strip())
        elif self._within == "td" and self.rows:
            self.rows[-1][-1] = data

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


def points(axes: Axes, number: int) -> list[list[float]]:
    """Where one of the lines goes."""
    drawn: list[list[float]] = np.asarray(axes.lines[number].get_xydata()).tolist()
    return drawn


@pytest.fixture(scope="module")
def page(trained: Trained) -> Page:
    return Page((trained.out / "report.html").read_text())


@pytest.fixture
def recipe(recipe_path: Path) -> Recipe:
    """Of 100 steps, with mining at 30 and 60."""
    recipe = read_recipe(recipe_path)[0]
    return msgspec.structs.replace(
        recipe,
        training=msgspec.structs.replace(
            recipe.training, cycles=[Cycle(steps=100, learning_rate=0.1)]
        ),
        mining=msgspec.structs.replace(recipe.mining, at_steps=[30, 60], candidates=40, kept=3),
    )


CHECKS = [
    Checked(step=80, loss=0.5, dev_score=0.25),
    Checked(step=90, loss=0.25, dev_score=0.75),
    Checked(step=100, loss=0.125, dev_score=0.5),
]
PROGRESS = Progress(
    recipe_digest="", step=100, best_score=0.75, best_step=90, mined=[[1, 2, 3], [4, 5, 6]]
)


def test_a_training_leaves_a_page_that_loads_nothing(page: Page) -> None:
    assert len(page.sources) == 2
    for source in page.sources:
        kind, _comma, content = source.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content, validate=True).startswith(b"\x89PNG\r\n\x1a\n")


def test_the_page_names_model_mining_thresholds_figures_and_provenance(
    page: Page, trained: Trained
) -> None:
    info = load_bundle(trained.out).info
    assert page.titles[0] == f"Model tiny {info.model_id}"
    assert {
        *("How it learned", "Mining", "Thresholds", "Recordings by category", "Calibration"),
        *("Recordings by licence", "Whether a score of 0.9 means 0.9", "Recipe"),
    } <= set(page.titles)
    (entry,) = [one for one in read_history(trained.run) if isinstance(one, Mined)]
    for row in (
        ["1", "3", "4", "2", f"{entry.lowest_logit:.2f}"],
        ["beep", f"{info.thresholds['beep']:.2f}"],
        *([name, f"{value:g}"] for name, value in info.quality.items()),
        ["household", "1"],
        ["rir", "1"],
        ["CC0", "4"],
    ):
        assert row in page.rows


def test_the_page_is_no_part_of_the_bundle(trained: Trained) -> None:
    assert set(load_bundle(trained.out).info.files) == {"model.onnx", "weights.safetensors"}


def test_the_curves_are_those_of_the_checks(recipe: Recipe) -> None:
    upper, lower = learning_curves(CHECKS, recipe, PROGRESS).axes
    assert points(upper, 0) == [[80, 0.5], [90, 0.25], [100, 0.125]]
    assert points(lower, 0) == [[80, 0.25], [90, 0.75], [100, 0.5]]
    assert points(lower, 1) == [[90, 0.75]]
    assert [points(lower, number)[0][0] for number in (2, 3)] == [30, 60]
    assert lower.get_xlim() == (0, 102)  # the last point is whole


def test_a_history_that_starts_late_is_told_as_such(recipe: Recipe) -> None:
    assert told_from(CHECKS) == "3 checks were written down, from step 80 on."
    assert told_from([]) == "No check of this run was written down."
    second = Mined(step=60, number=1, candidates=40, kept=3, lowest_logit=-1.25)
    assert mining_table(recipe, PROGRESS, [second]).rows == [
        ("1", "30", "40", "3", ""),
        ("2", "60", "40", "3", "-1.25"),
    ]


@pytest.fixture(scope="module")
def evaluation(trained: Trained, data: Path) -> Evaluation:
    return evaluate(trained.out, data, "dev", repeats=1)


def test_a_page_can_be_written_without_any_history(
    trained: Trained, recipe: Recipe, evaluation: Evaluation, tmp_path: Path
) -> None:
    """As after a run whose history is only in its log; names are text, not markup."""
    info = msgspec.structs.replace(load_bundle(trained.out).info, quality={})
    for name in info.files:
        (tmp_path / name).write_bytes((trained.out / name).read_bytes())
    progress = Progress(recipe_digest="", step=100, best_score=0.75, best_step=90)
    path = write_report(
        tmp_path, info, recipe, progress, [], evaluation, categories={"<b>fan</b>": 2}
    )
    assert path.name == "report.html"
    content = path.read_text()
    assert "No check of this run was written down." in content
    assert ["<b>fan</b>", "2"] in Page(content).rows
    assert "&lt;b&gt;fan&lt;/b&gt;" in content


def test_the_diagram_shows_the_bins(evaluation: Evaluation) -> None:
    found = evaluation.reliability
    (axes,) = reliability_diagram(found).axes
    assert points(axes, 1) == [[one.score, one.share] for one in found.bins]
