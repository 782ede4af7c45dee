"""Events, clips and alerts as a day in the laundry room brings them."""

from datetime import UTC, datetime, timedelta

from beepwatch.messages import Alert, AlertKind, Clip, Event

NOON = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def beep(
    onset_s: float = 0, pulses: int = 1, *, final: bool = False, id: int | None = None
) -> Event:
    """An episode whose pulses are a second apart."""
    return Event(
        id=id,
        label="beep",
        onset=at(onset_s),
        offset=at(onset_s + pulses - 0.8),
        pulses=pulses,
        peak_score=0.97,
        model_id="beep-1",
        final=final,
    )


def heard(key: str = "first", *, created_s: float = 0, due_s: float | None = None) -> Alert:
    """What is told of a beep."""
    return Alert(
        kind=AlertKind.HEARD,
        text="beep",
        created_at=at(created_s),
        due_at=at(created_s if due_s is None else due_s),
        dedupe_key=key,
    )


def notice(key: str = "start", *, created_s: float = 0) -> Alert:
    """What is told without a beep."""
    return Alert(
        kind=AlertKind.STARTED,
        text="listening",
        created_at=at(created_s),
        due_at=at(created_s),
        dedupe_key=key,
    )


def sound(length_s: float = 1.0, rate_hz: int = 16_000) -> Clip:
    """A clip whose samples count up, so that two lengths differ."""
    samples = round(length_s * rate_hz)
    pcm = b"".join((i % 1_000).to_bytes(2, "little") for i in range(samples))
    return Clip(pcm=pcm, rate_hz=rate_hz, started_at=NOON)
