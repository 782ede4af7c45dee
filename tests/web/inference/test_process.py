"""What the server does about workers and faults that no client can bring about."""

import asyncio
import errno
import io
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
import structlog

from beepwatch.classify.bundle import find_bundle
from beepwatch.classify.shelf import Shelf
from beepwatch.web.inference import crew, process
from beepwatch.web.inference.answers import Refused
from beepwatch.web.inference.crew import Answered, Crew, Overloaded
from beepwatch.web.inference.process import TooSlow, WorkerLost, begin
from beepwatch.web.inference.routes import application
from beepwatch.web.inference.settings import Machine, Recordings, Settings, Sounds
from beepwatch.web.inference.sounds import Heard
from beepwatch.web.inference.uploads import Held, Upload
from tests.classify.loudness import loudness_bundle
from tests.classify.pitched import pitched
from tests.web.inference.recordings import written
from tests.web.inference.served import learned_fan


def settings(state: Path) -> Sounds:
    return Sounds(bundle=str(find_bundle("beep")), runtime="onnx", state=str(state))


@pytest.mark.asyncio
async def test_a_worker_that_hangs_is_given_up_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life, ready = await begin(settings(tmp_path))
    assert ready.model.labels == ["beep"]
    try:
        with Upload(Held()) as upload:
            upload.write(written())
            assert isinstance(await life.hear(upload.descriptor, in_full=True), Heard)
            monkeypatch.setattr(process, "HEARING_S", 0.05)
            os.kill(life.pid, signal.SIGSTOP)
            with pytest.raises(TooSlow):
                await life.hear(upload.descriptor, in_full=True)
        async with asyncio.timeout(20):
            await life.ended()
    finally:
        await life.end()


@pytest.mark.asyncio
async def test_a_worker_is_free_before_its_answer_is_read(tmp_path: Path) -> None:
    """What the server does with the answer is nothing that the next upload has to wait for."""
    life, _ready = await begin(settings(tmp_path))
    order: list[str] = []
    try:
        with Upload(Held()) as upload:
            upload.write(written())
            life.freed = lambda: order.append("free")
            heard = life.hear(upload.descriptor, in_full=False)
            heard.add_done_callback(lambda _: order.append("read"))
            assert isinstance(await heard, Heard)
    finally:
        await life.end()
    assert order == ["free", "read"]


@pytest.mark.asyncio
async def test_a_worker_reports_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime notes a number of its own for this device before it first reports its use."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    life, _ready = await begin(settings(tmp_path))
    await life.end()
    assert list(home.rglob("*")) == []


@pytest.mark.asyncio
async def test_who_asks_a_worker_that_has_ended_is_told(tmp_path: Path) -> None:
    life, _ready = await begin(settings(tmp_path))
    os.kill(life.pid, signal.SIGKILL)
    await life.ended()
    await life.end()
    with Upload(Held()) as upload, pytest.raises(WorkerLost):
        await life.hear(upload.descriptor, in_full=False)


@pytest.mark.asyncio
async def test_a_worker_that_cannot_begin_says_why(tmp_path: Path) -> None:
    wrong = Sounds(bundle=str(tmp_path), runtime="onnx", state=str(tmp_path))
    with pytest.raises(WorkerLost, match=r"cannot read .*bundle\.json"):
        await begin(wrong)


