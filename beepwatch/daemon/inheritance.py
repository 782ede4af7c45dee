"""What a child's next life has to know of those before it."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from beepwatch.daemon.settings import ClassifierSettings, MessengerSettings, RecorderSettings
from beepwatch.messages import Fault, FaultKind, Place, Quiet, Window

# A life that has not told of them cannot call them over.
_INHERITED = frozenset(
    {FaultKind.NO_DEVICE, FaultKind.STALLED, FaultKind.ALL_ZERO, FaultKind.DISK_FULL}
)
_AWAY = frozenset({FaultKind.NO_DEVICE, FaultKind.STALLED})


def with_place(settings: RecorderSettings, span: Window | Quiet) -> RecorderSettings:
    """How far a recording was heard."""
    begun_s = span.first_sample / span.rate_hz
    place = Place(
        source=span.source,
        stream_id=span.stream_id,
        until_sample=span.first_sample + span.samples,
        began_at=span.started_at - timedelta(seconds=begun_s),
        began_mono_s=span.started_mono_s - begun_s,
    )
    return msgspec.structs.replace(settings, resume=place)


def with_fault(settings: Any, fault: Fault) -> Any:  # noqa: ANN401 - each child has its own
    """What was told to be wrong, until it is told to be over."""
    if fault.kind not in _INHERITED:
        return settings
    others = tuple(known for known in settings.faults if known.kind is not fault.kind)
    faults = others if fault.cleared else (*others, fault)
    return msgspec.structs.replace(settings, faults=faults)


def hang(settings: RecorderSettings, now: datetime) -> Fault | None:
    """A recorder that hangs hears nothing; a fault, unless the source is known to be away."""
    if any(known.kind in _AWAY for known in settings.faults):
        return None
    return Fault(
        kind=FaultKind.STALLED,
        text="the recorder hangs and hears nothing. It is started again; if that does not help, "
        "restart the sound server (PipeWire or PulseAudio) or the machine.",
        since=now,
    )


def as_planned(settings: Any) -> Any:  # noqa: ANN401 - each child has its own
    """Without what was inherited, which is no part of the configuration."""
    match settings:
        case RecorderSettings():
            return msgspec.structs.replace(settings, resume=None, faults=(), keepsake=None)
        case ClassifierSettings():
            return msgspec.structs.replace(settings, faults=())
        case MessengerSettings():
            return msgspec.structs.replace(settings, faults=(), memo=None)
        case _:
            return settings


def inheriting(settings: Any, before: Any) -> Any:  # noqa: ANN401 - each child has its own
    """New settings, with what was heard and told before: the end of a fault is still to be told,
    and no recording is to be heard twice.
    """
    match settings:
        case RecorderSettings():
            return msgspec.structs.replace(
                settings, resume=before.resume, faults=before.faults, keepsake=before.keepsake
            )
        case ClassifierSettings():
            return msgspec.structs.replace(settings, faults=before.faults)
        case MessengerSettings():
            return msgspec.structs.replace(settings, faults=before.faults, memo=before.memo)
        case _:
            return settings
