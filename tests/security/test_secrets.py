"""A token and a password that are nowhere to be found after a day of faults."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

import psutil
import pytest

from beepwatch.capture.blocks import Block
from beepwatch.capture.network import NetworkStream
from beepwatch.capture.pipes import Ffmpeg
from beepwatch.cli import run_command_line
from beepwatch.clock import SystemClock
from beepwatch.errors import SourceError
from beepwatch.secrecy import without_secrets
from tests.bot_api import BAD_GATEWAY, INTERNAL, RESET_AFTER, RESET_BEFORE, UNAUTHORIZED, BotApi
from tests.capture.sounds import DATA
from tests.daemon.playing import RECORDING
from tests.end_to_end.daemon import Daemon, daemon
from tests.security.canary import Canary, Search
from tests.security.watching import Seen, files_that_hold, watched
from tests.web.inference.program import serving_program

CANARY = "7654321098:CANARYbirdSingsInTheMine1234567890ab"  # as a bot's token looks
TOKEN_WORD = CANARY.partition(":")[2].encode()
IN_A_URL = "p%40ss%27Nightingale"
PASSWORD_WORDS = (b"Nightingale", b"cDQwc3MlMjdOaWdodGluZ2FsZQ", b"cEBzcydOaWdodGluZ2FsZQ")
PATIENCE_S = 45.0


def wait_until(true: Callable[[], bool], what: str) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        threading.Event().wait(0.05)


def said_by(beepwatch: Daemon, *arguments: str) -> bytes:
    """Standard output and error of a verb, whatever its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "beepwatch", *arguments, "--config", beepwatch.config],
        env=beepwatch.environment,
        capture_output=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_bots_token_is_nowhere_after_a_day_of_faults(tmp_path: Path) -> None:
    token_file = tmp_path / "secret" / "token"
    token_file.parent.mkdir()
    token_file.write_text(CANARY)
    token_file.chmod(0o600)
    room = tmp_path / "room"
    room.mkdir()
    with BotApi(token=CANARY) as api, daemon(room) as beepwatch:
        del beepwatch.environment["BEEPWATCH_TELEGRAM_TOKEN"]
        beepwatch.configure("", api)
        good = beepwatch.config.read_text() + f'token_file = "{token_file}"\n'
        beepwatch.config.write_text(good)
        api.fail("sendMessage", INTERNAL, RESET_AFTER, BAD_GATEWAY, RESET_BEFORE)
        beepwatch.start("--debug", "--source", f"file:{RECORDING}", "--speed", "4")
        with watched(beepwatch.pid) as seen:
            _live_through(beepwatch, api, good)
            verbs = said_by(beepwatch, "doctor", "--source", f"file:{RECORDING}")
            verbs += said_by(beepwatch, "config", "show", "--debug")
            verbs += said_by(beepwatch, "events", "--json")
            assert beepwatch.stop() == 0
        log = beepwatch.log.read_bytes()

    assert {request.token for request in api.requests} == {CANARY}  # it was used all the time
    assert b"[redacted]" in log  # and would have been logged
    assert log.count(b"process_died") >= 3
    assert b'"label"' in verbs
    search = Search(Canary(CANARY))
    search.look("log", log)
    search.look("verbs", verbs)
    search.look_below(room)
    assert search.found == {}
    assert {"clips", "database", "names"} <= set(search.searched)
    assert_private(seen, TOKEN_WORD)


def _live_through(beepwatch: Daemon, api: BotApi, good: str) -> None:
    """Faults of the network, of every child, of the configuration, and a token that is refused."""
    api.wait_for_message(1, within_s=PATIENCE_S)
    children = beepwatch.children()
    for pid in children:
        os.kill(pid, signal.SIGSEGV)
    beepwatch.wait_for_log("process_died", times=len(children))
    beepwatch.config.write_text(good.replace("chat_ids", f'token = "{CANARY}"\nchat_ids'))
    os.kill(beepwatch.pid, signal.SIGHUP)
    beepwatch.wait_for_log("config_refused")
    beepwatch.config.write_text(good + '[notify]\nroom = "laundry"\n')
    os.kill(beepwatch.pid, signal.SIGHUP)
    beepwatch.wait_for_log("config_reloaded")
    wait_until(lambda: any(m.kind != "text" for m in api.messages), "a beep that is told")
    api.always("*", UNAUTHORIZED)
    beepwatch.wait_for_log("Unauthorized")


