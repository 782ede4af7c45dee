"""What the notify tests tell of: a beep, its alert, its sound, and waits that are short."""

import array
import math
from datetime import UTC, datetime, timedelta

from beepwatch.messages import Alert, AlertKind, Clip, Event
from beepwatch.notify.backoff import Waits

NOON = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
TONE_HZ = 2_000
SHORT_WAITS = Waits(
    first_s=0.01, largest_s=0.05, shut_s=0.05, longest_idle_s=0.05, beat_s=0.01, locked_s=0.01
)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def beep(
    onset_s: float = 0,
    pulses: int = 1,
    lasting_s: float = 0.4,
    *,
    final: bool = False,
    id: int | None = None,
    score: float = 0.98,
) -> Event:
    """An episode."""
    return Event(
        id=id,
        label="beep",
        onset=at(onset_s),
        offset=at(onset_s + lasting_s),
        pulses=pulses,
        peak_score=score,
        model_id="beep-1",
        final=final,
    )


def heard(key: str = "first", created_at: datetime = NOON) -> Alert:
    """What is told of a beep."""
    return Alert(
        kind=AlertKind.HEARD,
        text="beep",
        created_at=created_at,
        due_at=created_at,
        dedupe_key=key,
    )


def notice(key: str = "start", created_at: datetime = NOON) -> Alert:
    """What is told without a beep."""
    return Alert(
        kind=AlertKind.STARTED,
        text="beepwatch is listening",
        created_at=created_at,
        due_at=created_at,
        dedupe_key=key,
    )


def tone(length_s: float = 1.0, rate_hz: int = 16_000) -> Clip:
    """A sine at a quarter of full scale."""
    step = 2 * math.pi * TONE_HZ / rate_hz
    samples = array.array(
        "h", (round(8_192 * math.sin(step * i)) for i in range(round(length_s * rate_hz)))
    )
    return Clip(pcm=samples.tobytes(), rate_hz=rate_hz, started_at=NOON)
