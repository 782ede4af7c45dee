"""No secret reaches a log: not by httpx's request lines, tracebacks or objects, in no rendering."""

import errno
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import structlog

from beepwatch.logs import LogSettings, Redactor, configure_logging
from beepwatch.secrecy import Secret

CANARY = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
PASSWORD = 'xyzzy"with\\odd\ncharacters'  # noqa: S105 - none of anything


class Terminal(io.StringIO):
    """A standard error that may be a terminal."""

    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


def logged_to(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, settings: LogSettings | None = None
) -> None:
    """Configure the log of a process whose standard error this is."""
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logging(settings or LogSettings())


@pytest.fixture(params=[True, False], ids=["console", "json"])
def written(request: pytest.FixtureRequest) -> Terminal:
    """A terminal, or a file."""
    return Terminal(tty=request.param)


class Telling:
    """An object whose repr says more than its str."""

    def __str__(self) -> str:
        return "harmless"

    def __repr__(self) -> str:
        return f"Telling({CANARY})"


def log_the_canary_in_every_way() -> None:
    log = structlog.get_logger()
    log.warning("said", token=CANARY, nested={"list": [CANARY]}, raw=CANARY.encode())
    log.warning(f"named_{CANARY}")
    log.warning("object", one=Telling(), many=[Telling()])
    log.debug("unlikely", password=PASSWORD)
    try:
        raise ValueError(f"The token `{CANARY}` was rejected by the server.")
    except ValueError as error:
        log.exception("failed")
        log.error("failed_again", exc_info=error)
        log.error("and_again", exc_info=sys.exc_info())
        logging.getLogger("telegram.ext").exception("polling with %s", CANARY)
    logging.getLogger("foreign").error("%r", Telling())
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.post(f"https://api.telegram.org/bot{CANARY}/sendMessage")
        client.get(f"https://api.telegram.org/bot{CANARY.replace(':', '%3A')}/getMe")


@pytest.mark.parametrize("secrets", [(Secret(CANARY), Secret(PASSWORD)), ()])
def test_a_token_is_in_no_log_whether_it_was_announced_or_not(
    written: Terminal, monkeypatch: pytest.MonkeyPatch, secrets: tuple[Secret, ...]
) -> None:
    logged_to(written, monkeypatch, LogSettings(level="debug", secrets=secrets))
    log_the_canary_in_every_way()
    text = written.getvalue()
    assert "sendMessage" in text
    assert "was rejected" in text
    assert CANARY.partition(":")[2] not in text
    if secrets:
        assert "xyzzy" not in text


