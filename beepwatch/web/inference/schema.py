"""What the server answers, as an OpenAPI 3.1 document; its forms are those of the types."""

from typing import Any

import msgspec

from beepwatch import __version__
from beepwatch.web.inference.answers import Verdict
from beepwatch.web.inference.machine import STRANGE, Examination
from beepwatch.web.inference.recordings import Naming
from beepwatch.web.inference.settings import Machine, Recordings, Settings, Sounds
from beepwatch.web.inference.sounds import Classification
from beepwatch.web.inference.uploads import FIELD, MOST_BESIDE_BYTES, MOST_UPLOAD_BYTES

_REF = "#/components/schemas/{name}"
_REASONS = {
    "400": "What was sent is no form with a file, has too many parts, or the file is no sound "
    "that can be decoded.",
    "403": "A page of another server asks, by its Origin.",
    "408": "The upload came to a halt.",
    "413": f"More than {MOST_UPLOAD_BYTES // 1_000_000} MB, of which "
    f"{MOST_BESIDE_BYTES // 1_000} kB may be beside the file, or longer than an hour.",
    "415": "Another content type.",
    "503": "Too much to do; Retry-After tells when to ask again.",
}


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What answers mean, by what is heard with."""

    whole: str
    verdict: str
    anomaly: str  # and its probabilities
    full: str
    form: type  # of `/v1/classify`


_MEANINGS: dict[type[Settings], Meaning] = {
    Sounds: Meaning(
        whole="Tells what can be heard in a recording.",
        verdict="Whether one of the model's sounds is heard in a recording",
        anomaly="Anomaly: a sound was heard. Probabilities: the highest of each label, in the "
        "order of the model's labels.",
        full="What is heard in a recording, and when",
        form=Classification,
    ),
    Machine: Meaning(
        whole="Tells how strange a machine sounds in a recording, beside how it was when well.",
        verdict="Whether a machine sounds unusual, or stranger than when it was well",
        anomaly="Anomaly: unusual, or stranger than when it was well, and that not perhaps for "
        "the room's sounds. Probabilities: of the faults that were learned, in the order of the "
        "model's labels, which tell what it is like, not whether something is wrong; without "
        f"such faults one number, labelled {STRANGE!r}: s / (1 + s) of the strangeness s, 0 "
        "where it is negative, so that a half is the strangest hundredth of normal sound. None "
        "where nothing of the machine was heard.",
        full="How strange a machine sounds, and what is new in it",
        form=Examination,
    ),
    Recordings: Meaning(
        whole="Names recordings.",
        verdict="Whether a recording has another name than those of what is well",
        anomaly="Anomaly: the labels that are not among the model's normal ones are together "
        "likelier than those that are. Probabilities: of each label, in the order of the model's "
        "labels; together they are 1.",
        full="Which name a recording has, and each stretch of it",
        form=Naming,
    ),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not answered as asked."""

    error: str


def document(health: type, settings: Settings) -> dict[str, Any]:
    """The whole of it; `health` is the type of what `GET /` answers."""
    meaning = _MEANINGS[type(settings)]
    kinds = (health, Verdict, meaning.form, Problem)
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    of_health, of_verdict, of_all, of_problem = references
    refusals = {
        status: _response(reason, of_problem, retry=status == "503")
        for status, reason in _REASONS.items()
    }
    binary: dict[str, Any] = {"schema": {}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "beepwatch serve",
            "version": __version__,
            "description": meaning.whole,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {
            "/": {
                "get": {
                    "operationId": "health",
                    "summary": "Whether it is well",
                    "responses": {
                        "200": _response("It is.", of_health, page=True),
                        "503": _response("It has no workers.", of_health, page=True),
                    },
                }
            },
            "/inference": {
                "post": {
                    "operationId": "inference",
                    "summary": meaning.verdict,
                    "description": meaning.anomaly,
                    "requestBody": _body({}),
                    "responses": {"200": _response("An answer.", of_verdict), **refusals},
                }
            },
            "/v1/classify": {
                "post": {
                    "operationId": "classify",
                    "summary": meaning.full,
                    "requestBody": _body({"audio/*": binary, "application/octet-stream": binary}),
                    "responses": {"200": _response("An answer.", of_all), **refusals},
                }
            },
            "/openapi.json": {"get": _plain("schema", "This document", "application/json")},
            "/metrics": {"get": _plain("metrics", "Counts, for Prometheus", "text/plain")},
        },
        "components": {"schemas": schemas},
    }


def _body(others: dict[str, Any]) -> dict[str, Any]:
    form = {
        "schema": {
            "type": "object",
            "required": [FIELD],
            "properties": {
                FIELD: {
                    "type": "string",
                    "contentMediaType": "application/octet-stream",
                    "description": "A recording of any length, rate and format.",
                }
            },
        }
    }
    return {"required": True, "content": {"multipart/form-data": form, **others}}


def _response(
    description: str, schema: dict[str, Any], *, page: bool = False, retry: bool = False
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if page:
        content["text/html"] = {"schema": {"type": "string"}}
    response: dict[str, Any] = {"description": description, "content": content}
    if retry:
        response["headers"] = {
            "Retry-After": {
                "description": "In seconds.",
                "required": True,
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return response


def _plain(operation: str, summary: str, media_type: str) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {media_type: {"schema": {}}}}},
    }
