"""A scan by a Dask cluster says what a scan here says, whatever becomes of a worker."""

from pathlib import Path

import pytest

from beepwatch.classify.bundle import find_bundle
from beepwatch.classify.shelf import Shelf
from beepwatch.cli import run_command_line
from beepwatch.daemon.cluster import Order, scan_on_cluster
from beepwatch.daemon.scan import recordings, scan
from beepwatch.errors import ModelError
from beepwatch.sections import Model
from tests.capture.sounds import DATA
from tests.classify.pitched import pitched
from tests.daemon.loud import START
from tests.dask_cluster import cluster, kill

ALARM = DATA / "smoke-alarm-16k.flac"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a scan is started: recordings of which two are bad, and a taught sound."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        (tmp_path / f"sounds/{number:02}").mkdir(parents=True)
        (tmp_path / f"sounds/{number:02}/alarm.flac").symlink_to(ALARM)
    (tmp_path / "sounds/empty.wav").touch()
    (tmp_path / "sounds/short.flac").write_bytes(ALARM.read_bytes()[:20_000])
    shelf = Shelf(tmp_path / "state")
    shelf.put(pitched("alarm", 3_085.0), START)
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    return tmp_path


def test_the_workers_of_a_cluster_find_what_is_found_here(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With relative paths, which are nothing to a worker that stands somewhere else."""

    def scanned(to: str, *words: str) -> tuple[str, str, bytes, list[str]]:
        csv, labels = house / f"{to}.csv", house / to
        files = ["--csv", str(csv), "--labels", str(labels)]
        assert run_command_line(["scan", "sounds", "--json", *files, *words]) == 1
        told = capsys.readouterr()
        tracks = sorted(file.read_text() for file in labels.rglob("*.txt"))
        return told.out, told.err, csv.read_bytes(), tracks

    here = scanned("here", "--workers", "1")
    assert '"label": "alarm"' in here[0]
    assert here[1].count("sounds/short.flac is damaged or cut short") == 1
    with cluster() as (address, workers):
        assert scanned("there", "--dask", address) == here

        other = Order(model=Model(), model_id="0123456789ab", heads=())
        with pytest.raises(ModelError, match="a worker cannot look for it: its model 'beep' is"):
            list(scan_on_cluster(other, recordings([ALARM]), address))

        given = recordings([Path("sounds")])
        answers = []
        for count, answer in enumerate(
            scan(
                given,
                bundle=find_bundle("beep"),
                model=Model(),
                shelf=Shelf(house / "state"),
                workers=1,
                say=pytest.fail,
                cluster=address,
            )
        ):
            if count == 3:
                kill(workers[0])
            answers.append(answer)
    assert workers[0].returncode is not None
    assert [one.given for one in answers] == given
    assert "".join(f"{found.as_json()}\n" for one in answers for found in one.found) == here[0]
