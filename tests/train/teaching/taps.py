"""A state directory in which events with clips were told and judged."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.messages import Clip, Event, Verdict
from beepwatch.notify.clips import as_wav
from beepwatch.store.corrections import Corrections
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def tap(
    state: Path, pcm: NDArray[np.int16], verdict: Verdict, *, label: str = "beep", rate_hz: int
) -> int:
    """An event that was told with this sound, and what somebody tapped under it; its number."""
    database = Database(state)
    clip = Clip(pcm=pcm.tobytes(), rate_hz=rate_hz, started_at=NOON)
    event = Event(
        label=label,
        onset=NOON,
        offset=NOON + timedelta(seconds=len(pcm) / rate_hz),
        pulses=1,
        peak_score=0.99,
        model_id="0" * 12,
        final=True,
    )
    written = Outbox(database).write(event=event, clip=clip, channels=[])
    assert written.event_id is not None
    sound = as_wav(clip)
    Library(database).keep(written.event_id, 1, sound.content, sound.suffix)
    judge(database, written.event_id, verdict)
    database.close()
    return written.event_id


def judge(database: Database, event_id: int, verdict: Verdict) -> None:
    """A tap, and the clip kept as the messenger keeps it."""
    ours = Corrections(database)
    assert ours.judge(event_id, verdict, 7, NOON)
    ours.keep_clips()
