"""What --source understands, and what it says of the rest."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from beepwatch.capture.blocks import Block
from beepwatch.capture.network import NetworkStream
from beepwatch.capture.sources import parse_source
from beepwatch.clock import SystemClock
from beepwatch.errors import ConfigurationError, SourceError
from beepwatch.sections import Capture
from tests.capture.sounds import DATA, loudest_hz


@pytest.mark.parametrize(
    ("text", "name", "live", "paced"),
    [
        ("microphone", "microphone", True, False),
        ("microphone:USB Audio", "microphone:USB Audio", True, False),
        ("file:/tmp/a b.wav", "file:/tmp/a b.wav", False, True),
        ("stdin", "stdin", False, False),
        ("stream:rtsp://me:secret@camera:554/live", "stream:rtsp://camera:554/live", True, True),
        ("stream:http://radio/a.mp3?token=secret", "stream:http://radio/a.mp3", True, True),
    ],
)
def test_the_known_forms(text: str, name: str, live: bool, paced: bool) -> None:
    source = parse_source(Capture(source=text), clock=SystemClock())

    assert (source.name, source.live, source.paced) == (name, live, paced)


@pytest.mark.parametrize(
    "text",
    ["", "mic", "microphone:", "file:", "file", "stream:", "stdin:x", "stream:file:///etc/passwd"],
)
def test_anything_else_is_refused_with_what_is_known(text: str) -> None:
    with pytest.raises(ConfigurationError, match="stream:"):
        parse_source(Capture(source=text), clock=SystemClock())


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_source(Capture(source="stream:ftp://me:secret@host/a"), clock=SystemClock())

    assert "secret" not in str(caught.value)


@pytest.fixture
def radio() -> Iterator[str]:
    """A web radio that plays one clip, then hangs up."""

    class Radio(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in ("/alarm", "/alarm.flac"):
                self.send_error(404)
                return
            sound = (DATA / "fire_alarm.flac").read_bytes()
            self.send_response(200)
            if self.path == "/alarm.flac":  # as of a file, whose length is known
                self.send_header("Content-Length", str(len(sound)))
            self.end_headers()
            self.wfile.write(sound)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Radio)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def heard_until_the_loss(url: str) -> tuple[list[Block], str]:
    """What a stream gives, and what is said when it gives no more."""
    stream = NetworkStream(url, SystemClock()).open()
    blocks: list[Block] = []
    try:
        while True:
            if isinstance(block := stream.read(0.5), Block):
                blocks.append(block)
    except SourceError as error:
        return blocks, str(error)
    finally:
        stream.close()


def test_a_network_stream_is_heard_and_its_end_is_a_loss(radio: str) -> None:
    blocks, loss = heard_until_the_loss(f"{radio}/alarm")

    pcm = np.frombuffer(b"".join(block.data for block in blocks), dtype="<i2")
    assert "ended" in loss
    assert blocks[0].captured_mono_s is not None
    assert pcm.size == pytest.approx(3 * 44_100, rel=0.01)
    assert loudest_hz(pcm, 44_100) == pytest.approx(3_079, abs=60)


def test_of_a_stream_that_was_whole_it_is_not_said_that_it_had_no_audio(radio: str) -> None:
    _, loss = heard_until_the_loss(f"{radio}/alarm.flac")

    assert loss.endswith("/alarm.flac ended: no more came. It is tried again.")


def test_a_host_that_nobody_knows_is_told_as_that() -> None:
    """RFC 6761, section 6.4: no name below .invalid is ever known."""
    _, loss = heard_until_the_loss("http://beepwatch.invalid/x")

    assert loss.startswith("stream:http://beepwatch.invalid/x gives no sound: ")
    assert "Input/output error" not in loss


def test_a_network_stream_that_is_not_there_is_a_loss(radio: str) -> None:
    blocks, loss = heard_until_the_loss(f"{radio}/nothing")

    assert blocks == []
    address = f"stream:{radio}/nothing"
    assert loss.startswith(f"{address} gives no sound: ")
    assert "404" in loss
    assert loss.endswith(". Check its address, and that it is on.")