def test_the_secret_half_of_a_token_is_in_no_log_either(
    written: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an address whose host it was put behind httpx says that the port is invalid."""
    logged_to(written, monkeypatch, LogSettings(secrets=(Secret(CANARY),)))
    with pytest.raises(httpx.InvalidURL) as caught:
        httpx.URL(f"http://localhost{CANARY}/getMe")
    structlog.get_logger().error("failed", reason=str(caught.value))
    assert CANARY.partition(":")[2] in str(caught.value)
    assert CANARY.partition(":")[2] not in written.getvalue()
    assert "Invalid port" in written.getvalue()


def test_the_password_of_an_address_is_in_no_log(
    written: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_to(written, monkeypatch, LogSettings(level="debug"))
    structlog.get_logger().info("opened", url="http://me:Nightingale@camera/stream?key=Nightingale")
    assert "Nightingale" not in written.getvalue()
    assert "camera/stream" in written.getvalue()


def test_away_from_a_terminal_every_line_is_a_json_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = Terminal(tty=False)
    logged_to(written, monkeypatch, LogSettings(level="debug"))
    log_the_canary_in_every_way()
    structlog.get_logger().info("heard", pulses=3, score=0.5, missing=None)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    heard = lines[-1]
    assert (heard["event"], heard["pulses"], heard["score"], heard["missing"]) == (
        "heard",
        3,
        0.5,
        None,
    )
    assert heard["timestamp"].endswith("Z")


def test_in_the_journal_each_line_begins_with_its_priority(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = Terminal(tty=False)
    logged_to(written, monkeypatch, LogSettings(level="debug", journal=True))
    log = structlog.get_logger()
    log.debug("looked")
    log.info("heard")
    log.warning("late")
    log.error("lost")
    logging.getLogger("httpx").critical("of a library")
    lines = written.getvalue().splitlines()
    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    events = [json.loads(line[3:])["event"] for line in lines]
    assert events == ["looked", "heard", "late", "lost", "of a library"]


@pytest.mark.parametrize(
    ("on_terminal", "alerts", "level", "shown"),
    [
        (True, True, "warning", False),
        (True, True, "debug", True),
        (True, False, "warning", True),
        (False, True, "warning", True),
    ],
)
def test_what_an_alert_tells_on_the_same_terminal_is_not_logged_there_as_well(
    on_terminal: bool, alerts: bool, level: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Terminal(tty=on_terminal)
    monkeypatch.setattr(sys, "stdout", Terminal(tty=on_terminal))
    logged_to(written, monkeypatch, LogSettings(level=level, alerts=alerts))
    structlog.get_logger().warning("fault", kind="no device", told=True)
    structlog.get_logger().warning("late", told=False)
    text = written.getvalue()
    assert ("no device" in text) is shown
    assert "late" in text
    assert "told" not in text


def test_a_secret_leaves_numbers_and_harmless_values_as_they_are() -> None:
    redactor = Redactor((Secret("12"), Secret("")))
    event = {"n": 12, "on": True, "none": None, "text": "a", "list": ["a"]}
    assert redactor(None, "", dict(event)) == event
    assert redactor.clean("x12y") == "x[redacted]y"


@pytest.mark.parametrize(("level", "shown"), [("info", False), ("debug", True)])
def test_a_line_for_every_request_comes_only_when_hunting_a_fault(
    written: Terminal, monkeypatch: pytest.MonkeyPatch, level: str, shown: bool
) -> None:
    logged_to(written, monkeypatch, LogSettings(level=level))
    logging.getLogger("httpx").info("HTTP Request: GET")
    structlog.get_logger().debug("detail")
    structlog.get_logger().info("news")
    text = written.getvalue()
    assert "news" in text
    assert ("HTTP Request" in text) is shown
    assert ("detail" in text) is shown


def test_who_hunts_a_fault_hears_all_whatever_was_configured_before(
    written: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_to(written, monkeypatch, LogSettings(level="error"))
    logged_to(written, monkeypatch, LogSettings(level="debug"))
    for library in ("httpx", "telegram"):
        logging.getLogger(library).info("%s speaks", library)
    assert "httpx speaks" in written.getvalue()
    assert "telegram speaks" in written.getvalue()


def test_configuring_twice_logs_once(written: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_to(written, monkeypatch)
    logged_to(written, monkeypatch)
    structlog.get_logger().warning("once")
    assert written.getvalue().count("once") == 1


class FullAtTimes(io.StringIO):
    """A log on a disk that may be full."""

    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(text)


def test_lines_that_a_full_disk_did_not_take_are_counted_and_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log, written = structlog.get_logger(), FullAtTimes()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging(LogSettings())
    log.info("before")
    written.full = True
    for number in range(3):
        log.info("lost", number=number)
    written.full = False
    log.info("after")
    log.info("and on")
    events = [json.loads(line)["event"] for line in written.getvalue().splitlines()]
    assert events == ["before", "3 lines of this log could not be written", "after", "and on"]
    assert capfd.readouterr() == ("", "")


def test_a_log_to_a_full_device_stops_nobody() -> None:
    """/dev/full takes nothing; the process goes on, and ends as it would have."""
    code = (
        "import structlog; from beepwatch.logs import LogSettings, configure_logging\n"
        "configure_logging(LogSettings())\n"
        "for number in range(1_000): structlog.get_logger().warning('lost', number=number)\n"
        "print('went on')\n"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stderr=full, stdout=subprocess.PIPE, text=True, check=True
        )
    assert done.stdout == "went on\n"


def test_a_line_that_cannot_be_formatted_is_told_as_ever(
    written: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_to(written, monkeypatch)
    logging.getLogger("wrong").warning("%d", "no number")
    assert "Logging error" in written.getvalue()
