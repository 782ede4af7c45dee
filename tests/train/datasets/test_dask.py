"""A real scheduler and two worker processes, one of them killed half way: the same bytes."""

from pathlib import Path

import pytest

from beepwatch.cli import run_command_line
from beepwatch.errors import BeepwatchError
from beepwatch.train.datasets.catalogue import NAME
from beepwatch.train.datasets.indexing import Division, index
from beepwatch.train.datasets.spreading import Lost, SpreadError, spread
from tests.dask_cluster import cluster, kill
from tests.train.datasets import chores
from tests.train.datasets.sounds import noise, write


def test_a_worker_that_is_killed_half_way_changes_nothing(tmp_path: Path) -> None:
    """An item that raises is lost alone; when no worker is left, that is said."""
    data = tmp_path / "data"
    for seed in range(40):
        write(data / "wash" / f"{seed:02}.wav", noise(seed, seconds=0.5))
    division = Division(shares={"train": 0.8, "test": 0.2})
    index(data, division, workers=0)
    journal = data / ".beepwatch" / "inspected.jsonl"
    alone = [file.read_bytes() for file in (data / NAME, journal)]
    (data / NAME).unlink()
    journal.unlink()
    with cluster() as (address, workers):

        def kill_one(done: int, of: int) -> None:
            if done == of // 4:
                kill(workers[0])

        index(data, division, cluster=address, report=kill_one)
        assert workers[0].returncode is not None
        assert [file.read_bytes() for file in (data / NAME, journal)] == alone

        journal.unlink()
        assert run_command_line(["dataset", "check", str(data), "--dask", address]) == 0
        assert journal.read_bytes() == alone[1]
        assert list(spread(chores.only_even, range(3), 0, cluster=address)) == [
            *(0, Lost(item=1, problem="1 is odd. Take another."), 2),
        ]
        as_they_come = spread(chores.squared, range(30), 0, cluster=address, ordered=False)
        assert {one for one in as_they_come if isinstance(one, int)} == {n * n for n in range(30)}

        workers[1].terminate()  # which tells the scheduler, so that nobody waits to find out
        workers[1].wait()
        with pytest.raises(SpreadError, match="has no workers"):
            list(spread(chores.squared, range(3), 0, cluster=address))


def test_a_scheduler_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beepwatch.train.datasets.dask._CONNECT_WITHIN_S", 0.2)
    with pytest.raises(BeepwatchError, match="no Dask scheduler answers at 'tcp://127"):
        list(spread(chores.squared, range(3), 0, cluster="tcp://127.0.0.1:1"))
    with pytest.raises(BeepwatchError, match="no Dask scheduler answers at 'what'"):
        list(spread(chores.squared, range(3), 0, cluster="what"))
