"""Everything killed at once, at any moment, 200 times: what was written is told, and told once.

SIGKILL stands for the power cut: no process gets to finish anything. What it cannot show is a disk
that loses what it has not yet written; for that every commit is synced (`test_database.py`).
"""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.listing import event_rows
from tests.bot_api import BotApi
from tests.daemon.power_cut import send_until
from tests.store.pending import pending_by_channel

CUTS = 200
LONGEST_S = 0.2
SOON_S = 0.04
NOTHING_FOR_S = 30.0  # is told or filed, until a test gives up
LABEL = re.compile(r"beep-\d+-\d+\.")


class Group:
    """The writer and the sender of `power_cut.py`, killed together."""

    def __init__(self, state: Path, base_url: str) -> None:
        command = [sys.executable, "-m", "tests.daemon.power_cut", str(state), base_url]
        self._zygote = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.written: set[str] = set()

    def live_and_die(self, number: int, wait: Callable[[], None]) -> None:
        """One life, and what it said to have written."""
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(f"begin {number}\n")
        self._zygote.stdin.flush()
        group = int(self._read_until("group"))
        wait()
        os.killpg(group, signal.SIGKILL)
        self._read_until("gone")

    def close(self) -> None:
        """End what forks them."""
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.close()
        assert self._zygote.wait(10) == 0
        self._zygote.stdout.close()

    def _read_until(self, word: str) -> str:
        assert self._zygote.stdout is not None
        for line in self._zygote.stdout:
            first, _, rest = line.strip().partition(" ")
            if first == word:
                return rest
            assert first == "wrote", line
            self.written.add(rest)
        raise AssertionError(f"it ended before it said {word!r}")


def moment(moments: random.Random, api: BotApi) -> None:
    """Any moment of a life, or one soon after the server was asked for something."""
    if moments.random() < 0.5:
        threading.Event().wait(moments.uniform(0, LONGEST_S))
        return
    asked = len(api.requests) + moments.randint(1, 4)
    give_up_s = time.monotonic() + 10 * LONGEST_S
    while len(api.requests) < asked and time.monotonic() < give_up_s:
        threading.Event().wait(0.001)
    threading.Event().wait(moments.uniform(0, SOON_S))


def told(api: BotApi, since: int = 0) -> list[set[str]]:
    """The labels of each message, in the order of their coming."""
    return [set(LABEL.findall(message.text)) for message in api.messages[since:]]


def states(state: Path) -> tuple[dict[str, str], list[str]]:
    """The state of each label's alert, and what is wrong with the database."""
    database = Database(state)
    rows = event_rows(database)
    problems = database.integrity()
    database.close()
    return {row.label: row.alerts[0].state for row in rows}, problems


def drain(state: Path, base_url: str) -> None:
    """Start once more and let it finish."""

    async def until_all_is_told_and_filed() -> None:
        stop = asyncio.Event()
        sending = asyncio.create_task(send_until(state, base_url, stop))
        before: dict[str, int] = {}
        give_up_s = 0.0
        try:
            while left := left_to_do(state):
                if left != before:
                    before, give_up_s = left, time.monotonic() + NOTHING_FOR_S
                assert time.monotonic() < give_up_s, f"still to do: {left}"
                assert not sending.done()
                await asyncio.sleep(0.2)
        finally:
            stop.set()
            await sending

    asyncio.run(until_all_is_told_and_filed())


def left_to_do(state: Path) -> dict[str, int]:
    database = Database(state)
    left = {**pending_by_channel(database), "clips": len(Library(database).pending())}
    database.close()
    return {what: count for what, count in left.items() if count}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_200_power_cuts_lose_no_alert_and_repeat_none_that_was_told(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - with which a failure can be had again
    moments = random.Random(seed)  # noqa: S311 - no secret
    state = tmp_path / "state"
    sent: set[str] = set()
    doubled = 0
    with BotApi() as api:
        group = Group(state, api.base_url)
        for number in range(CUTS):
            seen = len(api.messages)
            group.live_and_die(number, lambda: moment(moments, api))
            now, problems = states(state)
            assert problems == []
            assert group.written <= now.keys()
            again = sent & {label for labels in told(api, seen) for label in labels}
            assert again == set(), f"told again after cut {number}"
            sent = {label for label, one in now.items() if one == "sent"}
            unmarked = [labels for labels in told(api, seen) if not labels <= sent]
            assert len(unmarked) <= 1, "more than the message that was on its way"
            doubled += len(unmarked)
        group.close()
        print("left:", left_to_do(state))  # noqa: T201
        drain(state, api.base_url)
        times_told = Counter(label for labels in told(api) for label in labels)
    final, problems = states(state)
    assert problems == []
    assert group.written <= times_told.keys() == final.keys()
    assert sum(times_told.values()) - len(times_told) <= doubled
    database = Database(state)
    rows = event_rows(database)
    database.close()
    assert all(row.clip is not None and Path(row.clip).read_bytes()[:4] == b"RIFF" for row in rows)
    assert len(group.written) > CUTS  # or there was no load to speak of
    print(f"{len(final)} alerts, {doubled} cuts between sending and its mark")  # noqa: T201
