"""`beepwatch serve` when workers die, when there is too much to do, and when it is to end."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from beepwatch.cli import run_command_line
from tests.web.inference.program import FORM, ServingProgram, form, serving_program, stopped, until
from tests.web.inference.recordings import silence, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProgram]:
    """One worker, and one place to wait for it."""
    state = tmp_path_factory.mktemp("state")
    with serving_program(state, "--workers", "1", "--queue", "1") as running:
        yield running


def test_what_a_killed_worker_had_is_heard_by_the_next(alone: ServingProgram) -> None:
    worker = alone.worker("idle")
    with stopped(worker):
        told = alone.post_meanwhile(written())
        assert alone.worker("busy") == worker
        os.kill(worker, signal.SIGKILL)
        assert told.answer().json["Anomaly"] is True
    assert alone.worker("idle") != worker
    assert alone.workers()[0]["deaths"] >= 1


def test_a_worker_killed_while_it_had_nothing_to_do_is_replaced(alone: ServingProgram) -> None:
    worker = alone.worker("idle")
    os.kill(worker, signal.SIGKILL)
    assert alone.worker("idle", other_than=worker) != worker
    assert alone.post(written()).json["Anomaly"] is True


def test_a_file_that_ends_every_worker_is_refused_and_costs_two(alone: ServingProgram) -> None:
    """Twenty minutes take so long that both workers can be caught with them."""
    first = alone.worker("idle")
    deaths = alone.workers()[0]["deaths"]
    told = alone.post_meanwhile(silence(1_200))
    assert alone.worker("busy") == first
    os.kill(first, signal.SIGKILL)
    os.kill(alone.worker("busy", other_than=first), signal.SIGKILL)
    answer = told.answer()
    assert (answer.status, answer.json["error"]) == (
        400,
        "It ended 2 processes that tried to decode it. Convert it to WAV.",
    )
    alone.worker("idle")
    assert alone.workers()[0]["deaths"] == deaths + 2
    assert alone.post(written()).status == 200


def test_who_comes_when_the_line_is_full_is_told_when_to_come_again(
    alone: ServingProgram,
) -> None:
    """And those in line get their answers, in their order or not, but all of them."""
    with stopped(alone.worker("idle")):
        first = alone.post_meanwhile(written())
        alone.worker("busy")
        second = alone.post_meanwhile(silence(3.0))
        until(lambda: alone.waits(1))
        third = alone.post(written())
        assert third.status == 503
        assert 1 <= int(third.headers["retry-after"]) <= 30
        assert "waiting" in third.json["error"]
        assert alone.ask("GET", "/").status == 200  # it is busy, not ill
    assert first.answer().json["Anomaly"] is True
    assert second.answer().json["Anomaly"] is False


def test_who_goes_away_leaves_the_line(alone: ServingProgram) -> None:
    with stopped(alone.worker("idle")):
        first = alone.post_meanwhile(written())
        alone.worker("busy")
        body = form(written())
        with socket.create_connection(("127.0.0.1", alone.port)) as impatient:
            head = f"POST /inference HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
            impatient.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            until(lambda: alone.waits(1))
        until(lambda: alone.waits(0))
    assert first.answer().status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_has_asked_is_answered_before_it_ends(number: signal.Signals, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving_program(tmp_path, "--workers", "1"))
        worker = server.worker("idle")
        with stopped(worker):
            told = server.post_meanwhile(written())
            server.worker("busy")
            server.process.send_signal(number)
            until(server.refuses_connections)
        assert told.answer().json["Anomaly"] is True
        assert server.wait() == 0
        assert server.complained == ""
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_workers_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    with serving_program(tmp_path, "--workers", "2") as server:
        until(lambda: all(one["state"] == "idle" for one in server.workers()))
        workers = [one["pid"] for one in server.workers()]
        server.end(signal.SIGKILL)

        def gone(pid: int) -> bool:
            try:
                return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
            except FileNotFoundError:
                return True

        until(lambda: all(map(gone, workers)))


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line of them."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_command_line(["serve", "--port", str(port)]) == 2
    assert complaint(capsys).startswith(f"beepwatch: cannot listen on 127.0.0.1 port {port}: ")


def test_a_model_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["serve", "--port", "0", "--model", "no-such"]) == 3
    assert complaint(capsys).startswith("beepwatch: no model bundle 'no-such'")


def test_a_model_that_no_worker_can_open_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the workers learn that torch cannot run what is in the bundle."""
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path))
    assert run_command_line(["serve", "--port", "0", "--model", str(_foreign(tmp_path))]) == 3
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("beepwatch: onnxruntime ")


def _foreign(directory: Path) -> Path:
    """A bundle whose every claim holds, but for the graph being one."""
    import hashlib
    import json

    from beepwatch.classify.bundle import DESCRIPTION, GRAPH, WEIGHTS, find_bundle

    shipped = find_bundle("beep")
    made = directory / "foreign"
    made.mkdir()
    (made / GRAPH).write_bytes(b"no graph at all")
    (made / WEIGHTS).write_bytes((shipped / WEIGHTS).read_bytes())
    description = json.loads((shipped / DESCRIPTION).read_text())
    digest = hashlib.sha256(b"no graph at all").hexdigest()
    description["files"][GRAPH] = digest
    description["model_id"] = digest[:12]
    (made / DESCRIPTION).write_text(json.dumps(description))
    return made


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("beepwatch.web.inference.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("python_multipart")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "python_multipart", None)  # as if it were not there
    assert run_command_line(["serve", "--port", "0"]) == 2
    assert "pip install 'beepwatch[web]'" in complaint(capsys)
