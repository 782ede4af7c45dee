"""What every child has of its connection: messages, heartbeats, and the supervisor's death."""

from multiprocessing import Pipe

import pytest

from beepwatch.clock import ManualClock, SystemClock
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.messages import (
    Heartbeat,
    Poke,
    decode,
)
from tests.daemon.loud import START


def test_a_heartbeat_goes_out_when_the_last_one_is_old_enough() -> None:
    ours, theirs = Pipe()
    clock = ManualClock(START)
    link = Link(theirs, clock)
    for after_s in (0.0, 1.0, 1.0, 0.5):
        clock.advance(after_s)
        link.beat({"turns": 1})
    theirs.close()
    beats = [decode(ours.recv_bytes()) for _ in range(2)]
    with pytest.raises(EOFError):
        ours.recv_bytes()
    assert beats == [Heartbeat(counts={"turns": 1})] * 2
    ours.close()


def test_a_child_whose_supervisor_is_gone_learns_of_it_both_ways() -> None:
    ours, theirs = Pipe()
    ours.close()
    link = Link(theirs, SystemClock())
    with pytest.raises(SupervisorGone):
        link.send(Poke())
    with pytest.raises(SupervisorGone):
        link.receive(0.0)
    theirs.close()


def test_bytes_that_are_no_message_are_the_end_of_the_connection() -> None:
    ours, theirs = Pipe()
    ours.send_bytes(b"\xc1")
    with pytest.raises(SupervisorGone):
        Link(theirs, SystemClock()).receive(1.0)
    ours.close()
    theirs.close()
