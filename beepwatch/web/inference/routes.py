"""The server that is asked what can be heard in a recording: its addresses and what they answer."""

import asyncio
import html
from collections.abc import Awaitable
from typing import Literal, TypeVar

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from beepwatch import __version__
from beepwatch.web.inference.answers import ModelShown
from beepwatch.web.inference.counts import Counts
from beepwatch.web.inference.crew import Answered, Crew, Overloaded, WorkerShown
from beepwatch.web.inference.door import Door, answered, refused
from beepwatch.web.inference.schema import document
from beepwatch.web.inference.uploads import Held, Refusal, Upload, reader_of, receive

_Result = TypeVar("_Result")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /` answers."""

    status: Literal["ok", "unwell"]
    version: str
    model: ModelShown | None
    workers: list[WorkerShown]
    waiting: int


def application(crew: Crew) -> Door:
    """All addresses. Pages may join them below others than these."""
    counts = Counts(crew)
    listening = _Listening(crew, Held(), counts)
    app = Starlette(
        routes=[
            Route("/", listening.health),
            Route("/inference", listening.inference, methods=["POST"]),
            Route("/v1/classify", listening.classify, methods=["POST"]),
            Route("/openapi.json", listening.schema),
            Route("/metrics", listening.metrics),
        ],
        exception_handlers={
            HTTPException: _worded,
            Refusal: _worded_refusal,
            Overloaded: _worded_overload,
            ClientDisconnect: _unheard,
            Exception: _unexpected,
        },
    )
    app.router.redirect_slashes = False
    return Door(app, counts)


class _Listening:
    def __init__(self, crew: Crew, held: Held, counts: Counts) -> None:
        self._crew = crew
        self._held = held
        self._counts = counts
        self._schema = msgspec.json.encode(document(Health, crew.settings))

    async def health(self, request: Request) -> Response:
        health = Health(
            status="ok" if self._crew.well else "unwell",
            version=__version__,
            model=self._crew.model,
            workers=self._crew.shown,
            waiting=self._crew.waiting,
        )
        status = 200 if self._crew.well else 503
        if "text/html" in request.headers.get("accept", ""):
            return Response(_page(health), status, media_type="text/html")
        return answered(health, status)

    async def inference(self, request: Request) -> Response:
        heard = await self._heard(request, raw=False, in_full=False)
        return answered(heard.told.verdict())

    async def classify(self, request: Request) -> Response:
        heard = await self._heard(request, raw=True, in_full=True)
        return answered(heard.told.in_full(heard.model))

    async def schema(self, _request: Request) -> Response:
        return Response(self._schema, media_type="application/json")

    async def metrics(self, _request: Request) -> Response:
        return Response(self._counts.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _heard(self, request: Request, *, raw: bool, in_full: bool) -> Answered:
        """Raises Refusal and Overloaded."""
        self._crew.admit()
        with Upload(self._held) as upload:
            await receive(request.stream(), reader_of(request.headers, upload, raw=raw))
            answer = await _unless_gone(
                self._crew.hear(upload.descriptor, in_full=in_full), request
            )
        if isinstance(answer, Answered):
            self._counts.heard(answer.told.duration_s)
            return answer
        raise Refusal(answer.status, answer.reason)


async def _unless_gone(wanted: Awaitable[_Result], request: Request) -> _Result:
    """The result, unless who asked for it goes before. Raises ClientDisconnect."""
    task = asyncio.ensure_future(wanted)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        gone.cancel()
        task.cancel()


def _page(health: Health) -> str:
    """For who opens the address in a browser."""
    model = health.model
    name = f"{model.name} ({model.id})" if model else "no model"
    workers = ", ".join(worker.state for worker in health.workers)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>beepwatch</title>"
        f"<h1>beepwatch {html.escape(health.version)}: {health.status}</h1>"
        f"<p>Model {html.escape(name)}. Workers: {workers}. Waiting: {health.waiting}."
        "<p>POST a form with a part <code>file</code> to <code>/inference</code> or "
        "<code>/v1/classify</code>. <a href=openapi.json>OpenAPI</a>, "
        "<a href=metrics>metrics</a>."
    )


async def _worded(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as registered
    return refused(error.status_code, error.detail, headers=error.headers)


async def _worded_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - as registered
    return refused(error.status, error.reason, retry_after_s=error.retry_after_s)


async def _worded_overload(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Overloaded)  # noqa: S101 - as registered
    return refused(503, str(error), retry_after_s=error.retry_after_s)


async def _unheard(_request: Request, _error: Exception) -> Response:
    return refused(400, "the upload broke off.")


async def _unexpected(_request: Request, _error: Exception) -> Response:
    """Which the door logs."""
    return refused(503, "this should not happen; the log tells more.", retry_after_s=1)
