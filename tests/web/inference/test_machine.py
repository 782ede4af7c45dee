"""`beepwatch serve --machine`: what `teach --judge` says of a file, over HTTP."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.classify.condition import Difference, Listener
from beepwatch.classify.faults import Diagnostician
from beepwatch.cli import run_command_line
from beepwatch.train.machines import lessons
from beepwatch.train.machines.lessons import Heard
from beepwatch.web.inference.machine import share_of
from tests.daemon.fans import normal_fan, well, whining
from tests.web.inference.program import ServingProgram, serving_program
from tests.web.inference.served import RATE_HZ, learned_fan, wav

pytestmark = pytest.mark.slow

KEYS = {name for name in Heard.__struct_fields__ if name != "file"}  # of `--judge --json`


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProgram]:
    """Of a fan whose faults nobody has named."""
    state = tmp_path_factory.mktemp("state")
    learned_fan(state)
    with serving_program(state, "--machine", "fan", "--workers", "1") as running:
        yield running


@cache
def judged(seconds: int, *, worn: bool) -> Heard:
    """What `teach --judge` says."""
    pcm = whining(seconds) if worn else well(seconds)
    return lessons.judge(Listener(normal_fan()), "", [pcm])


def test_it_says_what_it_judges(server: ServingProgram) -> None:
    assert server.said.startswith("judging fan: http://")
    model = server.ask("GET", "/").json["model"]
    assert (model["kind"], model["name"], model["labels"]) == ("machine", "fan", ["strange"])
    assert len(model["id"]) == 12


def test_a_fan_that_is_well_is_no_anomaly(server: ServingProgram) -> None:
    told = server.post(wav(well(20))).json
    assert set(told) == {"Anomaly", "Details"}
    assert told["Anomaly"] is False
    assert told["Details"]["Message"] == lessons.said_of(judged(20, worn=False))
    assert told["Details"]["Message"].startswith("as when it was well, strangeness ")
    (share,) = told["Details"]["Probabilities"]
    assert 0 <= share < 0.5


def test_a_worn_bearing_is_told_as_judge_tells_it(server: ServingProgram) -> None:
    told = server.post(wav(whining(80))).json
    assert told["Anomaly"] is True
    message = told["Details"]["Message"]
    assert message == lessons.said_of(judged(80, worn=True))
    assert message.startswith("unusual from ")
    assert "3.1 kHz whine that was not there" in message
    assert 0.5 < told["Details"]["Probabilities"][0] <= 1


def test_what_is_too_short_to_be_unusual_is_stranger_than_normal(server: ServingProgram) -> None:
    told = server.post(wav(whining(10))).json
    assert told["Anomaly"] is True
    assert told["Details"]["Message"].startswith("stranger than when it was well, strangeness ")


@pytest.mark.parametrize(
    ("seconds", "message"), [(6.0, "the machine is off"), (1.0, "shorter than 3 s")]
)
def test_where_nothing_of_the_machine_is_heard_there_is_no_number(
    seconds: float, message: str, server: ServingProgram
) -> None:
    told = server.post(wav(np.zeros(round(seconds * RATE_HZ), np.int16))).json
    assert told == {"Anomaly": False, "Details": {"Message": message, "Probabilities": []}}


@pytest.mark.parametrize("worn", [False, True])
def test_classify_has_the_keys_of_judge(worn: bool, server: ServingProgram) -> None:
    pcm = whining(80) if worn else well(20)
    told = server.post(wav(pcm), "/v1/classify").json
    assert set(told) == KEYS | {"model", "duration_s", "anomaly", "problem"}
    expected = msgspec.to_builtins(judged(80 if worn else 20, worn=worn))
    assert {name: told[name] for name in KEYS} == {
        name: list(one) if isinstance(one, tuple) else one
        for name, one in expected.items()
        if name in KEYS
    }
    assert told["model"] == server.ask("GET", "/").json["model"]
    assert (told["duration_s"], told["problem"]) == (80 if worn else 20, None)
    assert told["anomaly"] is worn


def test_any_rate_and_channel_count_is_judged(server: ServingProgram) -> None:
    """Twice the rate, each sample twice and in two channels: images lie above what is judged."""
    pcm = np.repeat(whining(10), 2)
    told = server.post(wav(np.stack([pcm, pcm], axis=1), 2 * RATE_HZ), "/v1/classify").json
    assert told["duration_s"] == pytest.approx(10, abs=0.01)
    assert told["windows"] == 8


@pytest.mark.parametrize("content", [b"", b"Hello, this is no sound.\n" * 50, wav(well(5))[:44]])
def test_what_is_no_audio_is_400(content: bytes, server: ServingProgram) -> None:
    told = server.post(content)
    assert (told.status, list(told.json)) == (400, ["error"])


def test_of_what_breaks_off_the_rest_is_judged_and_told(server: ServingProgram) -> None:
    content = wav(whining(20))
    told = server.post(content[: len(content) // 2]).json
    assert told["Anomaly"] is True
    assert "dB more. the file is cut short: 10.00 s of" in told["Details"]["Message"]


def test_learned_faults_are_the_probabilities(tmp_path: Path) -> None:
    """Whether or not something is wrong, as they say nothing of that."""
    faults = learned_fan(tmp_path, faults=True).faults("fan")
    assert faults is not None
    with serving_program(tmp_path, "--machine", "fan", "--workers", "1") as server:
        assert server.said.startswith("judging fan and naming its faults, bearing: http://")
        model = server.ask("GET", "/").json["model"]
        assert (model["labels"], model["normal"]) == (["bearing", "normal"], ["normal"])
        ill, sound = server.post(wav(whining(80))).json, server.post(wav(well(20))).json
        told = server.post(wav(whining(80)), "/v1/classify").json
    assert "most like: bearing (" in ill["Details"]["Message"]
    expected = lessons.judge(
        Listener(normal_fan()), "", [whining(80)], doctor=Diagnostician(faults)
    )
    assert expected.faults is not None
    shares = list(expected.faults.values())
    assert ill["Details"]["Probabilities"] == pytest.approx(shares, abs=1e-4)
    assert sum(shares) == pytest.approx(1)
    assert told["fault"]["label"] == "bearing"
    assert told["fault"]["probability"] == pytest.approx(told["faults"]["bearing"], abs=1e-4)
    assert told["faults"]["bearing"] > 0.5
    assert (ill["Anomaly"], sound["Anomaly"]) == (True, False)
    bearing, normal = sound["Details"]["Probabilities"]
    assert normal > bearing


@pytest.mark.parametrize(
    ("told_s", "drowned", "strange", "anomaly"),
    [
        ((82.0,), 9, False, True),
        ((), 0, True, True),
        ((), 5, True, True),
        ((), 6, True, False),  # perhaps for the room's sounds
        ((), 0, False, False),
    ],
)
def test_an_anomaly_is_what_is_told_or_stranger_and_not_for_the_room(
    told_s: tuple[float, ...], drowned: int, strange: bool, anomaly: bool
) -> None:
    """Of twelve windows the machine was off in two."""
    heard = Heard(
        file="",
        windows=12,
        off=2,
        drowned=drowned,
        strangeness=1.2,
        unusual_at_s=told_s,
        difference=Difference(pitch_hz=97.0, more_db=8.0, kind="noise") if strange else None,
    )
    assert heard.anomalous is anomaly


def test_strangeness_becomes_a_share_of_one() -> None:
    assert [share_of(one) for one in (-0.7, 0.0, 1.0, 3.0)] == [0, 0, 0.5, 0.75]


# What cannot be served


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line of them."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_machine_that_was_not_taught_is_one_line(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["serve", "--port", "0", "--machine", "fan"]) == 2
    assert "teach NAME --normal" in complaint(capsys)
    learned_fan(state)
    assert run_command_line(["serve", "--port", "0", "--machine", "pump"]) == 2
    assert "fan" in complaint(capsys)


def test_a_model_and_a_machine_are_one_too_many(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned_fan(state)
    assert run_command_line(["serve", "--machine", "fan", "--model", "beep"]) == 2
    assert complaint(capsys) == ("beepwatch: found both --model and --machine; give one of them.")


@pytest.mark.parametrize("file", ["normal.json", "faults.json"])
def test_a_damaged_machine_is_one_line(
    file: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machines = learned_fan(state, faults=True)
    path = machines.directory / "fan" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    assert run_command_line(["serve", "--port", "0", "--machine", "fan"]) == 3
    assert str(path) in complaint(capsys)
