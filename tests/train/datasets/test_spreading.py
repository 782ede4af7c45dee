"""Every item has its result, in order, whatever happens to a worker."""

import errno
import itertools
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from beepwatch.train.datasets.spreading import Lost, SpreadError, in_batches, spread
from tests.train.datasets import chores


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_results_are_those_of_a_map_for_any_number_of_workers(workers: int) -> None:
    assert list(spread(chores.squared, range(40), workers)) == [n * n for n in range(40)]


@pytest.mark.parametrize(("ordered", "numbers"), [(True, [0, 1]), (False, [1, 0])])
def test_results_are_in_order_or_as_they_come(
    ordered: bool, numbers: list[int], tmp_path: Path
) -> None:
    """The first item is done only after the second."""
    items = [(0, str(tmp_path / "second"), str(tmp_path / "first"))]
    items += [(1, str(tmp_path), str(tmp_path / "second"))]
    assert list(spread(chores.after_another, items, 2, ordered=ordered)) == numbers


def test_nothing_to_do_starts_nothing() -> None:
    before = len(psutil.Process().children())
    assert list(spread(chores.squared, [], 4)) == []
    assert len(psutil.Process().children()) == before


@pytest.mark.parametrize("workers", [0, 2])
def test_an_item_that_raises_is_lost_with_the_reason_and_the_others_are_not(workers: int) -> None:
    assert list(spread(chores.only_even, range(4), workers)) == [
        *(0, Lost(item=1, problem="1 is odd. Take another.")),
        *(2, Lost(item=3, problem="ValueError: 3 in two lines")),
    ]


def test_a_file_that_is_not_ours_to_read_is_lost_with_what_to_do() -> None:
    def locked(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    told = "Permission denied (a.wav). Check its permissions."
    assert list(spread(locked, ["a.wav"], 0)) == [Lost(item="a.wav", problem=told)]


def test_an_item_that_kills_its_worker_is_tried_twice_and_lost_alone(tmp_path: Path) -> None:
    items = [str(tmp_path / name) for name in ("a", "b", "deadly", "c", "d", "e")]
    found = list(spread(chores.died_if_deadly, items, 2))
    assert found == [
        *items[:2],
        Lost(item=items[2], problem="2 workers died on it: ended by SIGKILL"),
        *items[3:],
    ]
    assert (tmp_path / "deadly").read_text() == "tried\ntried\n"


def test_a_worker_that_is_killed_once_costs_nothing(tmp_path: Path) -> None:
    items = [str(tmp_path / str(number)) for number in range(3)]
    assert list(spread(chores.died_once, items, 2)) == items


def test_workers_that_never_start_end_the_run_with_a_line() -> None:
    with pytest.raises(SpreadError, match="no worker process starts: ended with exit code 3"):
        list(spread(chores.Unloadable(), range(5), 2))


def test_a_result_that_cannot_travel_is_lost_alone() -> None:
    first, second = spread(chores.unpicklable, [0, 1], 1)
    assert first == 0
    assert isinstance(second, Lost)
    assert "pickle" in second.problem or "local object" in second.problem


@pytest.mark.parametrize("ordered", [True, False])
def test_items_are_taken_only_as_far_as_they_are_needed(ordered: bool) -> None:
    taken = itertools.count()
    found = spread(chores.squared, (next(taken) for _ in range(10**6)), 2, ordered=ordered)
    assert len(list(itertools.islice(found, 10))) == 10
    found.close()
    assert next(taken) <= 10 + 2 * 8 + 1


def test_who_stops_listening_leaves_no_process_behind() -> None:
    found = spread(chores.process_id, range(100), 2)
    workers = {next(found), next(found), next(found)}
    assert all(psutil.pid_exists(number) for number in workers if isinstance(number, int))
    found.close()
    assert not any(psutil.pid_exists(number) for number in workers if isinstance(number, int))


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """Even if it was killed, so that it could end nobody."""
    program = (
        "from beepwatch.train.datasets.spreading import spread\n"
        "from tests.train.datasets import chores\n"
        "if __name__ == '__main__':\n"
        "    found = spread(chores.process_id, range(1000), 1)\n"
        "    print(next(found), flush=True)\n"
        "    input()\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(program)
    with subprocess.Popen(
        [sys.executable, str(script)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "."},  # noqa: TID251 - what the process gets
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        assert psutil.wait_procs([worker], timeout=60)[1] == []


def test_batches_have_all_items_in_order() -> None:
    assert list(in_batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(in_batches([], 3)) == []
