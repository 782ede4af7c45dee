"""On a terminal a training is a bar with its loss, rate and time left; elsewhere it is lines."""

import io
import re

import pytest
from rich.console import Console
from rich.progress import Progress

from beepwatch.train.display import Bar, Lines, RateColumn, display_on


def without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_lines_tell_of_every_fiftieth_step_and_of_all_that_happens() -> None:
    lines: list[str] = []
    display = Lines(lines.append)
    display.composed(3, 10)
    for step in range(1, 121):
        display.stepped(step, 200, step / 1_000)
    display.say("step 120: dev score 0.5000, best 0.5000")
    assert lines == [
        "step 50/200 loss 0.0500",
        "step 100/200 loss 0.1000",
        "step 120: dev score 0.5000, best 0.5000",
    ]


def test_away_from_a_terminal_lines_are_plain_and_whole() -> None:
    """No colours, no markup, and no line is broken however long."""
    file = io.StringIO()
    line = "bundle [beep] in /" + "a" * 200
    with display_on(Console(file=file, width=80)) as display:
        display.say(line)
        display.stepped(50, 100, 0.25)
    assert file.getvalue() == f"{line}\nstep 50/100 loss 0.2500\n"


def test_on_a_terminal_a_bar_shows_step_and_loss_below_what_happens() -> None:
    file = io.StringIO()
    with display_on(Console(file=file, force_terminal=True, width=120)) as display:
        display.stepped(40, 100, 0.25)
        display.stepped(41, 100, 0.125)
        display.say("mined 2 of 4 [clips]")
    shown = without_escapes(file.getvalue())
    assert "mined 2 of 4 [clips]\n" in shown
    last = shown.rstrip().splitlines()[-1]
    assert re.match(r"training .* 41/100 loss 0\.1250 ", last)


def test_the_bar_of_the_clips_goes_when_all_are_there() -> None:
    progress = Progress(console=Console(file=io.StringIO()))
    bar = Bar(progress)
    bar.composed(1, 2)
    assert [task.description for task in progress.tasks] == ["composing"]
    bar.composed(2, 2)
    bar.stepped(1, 9, 0.5)
    assert [(task.description, task.completed) for task in progress.tasks] == [("training", 1)]
    bar.composed(1, 4)  # mining
    assert [(task.description, task.total) for task in progress.tasks] == [
        *(("training", 9), ("composing", 4))
    ]


def test_steps_done_before_do_not_count_for_the_rate() -> None:
    """Ten steps in five seconds are two a second, though 3,500 were done before."""
    now_s = 0.0
    progress = Progress(console=Console(file=io.StringIO()), get_time=lambda: now_s)
    task = progress.add_task("training", total=10_000, completed=3_500, unit="steps/s")
    for step in range(3_500, 3_511):
        progress.update(task, completed=step)
        now_s += 0.5
    assert RateColumn().render(progress.tasks[0]).plain == "2.0 steps/s"
    assert progress.tasks[0].time_remaining == pytest.approx((10_000 - 3_510) / 2.0, rel=0.12)
