"""What the container image is made of fits what the program needs and what is pinned."""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from beepwatch.capture import network, pipes
from beepwatch.cli.app import app
from beepwatch.config import telegram_token
from beepwatch.sections import Config, Telegram

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
PLATFORMS = ("amd64", "arm64")
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


def test_what_is_compiled_is_locked_for_both_platforms() -> None:
    """A wheel for each; what comes as its source, PyAudio, is one file for all."""
    text = (DEPLOY / "requirements.txt").read_text().replace(" \\\n    ", " ")
    files = {line.split("==")[0]: len(_HASH.findall(line)) for line in text.splitlines()[1:]}
    said = {name: distribution(name).read_text("WHEEL") or "" for name in files}
    compiled = {name for name in files if "-none-any\n" not in said[name]} - {"pyaudio"}
    assert {"numpy", "onnxruntime"} < compiled
    assert {name for name, count in files.items() if count == len(PLATFORMS)} == compiled


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


def dockerfile(pattern: str) -> str:
    """What the pattern's group is, once."""
    (found,) = re.findall(pattern, (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    return str(found)


def services() -> dict[str, dict[str, Any]]:
    """As compose reads them, with each variable's default."""
    text = (DEPLOY / "compose.yaml").read_text()
    assert re.findall(r"\$(?!\{\w+:-[^}]+\})", text) == [], "a variable without a default"
    return dict(yaml.safe_load(re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", text))["services"])


SERVICES = services()
DAEMONS = [name for name in SERVICES if name != "serve"]


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Where the container has what."""
    return {one["target"]: one["source"] for one in service["volumes"]}


def test_sound_comes_in_three_ways() -> None:
    assert DAEMONS == ["alsa", "pulse", "rtsp"]
    assert [name for name in DAEMONS if "devices" in SERVICES[name]] == ["alsa"]
    assert SERVICES["alsa"]["devices"] == ["/dev/snd"]
    socket = SERVICES["pulse"]["environment"]["PULSE_SERVER"].removeprefix("unix:")
    assert mounts(SERVICES["pulse"])[socket] == "/run/user/1000/pulse/native"
    assert SERVICES["pulse"]["user"] == "1000"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["profiles"] == [name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "cap_add"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_container_runs_is_a_verb_with_its_options(name: str) -> None:
    verb, *words = SERVICES[name]["command"]
    get_command(app).get_command(None, verb).make_context(verb, list(words))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_finds_its_files_where_they_are_mounted(name: str, tmp_path: Path) -> None:
    service = SERVICES[name]
    mounted = mounts(service)
    assert mounted[service["command"][-1]] == "./config.toml"
    assert dockerfile(r"BEEPWATCH_STORE__DIRECTORY=(\S+)$") in mounted
    (secret,) = service["secrets"]
    assert service["environment"]["CREDENTIALS_DIRECTORY"] == "/run/secrets"
    (tmp_path / secret).write_text("123:of-the-bot\n")
    token = telegram_token(Telegram(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert token is not None
    assert token.reveal() == "123:of-the-bot"


def test_what_somebody_runs_it_with_gets_into_no_image_and_no_commit() -> None:
    """A token that only user 10001 can read would also end the build."""
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    own = {".env", "config.toml", composed["secrets"]["telegram-token"]["file"].removeprefix("./")}
    for name, prefix in ((".dockerignore", "deploy/"), (".gitignore", "/deploy/")):
        lines = (ROOT / name).read_text().splitlines()
        assert {prefix + one for one in own} - set(lines) == set(), name


def test_the_servers_port_is_the_one_that_is_published_and_asked_for_its_health() -> None:
    port = str(Config().web.port)
    assert dockerfile(r"^EXPOSE (\d+)$") == port
    assert dockerfile(r"urlopen\('http://127\.0\.0\.1:(\d+)/'") == port
    assert SERVICES["serve"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_who_owns_the_token_is_who_runs_in_the_container() -> None:
    uid = dockerfile(r"useradd --uid (\d+) ")
    assert f"user {uid}" in (DEPLOY / "compose.yaml").read_text()
    assert dockerfile(r"^USER (\S+)$") == "beepwatch"
