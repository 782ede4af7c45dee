"""What every server here listens with."""

import socket
from contextlib import closing

from beepwatch.web.serving import listen


def test_an_answer_in_two_pieces_does_not_wait_for_the_client_between_them() -> None:
    """Nagle's algorithm and a client that acknowledges late would cost 40 ms each time."""
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()[:2]),
        closing(listening.accept()[0]) as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