def assert_private(seen: Seen, *words: bytes) -> None:
    """Nothing that others can see of a process has one of these; no memory of it goes to a disk."""
    assert len(seen.core_limits) >= 4
    for word in words:
        assert not any(word in line for line in seen.command_lines)
        assert not any(word in variables for variables in seen.environments)
    assert set(seen.core_limits.values()) == {"0 0"}
    assert seen.listening == set()


@pytest.mark.slow
def test_a_token_in_the_environment_is_not_handed_on(tmp_path: Path) -> None:
    """To the children and to ffmpeg, which have the rest of it."""
    with BotApi(token=CANARY) as api, daemon(tmp_path) as beepwatch:
        beepwatch.environment["BEEPWATCH_TELEGRAM_TOKEN"] = CANARY
        beepwatch.environment["BEEPWATCH_NOTIFY__ROOM"] = "laundry"
        beepwatch.configure("", api)
        beepwatch.start("--source", f"file:{RECORDING}", "--speed", "4")
        api.wait_for_message(1, within_s=PATIENCE_S)
        running = psutil.Process(beepwatch.pid).children(recursive=True)
        environments = [process.environ() for process in running]
        assert beepwatch.stop() == 0
    assert len(environments) >= 4  # ffmpeg decodes the recording
    assert {one["BEEPWATCH_NOTIFY__ROOM"] for one in environments} == {"laundry"}
    assert not any(CANARY in one.values() for one in environments)


@pytest.mark.slow
@pytest.mark.parametrize("verb", [("doctor", "--source", "stdin"), ("telegram", "test")])
def test_a_verb_hands_a_token_in_its_environment_on_to_nobody(
    tmp_path: Path, verb: tuple[str, ...]
) -> None:
    """Nor to what a library starts for it."""
    program = tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\nenv >> "{tmp_path}/seen"\nexec {which("ffmpeg")} "$@"\n')
    program.chmod(0o700)
    with BotApi(token=CANARY) as api, daemon(tmp_path) as beepwatch:
        path = f"{tmp_path}:{os.defpath}"
        beepwatch.environment |= {"BEEPWATCH_TELEGRAM_TOKEN": CANARY, "PATH": path}
        beepwatch.configure("", api)
        said_by(beepwatch, *verb)
        assert {request.token for request in api.requests} == {CANARY}
    seen = (tmp_path / "seen").read_bytes()
    assert b"PATH=" in seen
    assert TOKEN_WORD not in seen


