"""What the container image is made of fits what the program needs and what is pinned."""

import re
import tomllib
from pathlib import Path

import pytest

from beepwatch.capture import network, pipes

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
_LOCKED = re.compile(r"^(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?P<hashes>( --hash=\S+)+)$")
_HASH = re.compile(r" --hash=sha256:[0-9a-f]{64}")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonical(name): version for name, version in pairs}


def locked(name: str) -> dict[str, str]:
    """Versions by name; every line has to have its hashes."""
    text = (DEPLOY / name).read_text().replace(" \\\n    ", " ")
    found = {}
    for line in text.splitlines()[1:]:
        match = _LOCKED.match(line)
        assert match, line
        assert _HASH.sub("", match["hashes"]) == ""
        found[match["name"]] = match["version"]
    return found


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_what_is_locked_is_what_is_pinned(name: str) -> None:
    """Run deploy/lock after constraints.txt has changed."""
    pins = pinned()
    versions = locked(name)
    assert versions == {package: pins.get(package, "unpinned") for package in versions}


def test_all_that_the_image_needs_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["web"], *extras["scan"]]
    names = {canonical(re.split(r"[<>=;!~\s\[]", one)[0]) for one in wanted if "3.13" not in one}
    assert names - set(locked("requirements.txt")) == set()
    assert "torch" not in locked("requirements.txt")


def enabled(kind: str) -> set[str]:
    """What the image's ffmpeg is built with."""
    lines = (DEPLOY / "ffmpeg.options").read_text().splitlines()
    prefix = f"--enable-{kind}="
    return {
        name
        for line in lines
        if line.startswith(prefix)
        for name in line.removeprefix(prefix).split(",")
    }


def test_the_images_ffmpeg_reads_every_form_that_a_recording_may_have() -> None:
    called = {"mpeg": "mpegps"}  # by configure
    forms = {called.get(name, name) for name in pipes.FORMATS.split(",")}
    assert forms - enabled("demuxer") == set()


def test_the_images_ffmpeg_reaches_every_stream() -> None:
    """RTSP is a demuxer in ffmpeg; the others are protocols."""
    wanted = set(network._PROTOCOLS.split(",")) - {"rtsp", "rtsps"}
    assert wanted - enabled("protocol") == set()
    assert {"rtsp", "sdp", "concat"} <= enabled("demuxer")


def test_what_the_dockerfile_copies_is_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert source == "." or source.split("/")[0] in allowed, source
