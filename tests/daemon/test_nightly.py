"""What was tapped is learnt at night, by a process of its own; the phone gets one line."""

import asyncio
import errno
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import beepwatch.daemon.chores
from beepwatch.classify.bundle import find_bundle
from beepwatch.clock import ManualClock
from beepwatch.daemon import messenger, nightly
from beepwatch.daemon.nightly import Learnt, Nightly, next_night
from beepwatch.daemon.settings import MessengerSettings
from beepwatch.messages import Finish, Finished, Heartbeat, Ready, Verdict
from beepwatch.secrecy import Secret
from beepwatch.sections import Console, Notify, Store, Teaching, Telegram
from beepwatch.store.corrections import Correction, corrections
from beepwatch.store.database import Database
from tests.bot_api import BotApi
from tests.daemon.conversation import QUIET_LOGS, Conversation
from tests.daemon.stage import PATIENCE_S
from tests.train.teaching.taps import tap

BERLIN = ZoneInfo("Europe/Berlin")
HALF_PAST_THREE = time(3, 30)
AN_EVENING = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where one clip was called wrong, and is none any more: quick to fail at."""
    state = tmp_path / "state"
    event_id = tap(state, np.ones(1_600, np.int16), Verdict.WRONG, rate_hz=16_000)
    (state / "feedback" / "beep" / f"{event_id}.wav").write_text("no sound at all")
    return state


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-01T02:29:59", "2026-03-01T02:30:00"),
        ("2026-03-01T02:30:00", "2026-03-02T02:30:00"),
        ("2026-03-28T12:00:00", "2026-03-29T01:30:00"),  # the night on which summer time begins
    ],
)
def test_the_next_night_is_by_the_clock_on_the_wall(now: str, due: str) -> None:
    found = next_night(datetime.fromisoformat(now).replace(tzinfo=UTC), HALF_PAST_THREE, BERLIN)
    assert found.astimezone(UTC) == datetime.fromisoformat(due).replace(tzinfo=UTC)


async def waiting(one: Nightly) -> "asyncio.Future[str]":
    """Its next line, for which it is not yet the time."""
    line = asyncio.ensure_future(anext(one.lines()))
    await asyncio.sleep(0.05)
    assert not line.done()
    return line


def test_at_the_time_the_process_is_started_and_what_it_says_is_told_once(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night later there is no new tap: the same is not tried, nor told, again."""
    monkeypatch.setattr(nightly, "LOOK_S", 0.01)
    clock = ManualClock(datetime(2026, 3, 1, 3, 29, tzinfo=UTC))
    database = Database(state)

    async def nights() -> tuple[str, str]:
        one = Nightly(HALF_PAST_THREE, UTC, clock, database, find_bundle("beep"))
        first = await waiting(one)
        clock.advance(60)
        line = await first
        return line, await one.learn()

    line, again = asyncio.run(nights())
    database.close()
    assert line.startswith("not learnt: event 1 was left out: ")
    assert again == ""


def test_a_clock_that_is_set_back_puts_no_night_off(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box whose clock was years ahead learns in the next night, not in years."""
    monkeypatch.setattr(nightly, "LOOK_S", 0.01)
    clock = ManualClock(datetime(2036, 3, 1, 3, 0, tzinfo=UTC))
    database = Database(state)

    async def night() -> str:
        one = Nightly(HALF_PAST_THREE, UTC, clock, database, find_bundle("beep"))
        line = await waiting(one)
        clock.set_utc(datetime(2026, 3, 1, 3, 29, tzinfo=UTC))
        await asyncio.sleep(0.05)
        clock.advance(60)
        return await asyncio.wait_for(line, 45)

    text = asyncio.run(night())
    database.close()
    assert text.startswith("not learnt: ")


def test_a_night_on_which_no_process_could_be_started_does_not_count(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly, "LOOK_S", 0.01)
    clock = ManualClock(AN_EVENING)
    database = Database(state)
    start = asyncio.create_subprocess_exec
    refused: list[None] = []

    async def refuse_once(*words: str, **more: Any) -> asyncio.subprocess.Process:  # noqa: ANN401
        if not refused:
            refused.append(None)
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return await start(*words, **more)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse_once)

    async def two_nights() -> str:
        one = Nightly(HALF_PAST_THREE, UTC, clock, database, find_bundle("beep"))
        line = asyncio.ensure_future(anext(one.lines()))
        for _ in range(2):
            await asyncio.sleep(0.05)
            clock.advance(24 * 3_600)
        return await asyncio.wait_for(line, 45)

    text = asyncio.run(two_nights())
    database.close()
    assert len(refused) == 1
    assert text.startswith("not learnt: event 1 was left out: ")


def test_a_process_that_cannot_learn_says_why(state: Path, tmp_path: Path) -> None:
    database = Database(state)
    one = Nightly(HALF_PAST_THREE, UTC, ManualClock(AN_EVENING), database, tmp_path)
    text = asyncio.run(one.learn())
    database.close()
    assert text.startswith("not learnt: ")
    assert "bundle.json" in text


def test_a_line_is_no_longer_than_a_phone_shows() -> None:
    assert Learnt().text() == ""
    assert Learnt(told=["a.", "b."], refused=["c."]).text() == (
        "learnt from your taps: a. b. not learnt: c."
    )
    text = Learnt(told=["wrong-1: learnt."] * 100).text()
    assert len(text) == nightly.LONGEST_TEXT
    assert text.endswith("…")


def learning_every_night(state: Path, api: BotApi) -> Conversation:
    """A messenger for which it is always the time."""
    settings = MessengerSettings(
        notify=Notify(
            console=Console(enabled=False),
            telegram=Telegram(chat_ids=(7,), base_url=api.base_url, commands=False),
        ),
        store=Store(directory=str(state), min_free_mb=0),
        token=Secret(api.token),
        channels=("telegram:7",),
        logs=QUIET_LOGS,
        teaching=Teaching(nightly="03:30"),
        bundle=find_bundle("beep"),
    )
    return Conversation(lambda connection: messenger.main(connection, settings))


def test_the_chat_is_told_in_the_morning(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly, "next_night", lambda now, _at, _zone: now)
    with BotApi() as api:
        child = learning_every_night(state, api)
        child.hear_until(Ready)
        posted = api.wait_for_message()
        child.say(Finish(within_s=20.0))
        assert [type(message) for message in child.hear()][-1] is Finished
    assert "not learnt: event 1 was left out" in posted.text


def test_a_bug_costs_one_night(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nothing would be learnt for the months that the messenger goes on."""
    monkeypatch.setattr(nightly, "next_night", lambda now, _at, _zone: now)
    monkeypatch.setattr(beepwatch.daemon.chores, "AGAIN_FIRST_S", 0.01)
    nights: list[None] = []

    def fail_once(database: Database) -> list[Correction]:
        nights.append(None)
        if len(nights) == 1:
            raise ValueError("a bug")
        return corrections(database)

    monkeypatch.setattr(nightly, "corrections", fail_once)
    with BotApi() as api:
        child = learning_every_night(state, api)
        try:
            child.hear_until(Ready)
            posted = api.wait_for_message(1, PATIENCE_S)
            child.say(Finish(within_s=20.0))
            (*_, counts, finished) = child.hear()
        finally:
            assert child.close()
    assert isinstance(finished, Finished)
    assert isinstance(counts, Heartbeat)
    assert counts.counts["chore_bugs"] == 1
    assert "not learnt: event 1 was left out" in posted.text
