"""The workers of a Dask cluster make the store that is made here, though one of them dies."""

from pathlib import Path

from beepwatch.train import features
from tests.dask_cluster import cluster, kill
from tests.train.featuring.conftest import hiss

FILES = ("features.npy", "index.csv", "features.json")


def stored(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in FILES]


def test_a_worker_that_is_killed_half_way_changes_no_byte(
    augmented_file: Path, data: Path, tmp_path: Path
) -> None:
    for number in range(40):
        hiss(data / f"more/{number:02}.wav", 100 + number)
    with (data / "dataset.csv").open("a") as table:
        table.writelines(f"more/{number:02}.wav,more,train\n" for number in range(40))
    (data / "beep/b.wav").write_bytes(b"RIFF")
    alone = features.extract(augmented_file, data, tmp_path / "alone", workers=0)
    told: list[int] = []
    with cluster() as (address, workers):

        def kill_one(what: str, done: int, of: int) -> None:
            told.append(done)
            if done >= of // 2 and workers[0].poll() is None:
                kill(workers[0])

        among = features.extract(
            augmented_file, data, tmp_path / "among", cluster=address, report=kill_one
        )
        assert workers[0].returncode is not None
        assert workers[1].poll() is None
    assert told[-1] == 46
    assert among == alone
    assert (alone.recordings, alone.made, len(alone.problems)) == (45, 45 + 2 * 42, 1)
    assert stored(tmp_path / "among") == stored(tmp_path / "alone")
