"""Who is answered, over a real socket: nobody under a strange name, no page from elsewhere."""

import json
import socket
from collections.abc import Iterator

import pytest

from tests.web.page_server import PageServer, page_server, write_wav


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    directory = tmp_path_factory.mktemp("outside") / "clips"
    write_wav(directory / "a.wav")
    write_wav(directory.parent / "secret.wav")
    (directory.parent / "secret.txt").write_text("canary")
    with page_server(directory) as running:
        yield running


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("192.168.1.7:{port}", 200),
        (f"{socket.gethostname()}:{{port}}", 200),
        ("rebound.example:{port}", 421),
        ("127.0.0.1.rebound.example:{port}", 421),
        ("localhost.rebound.example", 421),
        ("localhost@rebound.example", 421),
        ("127.0.0.1:80@rebound.example", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_a_name_that_is_not_ours_is_refused(host: str, status: int, server: PageServer) -> None:
    """A browser sends the name in its address bar: after DNS rebinding that of the attacker."""
    found, _, content = server.ask("GET", "/session", Host=host.format(port=server.port))
    assert found == status
    assert (b"groups" in content) is (status == 200)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_only_the_page_itself_may_change_anything(
    headers: dict[str, str], status: int, server: PageServer
) -> None:
    given = {name: value.format(port=server.port) for name, value in headers.items()}
    change = {"clip": server.ids["a.wav"], "seen": "", "label": "beep"}
    found, _, content = server.ask("POST", "/labels", [change], **given)
    assert found == status
    labels = json.loads(server.ask("GET", "/session")[2])["labels"]
    assert labels == ({server.ids["a.wav"]: "beep"} if status == 200 else {}), content
    server.label("a.wav", "", seen="beep")


@pytest.mark.parametrize("path", ["/", "/session", "/static/labelling.js", "/nothing"])
def test_every_answer_forbids_what_the_page_does_not_need(path: str, server: PageServer) -> None:
    _, headers, _ = server.ask("GET", path)
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../labelling.py",
        "/static/..%2flabelling.py",
        "/static/%2e%2e/%2e%2e/errors.py",
        "/static//etc/passwd",
        "/clips/..%2f..%2fsecret.txt/sound.wav",
        "/clips/../secret.wav",
        "/clips/a.wav/sound.wav",
        "/clips/secret.wav/picture.png",
        "/secret.txt",
    ],
)
def test_nothing_but_the_page_and_its_clips_is_served(path: str, server: PageServer) -> None:
    status, _, content = server.ask("GET", path)
    assert status == 404
    assert b"canary" not in content
    assert b"import" not in content
