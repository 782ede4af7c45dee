"""The token is found wherever it could come to, and every fault is one."""

import base64
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import benchmarks.canary_watch
from benchmarks.canary import PLACES, made
from benchmarks.canary_faults import WAYS, Harm, Luck, wrong_settings
from benchmarks.canary_life import Life
from benchmarks.canary_server import ANSWERS, FaultyApi
from benchmarks.canary_watch import Looker
from tests.end_to_end.daemon import Daemon, daemon
from tests.security.canary import Canary, Search

TOKEN = "7654321098:CANARYbirdSingsInTheMine1234567890ab"  # noqa: S105 - as a bot's looks
HALF = TOKEN.partition(":")[2]
BEEP = Path(__file__).parents[2] / "models" / "beep"


class InOrder(random.Random):
    """Faults come after all good answers."""

    def shuffle(self, _x: Any) -> None:  # noqa: ANN401 - of random.Random
        """Leave it."""


@pytest.fixture
def search() -> Search:
    """For the token."""
    return Search(Canary(TOKEN))


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Daemon]:
    """A room with a daemon that has not been started, and what it would have written."""
    for name in ("state", "tmp", "work", "home"):
        (tmp_path / name).mkdir()
    with daemon(tmp_path) as beepwatch:
        beepwatch.log.touch()
        yield beepwatch


@pytest.fixture
def api(search: Search) -> Iterator[FaultyApi]:
    """Its first four dozen answers are good ones."""
    with FaultyApi(search, InOrder()) as server:
        assert isinstance(server, FaultyApi)
        yield server


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        HALF,
        HALF[:20],
        HALF[-20:],
        f"/bot{TOKEN.replace(':', '%3A')}/getMe",
        TOKEN.upper(),
        TOKEN.encode().hex(),
        TOKEN.encode().hex(" ").upper().replace(" ", ""),
        "".join(f"%{byte:02x}" for byte in TOKEN.encode()),
        *(base64.b64encode(f"{'x' * number}{TOKEN}".encode()).decode() for number in range(3)),
        *(base64.urlsafe_b64encode(f"{'~' * number}{HALF}".encode()).decode() for number in (1, 2)),
    ],
)
def test_it_is_found_however_it_is_written(text: str) -> None:
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        assert Canary(TOKEN).place_in(f"before {text} after".encode(encoding)) is not None or (
            encoding != "utf-8" and HALF not in text
        )


def test_the_number_of_the_bot_and_other_tokens_are_not_it() -> None:
    other = made(InOrder(1)).token
    for text in ("7654321098", other, HALF[:11], base64.b64encode(other.encode()).decode()):
        assert Canary(TOKEN).place_in(text.encode()) is None


# Places


def in_the_log(one: Daemon) -> None:
    with one.log.open("ab") as file:
        file.write(f'{{"event": "{TOKEN}"}}\n'.encode())