@pytest.mark.parametrize("lacking", ["socketpair", "pidfd_open"])
@pytest.mark.asyncio
async def test_a_worker_that_gets_no_descriptors_is_tried_again_later(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps a place free for it goes on only after WorkerLost."""

    def out_of_descriptors(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    before = psutil.Process().children()
    monkeypatch.setattr(os if lacking == "pidfd_open" else socket, lacking, out_of_descriptors)
    with pytest.raises(WorkerLost, match=r"no process could be started: .*Too many open files"):
        await begin(settings(tmp_path))
    assert {*psutil.Process().children()} <= {*before}


@pytest.mark.asyncio
async def test_without_workers_for_long_it_is_unwell_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_WITHOUT_WORKERS_S", -1.0)
    one = Crew(settings(tmp_path), workers=1, most_waiting=1)  # never started
    async with client_of(one) as client:
        told = await client.get("/")
    assert (told.status_code, told.json()["status"]) == (503, "unwell")


@pytest.mark.asyncio
async def test_nobody_waits_for_a_worker_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "WAITS_S", 0.01)
    one = Crew(settings(tmp_path), workers=1, most_waiting=1)
    with Upload(Held()) as upload, pytest.raises(Overloaded) as overloaded:
        await one.hear(upload.descriptor, in_full=True)
    assert overloaded.value.retry_after_s >= 1
    assert one.waiting == 0


@pytest.mark.asyncio
async def test_an_answer_has_the_labels_of_the_worker_that_gave_it(tmp_path: Path) -> None:
    """One that began after something was taught knows more than those from before."""
    one = Crew(settings(tmp_path), workers=2, most_waiting=1)
    await one.start()
    try:
        killed = (await living(one)).pop()
        Shelf(tmp_path).put(pitched("oven", 2_000.0), datetime(2026, 3, 1, tzinfo=UTC))
        os.kill(killed, signal.SIGKILL)
        while killed in await living(one):
            await asyncio.sleep(0.01)
        async with client_of(one) as client:
            told = await asyncio.gather(
                *(client.post("/v1/classify", files={"file": written()}) for _ in range(2))
            )
    finally:
        await one.stop()
    assert [answer.status_code for answer in told] == [200, 200]
    models = [answer.json()["model"]["labels"] for answer in told]
    assert sorted(models) == [["beep"], ["beep", "oven"]]
    assert [list(answer.json()["probabilities"]) for answer in told] == models


async def living(crew: Crew) -> set[int]:
    """The workers, once each place has one."""
    async with asyncio.timeout(60):
        while None in (alive := {shown.pid for shown in crew.shown}):
            await asyncio.sleep(0.01)
    return {pid for pid in alive if pid is not None}


class Faulty(Crew):
    """Does what nobody foresaw."""

    async def hear(self, descriptor: int, *, in_full: bool) -> Answered | Refused:
        """Fails."""
        del in_full
        raise RuntimeError(f"descriptor {descriptor > 0} was unforeseen")


@pytest.mark.asyncio
async def test_what_nobody_foresaw_is_logged_and_no_500(tmp_path: Path) -> None:
    log = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    async with client_of(Faulty(settings(tmp_path), workers=1, most_waiting=1)) as client:
        told = await client.post("/inference", files={"file": written()})
    assert (told.status_code, list(told.json())) == (503, ["error"])
    assert "retry-after" in told.headers
    assert "unforeseen" not in told.text
    assert "was unforeseen" in log.getvalue()


def client_of(crew: Crew) -> httpx.AsyncClient:
    """Asks without a network."""
    transport = httpx.ASGITransport(application(crew))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


OPENED = """
import sys
import msgspec
from beepwatch.web.inference.settings import Settings
from beepwatch.web.inference.worker import opened

opened(msgspec.json.decode(sys.argv[1], type=Settings))
print(*sorted({"torch", "scipy", "sklearn", "onnx", "threadpoolctl"} & set(sys.modules)))
"""


@pytest.mark.parametrize("kind", ["sounds", "machine", "recordings"])
def test_nothing_that_only_training_needs_is_loaded(kind: str, tmp_path: Path) -> None:
    """The container has none of it."""
    learned_fan(tmp_path, faults=True)
    wanted: dict[str, Settings] = {
        "sounds": settings(tmp_path),
        "machine": Machine(name="fan", state=str(tmp_path), enough_s=60.0),
        "recordings": Recordings(bundle=str(loudness_bundle(tmp_path / "loudness"))),
    }
    encoded = msgspec.json.encode(wanted[kind]).decode()
    command = [sys.executable, "-c", OPENED, encoded]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout == "\n"
