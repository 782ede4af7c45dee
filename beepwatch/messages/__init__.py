"""The types that travel between stations and processes.

Every message is frozen, keyword-only and complete, with its units in the names. On the wire it is
msgpack with a tag (`encode`, `decode`), so that nothing is ever unpickled.
"""

import msgspec

from beepwatch.messages.message import Message
from beepwatch.messages.processes import (
    Done,
    Failed,
    Fault,
    FaultKind,
    Finish,
    Finished,
    Heartbeat,
    Noted,
    Poke,
    Ready,
)
from beepwatch.messages.sound import Clip, Ended, Hum, Listening, Place, Quiet, Scores, Span, Window
from beepwatch.messages.told import (
    Alert,
    AlertKind,
    Chosen,
    Delivery,
    DeliveryState,
    Event,
    Verdict,
)
from beepwatch.messages.wishes import (
    PIECE_BYTES,
    Condition,
    Inquiry,
    Listen,
    MachineStanding,
    MachineStandings,
    Piece,
    Taken,
    Watch,
)

__all__ = [
    "PIECE_BYTES",
    "Alert",
    "AlertKind",
    "AnyMessage",
    "Chosen",
    "Clip",
    "Condition",
    "Delivery",
    "DeliveryState",
    "Done",
    "Ended",
    "Event",
    "Failed",
    "Fault",
    "FaultKind",
    "Finish",
    "Finished",
    "Heartbeat",
    "Hum",
    "Inquiry",
    "Listen",
    "Listening",
    "MachineStanding",
    "MachineStandings",
    "Message",
    "Noted",
    "Piece",
    "Place",
    "Poke",
    "Quiet",
    "Ready",
    "Scores",
    "Span",
    "Taken",
    "Verdict",
    "Watch",
    "Window",
    "decode",
    "encode",
]

AnyMessage = (
    Window
    | Quiet
    | Hum
    | Ended
    | Listening
    | Fault
    | Failed
    | Heartbeat
    | Ready
    | Done
    | Finish
    | Finished
    | Poke
    | Noted
    | Alert
    | Inquiry
    | MachineStandings
    | Condition
    | Listen
    | Piece
    | Taken
    | Watch
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """The message as tagged msgpack."""
    return _encoder.encode(message)


def decode(data: bytes) -> AnyMessage:
    """The message that `encode` wrote; msgspec.DecodeError when it is none."""
    return _decoder.decode(data)
