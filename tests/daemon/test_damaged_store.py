"""A database that is damaged while the daemon runs: it ends, so that the next start mends it."""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from beepwatch.classify.bundle import find_bundle
from beepwatch.clock import SystemClock
from beepwatch.daemon import classifier
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.messages import Event, Failed, Finish, Quiet, Ready, Window
from beepwatch.sections import Model, Rule
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from tests.daemon.conversation import QUIET_LOGS, Conversation, recording

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def fill(directory: Path, events: int) -> None:
    database = Database(directory)
    for number in range(events):
        at = NOON + timedelta(minutes=number)
        Outbox(database).write(
            event=Event(
                label="beep",
                onset=at,
                offset=at,
                pulses=1,
                peak_score=0.9,
                model_id="m",
                final=True,
            )
        )
    database.close()


def test_a_database_damaged_while_the_classifier_runs_ends_the_daemon_with_what_to_do(
    tmp_path: Path,
) -> None:
    spans = [one for one in recording().hear() if isinstance(one, Window | Quiet)]
    fill(tmp_path, 300)
    settings = ClassifierSettings(
        bundle=find_bundle("beep"),
        model=Model(),
        rules=(Rule(label="beep"),),
        missing_after_s=0.0,
        channels=("console",),
        directory=tmp_path,
        since_s=SystemClock().mono_s(),
        live=False,
        logs=QUIET_LOGS,
    )
    child = Conversation(lambda connection: classifier.main(connection, settings))
    child.hear_until(Ready)
    path = tmp_path / "beepwatch.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(hashlib.shake_128(b"garbage").digest(size - 4_096))
    with suppress(OSError):  # it may end in the middle
        child.say(*spans, Finish(within_s=5.0))
    failed = [message for message in child.hear() if isinstance(message, Failed)]
    assert [message.exit_code for message in failed] == [1]
    assert "malformed" in failed[0].text
    assert "next start" in failed[0].text
