"""ffmpeg opens what it was given and nothing that somebody else has written into that."""

import contextlib
import os
import resource
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beepwatch.capture.blocks import Block
from beepwatch.capture.files import decode
from beepwatch.capture.network import NetworkStream
from beepwatch.capture.pipes import Ffmpeg, decoded_file
from beepwatch.clock import SystemClock
from beepwatch.errors import ConfigurationError, SourceError, UnreadableAudio
from tests.capture.sounds import DATA, RATE_HZ, sine, write_wav

WITHIN_S = 20.0

PLAYLIST = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:10
#EXT-X-MEDIA-SEQUENCE:0
#EXTINF:10.0,
{what}
#EXT-X-ENDLIST
"""
SCRIPT = "ffconcat version 1.0\nfile '{what}'\n"
SESSION = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n"
)


class Ear:
    """A port of this machine, and who called there."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/a.ts"
        self.said: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def close(self) -> None:
        """Nobody calls any more."""
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _hear(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                caller, _ = self._socket.accept()
                with caller:
                    caller.settimeout(WITHIN_S)
                    self.said.append(caller.recv(1_000))


@pytest.fixture
def ear() -> Iterator[Ear]:
    """Closed at the end."""
    one = Ear()
    yield one
    one.close()


@pytest.mark.parametrize("name", ["a.m3u8", "a.wav", "a.mp3", "a.ogg"])
@pytest.mark.parametrize("form", [PLAYLIST, SCRIPT, SESSION])
def test_a_list_of_addresses_is_no_recording(
    tmp_path: Path, ear: Ear, form: str, name: str
) -> None:
    path = tmp_path / name
    path.write_text(form.format(what=ear.url, port=ear.port))
    with pytest.raises(UnreadableAudio, match="holds no sound"):
        list(decode(path, RATE_HZ))
    ear.close()
    assert ear.said == []


def test_ffmpeg_by_itself_would_have_called(tmp_path: Path, ear: Ear) -> None:
    """The list is one that is followed, were it allowed."""
    path = tmp_path / "a.m3u8"
    path.write_text(PLAYLIST.format(what=ear.url))
    allowed = ["-protocol_whitelist", "file,http,tcp", "-allowed_extensions", "ALL"]
    subprocess.run(
        ["ffmpeg", "-v", "quiet", *allowed, "-i", path, "-f", "null", "-"],
        check=False,
        timeout=WITHIN_S,
    )
    ear.close()
    assert ear.said
    assert ear.said[0].startswith(b"GET /a.ts ")


@pytest.mark.parametrize("form", [PLAYLIST, SCRIPT])
@pytest.mark.parametrize("what", ["private.wav", "file:{there}/private.wav", "{there}/private.wav"])
def test_a_list_of_other_files_is_no_recording(tmp_path: Path, form: str, what: str) -> None:
    write_wav(tmp_path / "private.wav", sine(1_000, 1.0, peak=0.5), RATE_HZ)
    path = tmp_path / "list.m3u8"
    path.write_text(form.format(what=what.format(there=tmp_path)))
    with pytest.raises(UnreadableAudio, match="holds no sound"):
        list(decode(path, RATE_HZ))


@pytest.mark.parametrize("name", ["$(touch x).mp3", "a;touch x.mp3", "-i x.mp3", "http:x.mp3"])
def test_a_name_is_only_a_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell sees it, and it is neither an option nor a protocol."""
    monkeypatch.chdir(tmp_path)
    source = DATA / "fire_alarm.flac"
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, f"file:{name}"], check=True)
    stream = decoded_file(Path(name), block_s=1.0)
    try:
        assert isinstance(stream.read(WITHIN_S), Block)
    finally:
        stream.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("text", ["http://host/a\nfile '/etc/passwd'", "http://host/a b"])
def test_a_url_adds_no_line_to_the_script(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no URL of"):
        NetworkStream(text, SystemClock())


def test_what_a_server_sends_does_not_open_files(tmp_path: Path) -> None:
    """A radio that answers with a list of this machine's files."""
    write_wav(tmp_path / "private.wav", sine(1_000, 1.0, peak=0.5), RATE_HZ)
    body = PLAYLIST.format(what=f"file:{tmp_path}/private.wav").encode()
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        caller, _ = server.accept()
        with caller:
            caller.recv(1_000)
            caller.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )

    answering = threading.Thread(target=answer)
    answering.start()
    stream = NetworkStream(
        f"http://127.0.0.1:{server.getsockname()[1]}/a.m3u8", SystemClock()
    ).open()
    try:
        assert blocks_until_lost(stream) == 0
    finally:
        stream.close()
        answering.join()
        server.close()


def blocks_until_lost(stream: Ffmpeg) -> int:
    """How much a stream gave before it was lost."""
    blocks = 0
    with contextlib.suppress(SourceError):
        while True:
            blocks += isinstance(stream.read(0.5), Block)
    return blocks


def test_a_camera_is_asked_for_its_sound_over_tcp_and_with_the_password() -> None:
    """RTSP as far as SETUP, in which ffmpeg says how the sound is to come."""
    server = socket.create_server(("127.0.0.1", 0))
    said: list[str] = []

    def answer() -> None:
        caller, _ = server.accept()
        with caller, caller.makefile("rwb") as line:
            while request := _request(line.readline):
                said.append(request)
                line.write(_rtsp_answer(request))
                line.flush()
                if request.startswith("SETUP"):
                    return

    answering = threading.Thread(target=answer)
    answering.start()
    url = f"rtsp://me:secret@127.0.0.1:{server.getsockname()[1]}/live"
    stream = NetworkStream(url, SystemClock()).open()
    try:
        assert blocks_until_lost(stream) == 0
    finally:
        stream.close()
        answering.join(WITHIN_S)
        server.close()
    assert [request.split()[0] for request in said][-2:] == ["DESCRIBE", "SETUP"]
    assert "Authorization: Basic bWU6c2VjcmV0" in said[-1]
    assert "RTP/AVP/TCP" in said[-1]


def _request(readline: Callable[[], bytes]) -> str:
    lines = []
    while line := readline().decode().strip():
        lines.append(line)
    return "\n".join(lines)


def _rtsp_answer(request: str) -> bytes:
    sequence = next(line for line in request.splitlines() if line.startswith("CSeq"))
    body = ""
    status = "200 OK"
    if request.startswith("DESCRIBE") and "Authorization" not in request:
        return (
            f'RTSP/1.0 401 No\r\n{sequence}\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'.encode()
        )
    if request.startswith("DESCRIBE"):
        body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"
    if request.startswith("SETUP"):
        status = "454 Session Not Found"
    length = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"RTSP/1.0 {status}\r\n{sequence}\r\n{length}\r\n{body}".encode()


def test_a_running_ffmpeg_is_limited(tmp_path: Path) -> None:
    """In memory, in files that it may write, in cores; it reads nothing of ours."""
    path = write_wav(tmp_path / "a.wav", sine(1_000, 60.0, peak=0.5), RATE_HZ)
    stream = decoded_file(path, block_s=0.1)
    try:
        assert isinstance(stream.read(WITHIN_S), Block)
        (pid,) = (
            int(child)
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            if b"ffmpeg" in Path(f"/proc/{child}/cmdline").read_bytes()
        )
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_DATA) == (300_000_000, 300_000_000)
        assert "pipe:" in str(Path(f"/proc/{pid}/fd/0").readlink())
    finally:
        stream.close()