def in_the_database(one: Daemon) -> None:
    """Deleted again, which leaves it in the write-ahead log."""
    with closing(sqlite3.connect(one.state / "beepwatch.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript("CREATE TABLE errors (text); BEGIN")
        database.execute("INSERT INTO errors VALUES (?)", (f"no such bot: {HALF}",))
        database.commit()
        database.execute("DELETE FROM errors")
        database.commit()
        for suffix in ("", "-wal"):  # the last one to close it takes the log away
            file = one.state / f"beepwatch.db{suffix}"
            shutil.copy(file, one.state / f"beepwatch.db.copy{suffix}")


def in_a_clips_name(one: Daemon) -> None:
    (one.state / f"{HALF}.mp3").write_bytes(b"ID3")


def in_a_clips_tags(one: Daemon) -> None:
    (one.state / "a.mp3").write_bytes(b"ID3\x04\0TIT2\1\xff\xfe" + TOKEN.encode("utf-16-le"))


def in_a_temporary_file(one: Daemon) -> None:
    (one.directory / "tmp" / "tmpabc").write_text(TOKEN)


def in_the_home(one: Daemon) -> None:
    (one.directory / "home" / ".cache").mkdir()
    (one.directory / "home" / ".cache" / "bot").write_text(TOKEN)


def in_a_core(one: Daemon) -> None:
    (one.directory / "work" / "core.17").write_bytes(b"\x7fELF" + TOKEN.encode())


def in_memory(one: Daemon) -> None:
    place = one.directory / "shm" / "beepwatch-0-abc"
    place.mkdir(parents=True)
    (place / "beepwatch.db").write_text(TOKEN)


def in_the_status(one: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        notifying.sendto(f"STATUS=refused: {TOKEN}".encode(), str(one.directory / "manager"))


@pytest.mark.parametrize(
    ("leak", "kind"),
    [
        (in_the_log, "log"),
        (in_the_database, "database"),
        (in_a_clips_name, "names"),
        (in_a_clips_tags, "clips"),
        (in_a_temporary_file, "other files"),
        (in_the_home, "other files"),
        (in_a_core, "cores"),
        (in_memory, "database"),
        (in_the_status, "service manager"),
    ],
)
def test_it_is_found_where_a_daemon_could_leave_it(
    one: Daemon,
    search: Search,
    leak: Callable[[Daemon], None],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(benchmarks.canary_watch, "PLACES", (one.directory / "shm",))
    with closing(Looker(one, search, token_in_environment=False)) as looker:
        leak(one)
        looker.look(everywhere=True)
    assert {kind_of_place(place) for place in search.found} == {kind}


def test_a_look_takes_no_lock_from_who_uses_the_database(one: Daemon, search: Search) -> None:
    file = one.state / "beepwatch.db"
    begin = "import sqlite3, sys; sqlite3.connect(sys.argv[1], 0).execute('BEGIN IMMEDIATE')"
    with closing(sqlite3.connect(file)) as database:
        database.execute("BEGIN IMMEDIATE")
        search.look_below(one.state)
        other = subprocess.run(
            [sys.executable, "-c", begin, file], capture_output=True, text=True, check=False
        )
    assert "database is locked" in other.stderr
    assert search.searched["names"] > 0


def test_a_temporary_file_is_found_while_it_is_there(one: Daemon, search: Search) -> None:
    file = one.directory / "tmp" / "tmpabc"
    with Looker(one, search, token_in_environment=False).looking():
        file.write_text(TOKEN)
        wait_until(lambda: bool(search.found))
        file.unlink()
    assert list(search.found) == ["other files tmpabc"]


def test_it_is_found_in_the_log_where_two_looks_meet(one: Daemon, search: Search) -> None:
    with closing(Looker(one, search, token_in_environment=False)) as looker:
        for piece in (TOKEN[:25], TOKEN[25:]):
            with one.log.open("a") as file:
                file.write(piece)
            looker.look(everywhere=False)
    assert [kind_of_place(place) for place in search.found] == ["log"]


@pytest.mark.parametrize(
    ("command", "in_environment", "found"),
    [
        ("exec sleep 60", False, "environments"),
        ("sleep 60 & wait", True, "environments"),  # it was handed on
        (f": {TOKEN}; sleep 60; :", True, "command lines"),
    ],
)
@pytest.mark.parametrize("verb", [True, False])
def test_it_is_found_in_what_processes_show(
    one: Daemon, search: Search, command: str, in_environment: bool, found: str, verb: bool
) -> None:
    looker = Looker(one, search, token_in_environment=in_environment)
    variables = {} if TOKEN in command else {"BOT": TOKEN}
    with running(command, variables) as pid, looker.looking():
        looker.watch(pid, verb=verb)
        wait_until(lambda: bool(search.found))
    assert {kind_of_place(place) for place in search.found} == {found}


def test_whom_it_was_given_by_the_environment_may_have_it_there(
    one: Daemon, search: Search
) -> None:
    with (
        closing(Looker(one, search, token_in_environment=True)) as looker,
        running("exec sleep 60", {"BOT": TOKEN}) as pid,
    ):
        looker.watch(pid)
        looker.look(everywhere=True)
    assert looker.daemon.environments
    assert search.found == {}


def test_on_the_wire_it_belongs_into_the_path_alone(api: FaultyApi, search: Search) -> None:
    call(api, "getMe")
    assert search.searched["wire: headers"] > 0
    assert search.found == {}
    assert api.with_token == 1
    call(api, "getMe", headers={"Referer": f"/bot{TOKEN}/getMe"})
    assert list(search.found) == ["wire: headers"]
    call(api, f"getMe?again={HALF}")
    call(api, "sendMessage", b"chat_id=1&text=" + TOKEN.encode())
    assert list(search.found) == ["wire: headers", "wire: bodies sendMessage"]
    call(api, "sendVoice", form(b"ID3"), FORM)
    assert len(search.found) == 2
    call(api, "sendVoice", form(b"ID3" + TOKEN.encode()), FORM)
    assert list(search.found)[2:] == ["wire: bodies sendVoice"]


@pytest.mark.slow
def test_it_is_found_in_what_verbs_say_and_on_pages(
    one: Daemon, api: FaultyApi, search: Search, tmp_path: Path
) -> None:
    """As a setting that is no secret, and as the name of a model."""
    bundle = tmp_path / "bundle"
    shutil.copytree(BEEP, bundle)
    told = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**told, "name": HALF}))
    one.configure(f'[notify]\nroom = "{HALF}"\n[model]\nbundle = "{bundle}"\n', api)
    with closing(Looker(one, search, token_in_environment=False)) as looker:
        harm = Harm(
            life=Life(one, looker, sound=0),
            api=api,
            search=search,
            given=tmp_path,
            disk=None,
            luck=Luck(InOrder()),
        )
        assert harm.do("config show")
        assert list(search.found) == ["verbs config show"]
        assert harm.do("pages")
    assert "pages" in search.found


# Faults


def test_every_way_to_write_the_token_wrongly_is_another_file_that_holds_it(
    one: Daemon, api: FaultyApi, tmp_path: Path
) -> None:
    one.configure("", api)
    good = one.config.read_text() + 'token_file = "elsewhere"\n'
    ways = wrong_settings(good, Canary(TOKEN), tmp_path)
    assert tuple(ways) == WAYS
    assert len(set(ways.values())) == len(ways)
    for text in ways.values():
        file = re.search(r'token_file = "(.*)"', text)
        held = Path(file[1]).read_text() if file and Path(file[1]).is_file() else text
        assert HALF in held


def test_the_server_fails_in_every_way_that_it_knows(search: Search) -> None:
    with FaultyApi(search, InOrder()) as server:
        assert isinstance(server, FaultyApi)
        met = [server.fault_for("getMe") for _ in range(200)]
    assert set(server.given) == set(ANSWERS)
    assert sum(server.given.values()) == sum(fault is not None for fault in met)
    assert 0.3 < sum(server.given.values()) / 200 < 0.6


# What the tests above lean on


def kind_of_place(place: str) -> str:
    return max((kind for kind in (*PLACES, "cores") if place.startswith(kind)), key=len)


def wait_until(true: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 60
    while not true():
        assert time.monotonic() < give_up_s
        threading.Event().wait(0.02)


@contextmanager
def running(command: str, variables: dict[str, str]) -> Iterator[int]:
    """A shell and what it starts; its process."""
    process = subprocess.Popen(
        ["sh", "-c", command], env={"PATH": os.defpath, **variables}, start_new_session=True
    )
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def call(
    api: FaultyApi, method: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    url = urlsplit(f"{api.base_url}{TOKEN}/{method}")
    with closing(http.client.HTTPConnection(url.netloc)) as connection:
        connection.request("POST", url.geturl().partition(url.netloc)[2], body, headers or {})
        connection.getresponse().read()


FORM = {"Content-Type": "multipart/form-data; boundary=abc"}


def form(content: bytes) -> bytes:
    """With a chat and a voice message."""
    field = b'Content-Disposition: form-data; name="chat_id"\r\n\r\n1'
    file = b'Content-Disposition: form-data; name="voice"; filename="a.mp3"\r\n\r\n' + content
    return b"--abc\r\n" + field + b"\r\n--abc\r\n" + file + b"\r\n--abc--\r\n"
