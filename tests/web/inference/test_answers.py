"""`beepwatch serve` over real HTTP: what it answers to sound in every form, and to what is none."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from beepwatch.classify.shelf import Shelf
from tests.classify.pitched import SHIPPED, pitched
from tests.web.inference.program import FORM, ServingProgram, form, form_of, serving_program
from tests.web.inference.recordings import LENGTH_S, encoded, onset_s, silence, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProgram]:
    with serving_program(tmp_path_factory.mktemp("state"), "--workers", "2") as running:
        yield running


def test_a_check_is_answered_in_the_language_of_who_asks(server: ServingProgram) -> None:
    told = server.ask("GET", "/")
    assert told.status == 200
    assert told.json["status"] == "ok"
    assert told.json["model"]["labels"] == ["beep"]
    assert len(told.json["workers"]) == 2
    page = server.ask("GET", "/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<h1>beepwatch" in page.content
    assert server.ask("HEAD", "/").status == 200


def test_inference_answers_exactly_what_clients_of_such_servers_expect(
    server: ServingProgram,
) -> None:
    told = server.post(written())
    assert told.status == 200
    assert set(told.json) == {"Anomaly", "Details"}
    assert told.json["Anomaly"] is True
    assert set(told.json["Details"]) == {"Message", "Probabilities"}
    assert told.json["Details"]["Message"] == f"beep heard once, first at {onset_s():.1f} s"
    (probability,) = told.json["Details"]["Probabilities"]
    assert 0.9 < probability <= 1
    nothing = server.post(silence(4.2)).json
    assert nothing["Anomaly"] is False
    assert nothing["Details"]["Message"] == "nothing heard in 4.2 s"
    assert nothing["Details"]["Probabilities"][0] < 0.5


def test_classify_tells_what_when_and_by_which_model(server: ServingProgram) -> None:
    told = server.ask("POST", "/v1/classify", written(), Content_Type="audio/wav").json
    assert told["model"] == server.ask("GET", "/").json["model"]
    assert told["duration_s"] == LENGTH_S
    (event,) = told["events"]
    assert (event["label"], event["pulses"]) == ("beep", 3)
    assert event["onset_s"] == pytest.approx(onset_s(), abs=0.1)
    assert event["score"] == told["probabilities"]["beep"]
    windows = [(one["start_s"], one["end_s"]) for one in told["windows"]]
    assert windows == [(0, 3), (3, 6), (6, 9), (9, 10)]  # the last as long as there is sound
    highest = [one["probabilities"]["beep"] for one in told["windows"]]
    assert max(highest[1:]) == told["probabilities"]["beep"]
    assert told["problem"] is None


@pytest.mark.parametrize(
    ("subtype", "kind", "rate_hz", "channels"),
    [
        ("PCM_U8", "WAV", 16_000, 1),
        ("PCM_24", "WAV", 44_100, 2),
        ("PCM_32", "WAV", 48_000, 1),
        ("FLOAT", "WAV", 96_000, 6),
        ("DOUBLE", "WAV", 22_050, 1),
        ("ULAW", "WAV", 16_000, 1),
        ("PCM_16", "AIFF", 32_000, 1),
        ("PCM_16", "FLAC", 16_000, 2),
        ("PCM_16", "CAF", 16_000, 1),
        ("PCM_16", "AU", 16_000, 1),
        ("VORBIS", "OGG", 44_100, 2),
    ],
)
def test_every_form_of_samples_is_heard_alike(
    subtype: str, kind: str, rate_hz: int, channels: int, server: ServingProgram
) -> None:
    _is_heard(server, written(subtype, kind, rate_hz, channels))


@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".opus", ".webm"])
def test_every_container_is_heard_alike(
    suffix: str, server: ServingProgram, tmp_path: Path
) -> None:
    _is_heard(server, encoded(tmp_path, suffix))


def _is_heard(server: ServingProgram, content: bytes) -> None:
    told = server.post(content, "/v1/classify").json
    (event,) = told["events"]
    assert event["onset_s"] == pytest.approx(onset_s(), abs=0.12)  # encoders put a little before it
    assert event["pulses"] == 3
    assert told["duration_s"] == pytest.approx(LENGTH_S, abs=0.12)


@pytest.mark.parametrize("seconds", [1 / 16_000, 0.005, 0.5, 2.99, 7.77, 65.0])
def test_any_length_is_framed_and_never_repeated(seconds: float, server: ServingProgram) -> None:
    told = server.post(silence(seconds), "/v1/classify").json
    assert told["duration_s"] == pytest.approx(seconds, abs=0.001)
    assert told["windows"][-1]["end_s"] == pytest.approx(seconds, abs=0.021)  # a frame
    assert told["events"] == []


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_what_is_left_of_a_cut_recording_is_heard_and_the_cut_told(
    kept: float, server: ServingProgram
) -> None:
    content = written()
    told = server.post(content[: round(kept * len(content))], "/v1/classify")
    assert told.status == 200
    assert told.json["duration_s"] == pytest.approx(kept * LENGTH_S, abs=0.01)
    assert told.json["problem"].startswith("the file is cut short: ")
    assert "proc" not in told.json["problem"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty (0 bytes)"),
        (b"x", "The file holds no sound"),
        (b"Hello, this is a letter and no sound.\n" * 50, "The file holds no sound"),
        (b"\x00" * 5_000, "The file holds no sound"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "The file holds no sound"),
        (written()[:44], "The file is a WAV file without a single sample"),
        (written()[:22] + b"\x00\x00" + written()[24:], "The file "),  # no channels
        (written()[:24] + b"\xff\xff\xff\xff" + written()[28:], "The file is said to have"),
        (written()[:22] + b"\xff\xff" + written()[24:], "The file is said to have"),
        (b"fLaC" + bytes(range(256)) * 20, "The file holds no sound"),
        (b"\xff\xfb" + bytes(range(256)) * 20, "The file holds no sound"),
        (b"#EXTM3U\nhttp://127.0.0.1:9/a.mp3\n", "The file holds no sound"),
    ],
)
def test_what_is_no_audio_is_400_with_the_reason(
    content: bytes, reason: str, server: ServingProgram
) -> None:
    told = server.post(content)
    assert (told.status, told.json["error"].startswith(reason)) == (400, True), told.content
    assert "/proc" not in told.json["error"]


def test_a_header_that_promises_more_than_there_is_is_not_believed(
    server: ServingProgram,
) -> None:
    content = written()
    promised = (0x7000_0000).to_bytes(4, "little")
    told = server.post(content[:40] + promised + content[44:], "/v1/classify")
    assert told.status == 200
    assert told.json["duration_s"] == LENGTH_S
    assert "cut short" in told.json["problem"]


@pytest.mark.parametrize(
    ("path", "kind", "body", "status", "reason"),
    [
        ("/inference", "text/plain", b"beep", 415, "Send multipart/form-data"),
        ("/inference", "audio/wav", b"beep", 415, "Send multipart/form-data"),
        ("/inference", "", b"beep", 415, "Send multipart/form-data"),
        ("/v1/classify", "application/json", b"{}", 415, "Send multipart/form-data"),
        ("/v1/classify", "application/x-www-form-urlencoded", b"file=1", 415, "Send multipart"),
        ("/inference", "multipart/form-data", b"beep", 400, "The Content-Type names no"),
        ("/inference", FORM, b"beep", 400, "The form "),
        ("/inference", FORM, b"", 400, "The form breaks off"),
        ("/inference", FORM, form(b"x" * 500)[:-30], 400, "The form breaks off"),
        ("/inference", FORM, form(written(), field="sound"), 400, "The form has no part named"),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(
    path: str, kind: str, body: bytes, status: int, reason: str, server: ServingProgram
) -> None:
    told = server.ask("POST", path, body, Content_Type=kind)
    assert (told.status, told.json["error"][: len(reason)]) == (status, reason)


def test_a_compressed_body_is_refused(server: ServingProgram) -> None:
    told = server.ask(
        "POST", "/inference", form(written()), Content_Type=FORM, Content_Encoding="gzip"
    )
    assert told.status == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/inference", 405),
        ("PUT", "/inference", 405),
        ("DELETE", "/v1/classify", 405),
        ("POST", "/", 405),
        ("POST", "/openapi.json", 405),
        ("GET", "/nothing", 404),
        ("POST", "/inference/", 404),
        ("GET", "/%2e%2e/etc/passwd", 404),
    ],
)
def test_what_is_not_there_is_said_in_json(
    method: str, path: str, status: int, server: ServingProgram
) -> None:
    told = server.ask(method, path)
    assert (told.status, list(told.json)) == (status, ["error"])


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_from_elsewhere_may_not_ask(origin: str, server: ServingProgram) -> None:
    told = server.ask("POST", "/inference", form(written()), Content_Type=FORM, Origin=origin)
    assert told.status == 403
    own = f"http://127.0.0.1:{server.port}"
    own_page = server.ask("POST", "/inference", form(written()), Content_Type=FORM, Origin=own)
    assert own_page.status == 200


def test_too_much_is_413_however_it_is_sent_and_not_kept(server: ServingProgram) -> None:
    """Declared, chunked, and declared without being sent at all."""
    most_mb = psutil.Process(server.process.pid).memory_info().rss / 1e6 + 40
    piece = bytes(1_000_000)
    head = form(b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    declared = server.ask("POST", "/inference", head + piece * 51, Content_Type=FORM)
    assert declared.status == 413
    assert declared.json["error"].startswith("More than 50 MB are not taken")
    chunked = server.ask(
        "POST", "/inference", (one for one in [head, *[piece] * 52]), Content_Type=FORM
    )
    assert chunked.status == 413
    raw = server.ask("POST", "/v1/classify", (piece for _ in range(52)), Content_Type="audio/flac")
    assert raw.status == 413
    unsent = server.ask(
        *("POST", "/inference", b""),
        Content_Type=FORM,
        Content_Length="9000000000",
        Expect="100-continue",
    )
    assert unsent.status == 413
    assert psutil.Process(server.process.pid).memory_info().rss / 1e6 < most_mb


def test_a_form_may_have_other_parts_but_not_any_number_and_size(server: ServingProgram) -> None:
    """As forms of clients have them: some words about the file, before it and behind it."""
    few = form_of([("comment", b"x" * 200)] * 40 + [("file", written())] + [("more", b"y")] * 40)
    assert server.ask("POST", "/inference", few, Content_Type=FORM).status == 200
    sizes = [("comment", bytes(30_000))] * 3 + [("file", written())]
    assert server.ask("POST", "/inference", form_of(sizes), Content_Type=FORM).status == 200


FILE = ("file", written())
TOO_MANY = "The form has more than 100 parts. Send one, named 'file'."
TOO_MUCH = "The form has more than 100 kB beside its part 'file'. Send that alone."
NO_FILE = (
    "The form has no part named 'file' in its first 100 kB, only ['comment']. Send that alone."
)


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ([*[("a", b"")] * 100, FILE], 400, TOO_MANY),
        ([FILE, *[("a", b"")] * 100], 400, TOO_MANY),
        ([FILE, *[("file", b"")] * 100], 400, TOO_MANY),
        ([FILE, ("comment", bytes(110_000))], 413, TOO_MUCH),
        ([("comment", bytes(60_000)), FILE, ("comment", bytes(50_000))], 413, TOO_MUCH),
        ([FILE, ("file", bytes(110_000))], 413, TOO_MUCH),
        ([("comment", bytes(1_000_000)), FILE], 400, NO_FILE),
    ],
)
def test_a_form_of_too_many_or_too_large_parts_is_one_line(
    parts: list[tuple[str, bytes]], status: int, said: str, server: ServingProgram
) -> None:
    for body in (form_of(parts), iter([form_of(parts)])):  # of a length that is said, and of none
        told = server.ask("POST", "/inference", body, Content_Type=FORM)
        assert (told.status, told.json) == (status, {"error": said})


def test_what_comes_behind_the_last_boundary_counts_too(server: ServingProgram) -> None:
    told = server.ask("POST", "/inference", form(written()) + bytes(200_000), Content_Type=FORM)
    assert told.status == 413


def test_ten_at_once_are_all_answered(server: ServingProgram) -> None:
    uploads = [written() if number % 2 else silence(9.0) for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        told = [answer.json["Anomaly"] for answer in pool.map(server.post, uploads)]
    assert told == [False, True] * 5


def test_metrics_count_what_was_asked(server: ServingProgram) -> None:
    def count(status: int) -> float:
        text = server.ask("GET", "/metrics").content.decode()
        name = f'beepwatch_serve_requests_total{{path="/inference",status="{status}"}} '
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return float(lines[0].split()[-1]) if lines else 0.0

    before = count(200), count(400)
    server.post(silence(1.0))
    server.post(b"nothing")
    assert (count(200), count(400)) == (before[0] + 1, before[1] + 1)


def test_the_schema_names_every_address(server: ServingProgram) -> None:
    document = json.loads(server.ask("GET", "/openapi.json").content)
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {
        *("/", "/inference", "/v1/classify", "/openapi.json", "/metrics")
    }
    answer = document["paths"]["/inference"]["post"]["responses"]["200"]["content"]
    name = answer["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert document["components"]["schemas"][name]["required"] == ["Anomaly", "Details"]


def test_it_says_what_it_listens_for_taught_sounds_included(tmp_path: Path) -> None:
    shelf, taught_at = Shelf(tmp_path), datetime(2026, 3, 1, tzinfo=UTC)
    shelf.put(pitched("oven", 2_000.0), taught_at)
    shelf.put(pitched("wrong-17", 3_000.0, kind="veto"), taught_at)
    with serving_program(tmp_path, "--workers", "1") as server:
        what = f"listening for beep, oven, with the model beep {SHIPPED.model_id}"
        assert server.said.startswith(f"{what}: http://")
