"""The recordings in space, in a real Chromium, from a file and without a network."""

from pathlib import Path

import pytest

from beepwatch.train.kinds.page import page_of
from beepwatch.train.kinds.partition import Partition, Plan, Tried
from beepwatch.train.kinds.record import Kinds, Recording
from tests.web.chromium import chromium

pytestmark = pytest.mark.browser


def kinds() -> Kinds:
    """Three recordings of two clusters; the second lies where everything turns around."""
    paths = ("a.wav", "middle.wav", "c.wav")
    return Kinds(
        plan=Plan(clusters=2),
        recipe_sha256="",
        inputs_sha256="",
        columns=("hum mean",),
        recordings=tuple(
            Recording(path=path, label="abnormal", split="", augmentations=()) for path in paths
        ),
        partition=Partition(
            numbers=(1, 2, 1),
            distances=(0.5, 0.25, 0.5),
            places=((3.0, 1.0, 0.0), (0.0, 0.0, 0.0), (-3.0, 1.0, 2.0)),
            centres=((0.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
            apart=(((0, 1.0),), ((0, -1.0),)),
            explained=(1.0,),
            kept=1,
            tried=(Tried(clusters=1, inertia=1.0, silhouette=None),),
            constant=0,
        ),
        names={2: "</script>worn"},
    )


def test_points_can_be_turned_told_and_hidden(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page_of(kinds(), [], {}), encoding="utf-8")
    with chromium(tmp_path) as browser:
        page = browser.open((tmp_path / "index.html").as_uri(), width=1_000, height=2_000)
        page.wait("document.querySelectorAll('#cloud-legend label').length === 2")
        said = "document.getElementById('cloud-said').textContent"
        page.point("#cloud")
        page.wait(f"{said} === '2 </script>worn (1): middle.wav, 0.25 from the centre'")

        drawn = "document.getElementById('cloud').toDataURL()"
        before = page.value(drawn)
        page.value("document.getElementById('cloud').focus()")
        page.press("ArrowLeft")
        turned = page.value(drawn)
        assert turned != before
        page.press("ArrowRight")
        assert page.value(drawn) == before

        page.click("#cloud-legend label:nth-child(2) input")
        page.point("#cloud")
        page.wait(f"{said}.trim() === ''")
        assert page.complaints == []
