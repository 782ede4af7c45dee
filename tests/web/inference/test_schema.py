"""What `/openapi.json` promises holds for requests that nobody thought of."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.classify.loudness import loudness_bundle
from tests.web.inference.program import FORM, ServingProgram, form, serving_program
from tests.web.inference.recordings import written
from tests.web.inference.served import learned_fan

pytestmark = pytest.mark.slow

_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "null": type(None),
}


@pytest.fixture(scope="module", params=["sounds", "machine", "recordings"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServingProgram]:
    """Each kind that there is."""
    state = tmp_path_factory.mktemp("state")
    with serving_program(state, "--workers", "2", *words_for(request.param, state)) as running:
        yield running


def words_for(kind: str, state: Path) -> list[str]:
    """What to give the verb, once there is something of that kind."""
    match kind:
        case "machine":
            learned_fan(state, faults=True)
            return ["--machine", "fan"]
        case "recordings":
            return ["--model", str(loudness_bundle(state / "loudness"))]
        case _:
            return []


@pytest.fixture(scope="module")
def document(server: ServingProgram) -> dict[str, Any]:
    return dict(json.loads(server.ask("GET", "/openapi.json").content))


def misfit(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> str | None:  # noqa: ANN401
    """Where a value is not as a schema says; only the words that this document uses."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return misfit(value, document["components"]["schemas"][name], document)
    if "anyOf" in schema:
        fits = [misfit(value, one, document) is None for one in schema["anyOf"]]
        return None if any(fits) else f"{value!r} is none of {schema['anyOf']}"
    if "enum" in schema:
        return None if value in schema["enum"] else f"{value!r} is not in {schema['enum']}"
    kind = schema.get("type")
    if kind is None:
        return None
    fits_kind = isinstance(value, _KINDS[kind])
    if not fits_kind:
        return f"{value!r} is no {kind}"
    if kind in ("number", "integer"):
        within = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        return None if within else f"{value!r} is out of range"
    parts = _parts(value, schema) if kind in ("array", "object") else []
    required = schema.get("required", ()) if isinstance(value, dict) else ()
    missing = [name for name in required if name not in value]
    problems = [misfit(part, below, document) for part, below in parts]
    return next((one for one in problems if one), f"no {missing}" if missing else None)


def _parts(value: Any, schema: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:  # noqa: ANN401
    if isinstance(value, list):
        return [(one, schema["items"]) for one in value]
    others = schema.get("additionalProperties", {})
    known = schema.get("properties", {})
    return [
        (one, known.get(name, others if isinstance(others, dict) else {}))
        for name, one in value.items()
    ]


def promised(
    document: dict[str, Any], method: str, path: str, status: int, kind: str
) -> dict[str, Any]:
    """The schema of an answer; the test fails where the document has none."""
    responses = document["paths"][path][method]["responses"]
    content = responses[str(status)]["content"]
    return dict(content[kind.partition(";")[0]]["schema"])


def damaged(cut: tuple[int, int], flips: list[tuple[int, int]]) -> bytes:
    """A WAV with a stretch taken out and bytes changed."""
    content = bytearray(written())
    for at, value in flips:
        content[at] = value
    del content[cut[0] : cut[0] + cut[1]]
    return bytes(content)


FILES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        damaged,
        st.tuples(st.integers(0, 60), st.integers(0, 100_000)),
        st.lists(st.tuples(st.integers(0, 50), st.integers(0, 255)), max_size=4),
    ),
)
KINDS = st.sampled_from(
    (FORM, "audio/wav", "application/octet-stream", "multipart/form-data; boundary=", "text/x", "")
)


@settings(max_examples=40)
@given(
    path=st.sampled_from(("/inference", "/v1/classify")),
    kind=KINDS,
    in_form=st.booleans(),
    field=st.sampled_from(("file", "file", "sound", 'a"b', "")),
    content=FILES,
)
def test_every_answer_is_one_that_is_promised(
    path: str,
    kind: str,
    in_form: bool,
    field: str,
    content: bytes,
    server: ServingProgram,
    document: dict[str, Any],
) -> None:
    body = form(content, field=field) if in_form else content
    told = server.ask("POST", path, body, Content_Type=kind)
    schema = promised(document, "post", path, told.status, told.headers["content-type"])
    assert told.status < 500
    assert misfit(told.json, schema, document) is None


@pytest.mark.parametrize("path", ["/", "/metrics", "/openapi.json"])
def test_every_page_is_one_that_is_promised(
    path: str, server: ServingProgram, document: dict[str, Any]
) -> None:
    told = server.ask("GET", path)
    schema = promised(document, "get", path, 200, told.headers["content-type"])
    if schema:
        assert misfit(told.json, schema, document) is None


def test_a_misfit_is_noticed(document: dict[str, Any]) -> None:
    """Else nothing here could fail."""
    schema = {"$ref": "#/components/schemas/Verdict"}
    details = {"Message": "", "Probabilities": [0.5]}
    assert misfit({"Anomaly": True, "Details": details}, schema, document) is None
    for wrong in (
        {"Anomaly": "yes", "Details": details},
        {"Anomaly": True},
        {"Anomaly": True, "Details": {"Message": "", "Probabilities": [1.5]}},
        {"Anomaly": True, "Details": {"Message": None, "Probabilities": []}},
    ):
        assert misfit(wrong, schema, document) is not None
