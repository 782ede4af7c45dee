"""The whole daemon killed at once, five times; 200 times it is in benchmarks/power_cuts.py, and its
writer and sender are in tests/daemon/test_power_cut.py.
"""

import random
import re
import threading
import time
from pathlib import Path

import pytest

import beepwatch.daemon
from beepwatch.store.database import Database
from tests.bot_api import BotApi
from tests.end_to_end.daemon import CHAT_ID, Daemon, daemon
from tests.end_to_end.sounds import BEEPS, with_silence

CUTS = 5
RECORDING = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
NO_COOLDOWN = """
[notify.console]
enabled = false
[[rules]]
label = "beep"
cooldown_s = 0
"""
LONGEST_S = 20.0  # until the next message, on a busy machine
SOON_S = 0.3


def message_of_each_alert(state: Path) -> dict[int, str]:
    """The chat's message that told of each alert that is marked as sent; the rest is to be told."""
    database = Database(state)
    assert database.integrity() == []
    with database.reading() as sql:
        rows = sql.execute(
            "SELECT alert_id, reference FROM deliveries WHERE channel = ? AND state = 'sent'",
            (f"telegram:{CHAT_ID}",),
        ).fetchall()
        (pending,) = sql.execute("SELECT count(*) FROM deliveries WHERE state <> 'sent'").fetchone()
    database.close()
    sent = {row[0]: re.findall(r"\d+", row[1])[-1] for row in rows}
    return sent | {-1: str(pending)}


def cut(beepwatch: Daemon, api: BotApi, moments: random.Random) -> None:
    """Kill every process of it, a moment after some message."""
    messages = len(api.messages) + moments.randint(1, 4)
    give_up_s = time.monotonic() + LONGEST_S
    while len(api.messages) < messages and time.monotonic() < give_up_s:
        threading.Event().wait(0.002)
    threading.Event().wait(moments.uniform(0, SOON_S))
    beepwatch.cut_power()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_power_cut_loses_no_alert_and_repeats_none_that_was_told(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - with which a failure can be had again
    moments = random.Random(seed)  # noqa: S311 - no secret
    short = with_silence(BEEPS, tmp_path / "room.wav", 1.0, 4.0)
    earlier: dict[int, str] = {}
    with BotApi() as api, daemon(tmp_path) as beepwatch:
        beepwatch.configure(NO_COOLDOWN, api)
        for _ in range(CUTS):
            beepwatch.start("--source", f"file:{RECORDING}", "--speed", "max")
            cut(beepwatch, api, moments)
            now = message_of_each_alert(beepwatch.state)
            del now[-1]
            assert earlier.items() <= now.items(), "an alert that was told was told anew"
            earlier = now
        beepwatch.start("--source", f"file:{short}", "--speed", "max")
        assert beepwatch.wait() == 0
        final = message_of_each_alert(beepwatch.state)
        came = [str(message.id) for message in api.messages]
    assert final.pop(-1) == "0"
    assert earlier.items() <= final.items()
    assert set(final.values()) <= set(came)
    assert len(set(came) - set(final.values())) <= CUTS, "more than those on their way"
    assert len(final) > CUTS
