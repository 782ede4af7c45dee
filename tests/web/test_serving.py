"""What every server here listens with."""

import socket
from contextlib import closing

import pytest

from beepwatch.errors import ConfigurationError
from beepwatch.web.serving import listen


def test_an_answer_in_two_pieces_does_not_wait_for_the_client_between_them() -> None:
    """Nagle's algorithm and a client that acknowledges late would cost 40 ms each time."""
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()[:2]),
        closing(listening.accept()[0]) as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize("host", ["a" * 70, "a..b"])
def test_a_host_that_can_be_none_is_one_clear_line(host: str) -> None:
    """Names have labels of 1 to 63 letters."""
    with pytest.raises(ConfigurationError, match=f"cannot listen on {host} port 0: .*--host"):
        listen(host, 0)
