"""What the server answers, as an OpenAPI 3.1 document; its forms are those of the types."""

from typing import Any

import msgspec

from beepwatch import __version__
from beepwatch.web.inference.answers import Classification, Verdict
from beepwatch.web.inference.uploads import FIELD, MOST_UPLOAD_BYTES

_REF = "#/components/schemas/{name}"
_REASONS = {
    "400": "What was sent is no form with a file, or the file is no sound that can be decoded.",
    "403": "A page of another server asks, by its Origin.",
    "408": "The upload came to a halt.",
    "413": f"More than {MOST_UPLOAD_BYTES // 1_000_000} MB, or longer than an hour.",
    "415": "Another content type.",
    "503": "Too much to do; Retry-After tells when to ask again.",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not answered as asked."""

    error: str


def document(health: type) -> dict[str, Any]:
    """The whole of it; `health` is the type of what `GET /` answers."""
    kinds = (health, Verdict, Classification, Problem)
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    of_health, of_verdict, of_classification, of_problem = references
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
            "description": "Tells what can be heard in a recording.",
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
                    "summary": "Whether one of the model's sounds is heard in a recording",
                    "requestBody": _body({}),
                    "responses": {"200": _response("An answer.", of_verdict), **refusals},
                }
            },
            "/v1/classify": {
                "post": {
                    "operationId": "classify",
                    "summary": "What is heard in a recording, and when",
                    "requestBody": _body({"audio/*": binary, "application/octet-stream": binary}),
                    "responses": {"200": _response("An answer.", of_classification), **refusals},
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
