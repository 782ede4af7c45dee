"""What goes for every request: headers, counting, bodies that nobody has read, what went wrong."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beepwatch.web.inference.counts import Counts

# As they are sent: no answer has one of them already.
_HEADERS = (
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_LAST = (b"connection", b"close")
_READING = ("GET", "HEAD", "OPTIONS")
# A client that still sends when the connection is closed may never read its answer.
_LINGER_S = 5.0
_LINGER_IDLE_S = 1.0
_LINGER_BYTES = 64_000_000

_log = structlog.get_logger()


def answered(content: object, status: int = 200) -> Response:
    """JSON."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def refused(
    status: int,
    reason: str,
    *,
    retry_after_s: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """JSON with the reason, beginning with a capital letter."""
    further = dict(headers or {})
    if retry_after_s is not None:
        further["Retry-After"] = str(retry_after_s)
    response = answered({"error": reason[:1].upper() + reason[1:]}, status)
    response.headers.update(further)
    return response


class Door:
    """Around an application: nothing leaves it but answers, and those with the right headers."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        body = _Body(receive, headers)
        answering = _Answering(send, body)
        app = _from_elsewhere if _is_foreign(scope["method"], headers) else self._app
        with self._counts.request(scope["path"]) as counted:
            try:
                await app(scope, body.receive, answering.send)
            except Exception as error:  # noqa: BLE001 - logged, and answered already
                _log.exception("request_failed", path=scope["path"], error=repr(error))
            counted.status = answering.status


class _Body:
    """A request's body, and whether all of it was read."""

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        length = headers.get("content-length", "0")
        self.whole = length == "0" and "transfer-encoding" not in headers
        self._waits = "expect" in headers  # for a word from here, before it sends anything
        self._begun = False

    async def receive(self) -> Message:
        """The next message."""
        message = await self._receive()
        self._begun = True
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.whole = True
        return message

    async def drain(self) -> None:
        """Read what is still sent, for a while."""
        size = 0
        if self._waits and not self._begun:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while not self.whole and size < _LINGER_BYTES:
                    message = await asyncio.wait_for(self.receive(), _LINGER_IDLE_S)
                    size += len(message.get("body", b""))


class _Answering:
    """Sends an answer; where the body was not read to its end, it is the connection's last."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send = send
        self._body = body
        self.status = 0

    async def send(self, message: Message) -> None:
        """The next message of it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            further = _HEADERS if self._body.whole else (*_HEADERS, _LAST)
            await self._send({**message, "headers": [*message["headers"], *further]})
        elif self._body.whole or message.get("more_body", False):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._body.drain()
            await self._send({"type": "http.response.body"})


def _is_foreign(method: str, headers: Headers) -> bool:
    """A page of another server, in a browser that also reaches this one."""
    origin = headers.get("origin")
    host = headers.get("host", "")
    own = (f"http://{host}", f"https://{host}")
    return method not in _READING and origin is not None and origin not in own


async def _from_elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    await refused(403, "a page of another server may not ask this one.")(scope, receive, send)
