"""What all messages have in common."""

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What goes over a connection; its class name is its tag."""