@pytest.mark.slow
def test_the_pages_of_the_server_hold_neither_token_nor_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are in what it was started with; among the answers are refusals."""
    config = tmp_path / "config.toml"
    config.write_text(f'[capture]\nsource = "stream:http://me:{IN_A_URL}@127.0.0.1:9/a"\n')
    monkeypatch.setenv("BEEPWATCH_TELEGRAM_TOKEN", CANARY)
    words = ("--workers", "1", "--debug", "--config", str(config))
    with serving_program(tmp_path / "state", *words) as server:
        paths = ("/", "/metrics", "/openapi.json", "/nothing")
        answers = [server.ask("GET", path) for path in paths]
        answers += [server.ask("GET", "/", Accept="text/html"), server.post(b"no sound")]
        (worker,) = psutil.Process(server.process.pid).children()
        environment = worker.environ()
        assert server.end() == 0
    assert [answer.status for answer in answers] == [200, 200, 200, 404, 200, 400]
    shown = b"".join(answer.content for answer in answers)
    shown += f"{server.said}{server.complained}{environment}".encode()
    assert not any(word in shown for word in (TOKEN_WORD, *PASSWORD_WORDS))


# The password of a stream


class Camera(BaseHTTPRequestHandler):
    """Wants a password; plays, refuses or hangs up, as its server's `answers` say."""

    server: "Cameras"

    def do_GET(self) -> None:
        """One connection."""
        given = self.headers.get("Authorization")
        if given is None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.server.given.append(given)
        answer = self.server.answers.pop(0) if self.server.answers else 200
        if answer == 0:
            return
        if answer != 200:
            self.send_error(answer)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write((DATA / "fire_alarm.flac").read_bytes())
        self.wfile.flush()
        self.server.playing.set()
        self.server.hang_up.wait(PATIENCE_S)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Cameras(ThreadingHTTPServer):
    """On loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Camera)
        self.answers: list[int] = []
        self.given: list[str] = []
        self.playing = threading.Event()
        self.hang_up = threading.Event()

    @property
    def url(self) -> str:
        """With user, password and a key among the parameters."""
        address = f"127.0.0.1:{self.server_port}"
        return f"http://me:{IN_A_URL}@{address}/audio?api_key=Nightingale&rate=16"


@pytest.fixture
def camera() -> Iterator[Cameras]:
    """Closed at the end."""
    server = Cameras()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.hang_up.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_streams_password_reaches_the_camera_and_no_list_of_processes(camera: Cameras) -> None:
    stream = NetworkStream(camera.url, SystemClock()).open()
    try:
        blocks = 0
        wait_s = time.monotonic() + PATIENCE_S
        while not blocks and time.monotonic() < wait_s:
            blocks += isinstance(stream.read(0.5), Block)
        seen = Seen()
        seen.look(os.getpid())
    finally:
        stream.close()
    assert blocks == 1
    assert camera.given == ["Basic bWU6cEBzcydOaWdodGluZ2FsZQ=="]  # me:p@ss'Nightingale
    (ffmpeg,) = (line for line in seen.command_lines if b"ffmpeg" in line.partition(b"\0")[0])
    assert not any(word in ffmpeg for word in PASSWORD_WORDS)


@pytest.mark.parametrize("answer", [0, 401, 404, 500])
def test_what_ffmpeg_says_of_a_stream_does_not_hold_the_password(
    camera: Cameras, answer: int
) -> None:
    camera.answers = [answer] * 9
    stream = NetworkStream(camera.url, SystemClock()).open()
    try:
        told = _until_lost(stream)
    finally:
        stream.close()
    assert camera.given
    assert told.startswith(f"stream:http://127.0.0.1:{camera.server_port}/audio ")
    assert "Nightingale" not in told


def _until_lost(stream: Ffmpeg) -> str:
    while True:
        try:
            stream.read(0.5)
        except SourceError as error:
            return str(error)


@pytest.mark.slow
def test_a_streams_password_is_nowhere_after_its_camera_failed(
    tmp_path: Path, camera: Cameras
) -> None:
    """In the configuration, which is the user's, and nowhere else."""
    room = tmp_path / "room"
    room.mkdir()
    settings = tmp_path / "config.toml"
    camera.answers = [404, 0]
    with BotApi() as api, daemon(room) as beepwatch:
        beepwatch.config = settings
        beepwatch.configure(f'[capture]\nsource = "stream:{camera.url}"\n', api)
        beepwatch.start("--debug")
        with watched(beepwatch.pid) as seen:
            assert camera.playing.wait(PATIENCE_S)
            beepwatch.wait_for_log("source_opened")
            camera.hang_up.set()
            verbs = said_by(beepwatch, "config", "show")
            verbs += said_by(beepwatch, "doctor")
            assert beepwatch.stop() == 0
        log = beepwatch.log.read_bytes()
    told = " ".join(message.text for message in api.messages).encode()
    assert b"source_lost" in log
    assert b"127.0.0.1" in verbs
    for word in PASSWORD_WORDS:
        assert word not in log + verbs + told
    assert files_that_hold(room, *PASSWORD_WORDS) == []
    assert_private(seen, *PASSWORD_WORDS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://me:a@b@camera/1", "rtsp://…@camera/1"),
        ("'rtsp://me:x@camera' and rtsp://b/a@c", "'rtsp://…@camera' and rtsp://b/a@c"),
        ("http://c/a?rate=8&Password=x#y", "http://c/a?rate=8&Password=…#y"),
        ("http://c/a?api_key=x&user=me", "http://c/a?api_key=…&user=me"),
    ],
)
def test_passwords_are_taken_out_of_urls(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


# The token where it does not belong


@pytest.mark.parametrize("where", ["", "/".join(["secrets of the house"] * 8) + "/"])
@pytest.mark.parametrize(
    "setting",
    [
        '[capture]\nsource = "{}"',
        '[model]\nbundle = "{}"',
        '[notify.telegram]\n"{}" = 1',
        '[notify.telegram]\ntoken_file = "{}"',
        '[store]\ndirectory = "/proc/{}"',
        '[teaching]\nnightly = "{}"',
        '[[rules]]\nlabel = "{}"',
    ],
)
def test_a_token_among_the_settings_is_not_repeated_by_whoever_complains_of_it(
    tmp_path: Path,
    setting: str,
    where: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor is the beginning of one, where a long value is cut off."""
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = tmp_path / "config.toml"
    settings.write_text(setting.format(f"{where}{CANARY}"))
    for verb in (["config", "check"], ["config", "show"], ["doctor", "--source", "file:/nothing"]):
        run_command_line([*verb, "--debug", "--config", str(settings)])
    said = "".join(capsys.readouterr())
    assert said
    assert Canary(CANARY).place_in(said.encode()) is None, said
