"""The messenger's own soak tells what it writes, by the real process."""

import random
from contextlib import closing
from pathlib import Path

from beepwatch.store.database import Database
from benchmarks.messenger import ALERTS_A_DAY, Messenger, notes, tell
from benchmarks.soak import ForgetfulApi

CHANCE = random.Random(1)  # noqa: S311 - lengths of clips


def test_every_alert_is_told_once_and_edited_and_looked_at(tmp_path: Path) -> None:
    api = ForgetfulApi()
    with api:
        messenger = Messenger(tmp_path, api)
        try:
            with closing(Database(tmp_path)) as database:
                samples = tell(messenger, database, 24 * 3 / ALERTS_A_DAY, CHANCE)
            messenger.finish()
        finally:
            messenger.child.put_to_rest()
    assert api.counts["sendVoice"] == 3
    assert api.counts["editMessageCaption"] >= 3
    assert len(samples) == 3
    assert min(sample.set_mb for sample in samples) > 10
    assert len(list(tmp_path.rglob("*.mp3"))) == 6


def test_a_burst_is_an_alert_its_end_and_a_second_episode() -> None:
    first, whole, second = notes(0, CHANCE)
    assert [one.alert is not None for one in (first, whole, second)] == [True, False, False]
    assert [one.covered for one in (first, whole, second)] == [False, False, True]
    assert first.clip is not None
    assert whole.clip is not None
    assert whole.clip.pcm.startswith(first.clip.pcm)
    assert first.episode == whole.episode != second.episode
