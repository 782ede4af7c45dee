"""A stand-in for Telegram's Bot API: real HTTP on loopback, real multipart, faults on demand.

It remembers every request with its fields, file and the time its first byte came, and every
message as a chat would show it. Started in a thread (`with BotApi() as api`), or on its own:
`python -m tests.bot_api 8081` prints each message.
"""

import itertools
import json
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bot_http import Fault as Fault
from tests.bot_http import Handler, Request, Server

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"  # noqa: S105 - the example of the API's manual
BOT_NAME = "laundry_bot"
_MOST_UPDATES = 100  # in one answer
FILE_KINDS = {
    "sendVoice": "voice",
    "sendAudio": "audio",
    "sendDocument": "document",
    "sendPhoto": "photo",
}


@dataclass(kw_only=True)
class Posted:
    """A message as the chat shows it."""

    id: int
    chat_id: int
    kind: str  # text, voice, audio, document, photo
    text: str
    file: bytes | None
    edits: list[str] = field(default_factory=list)
    buttons: list[list[dict[str, str]]] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """What stands on the buttons."""
        return [one["text"] for row in self.buttons for one in row]


def error(status: int, description: str, **parameters: object) -> Fault:
    """An answer as the Bot API words its errors."""
    answer: dict[str, object] = {"ok": False, "error_code": status, "description": description}
    if parameters:
        answer["parameters"] = parameters
    return Fault(status=status, body=json.dumps(answer).encode())


def flood(retry_after_s: int) -> Fault:
    """429: wait so long."""
    text = f"Too Many Requests: retry after {retry_after_s}"
    return error(429, text, retry_after=retry_after_s)


UNAUTHORIZED = error(401, "Unauthorized")
BLOCKED = error(403, "Forbidden: bot was blocked by the user")
NO_CHAT = error(400, "Bad Request: chat not found")
NO_VOICE = error(400, "Bad Request: VOICE_MESSAGES_FORBIDDEN")
NO_AUDIO = error(400, "Bad Request: not enough rights to send music to the chat")
NO_DOCUMENT = error(403, "Forbidden: not enough rights to send documents to the chat")
TOO_LARGE = error(413, "Request Entity Too Large")
CONFLICT = error(409, "Conflict: terminated by other getUpdates request")
INTERNAL = error(500, "Internal Server Error")
BAD_GATEWAY = Fault(
    status=502, body=b"<html><h1>502 Bad Gateway</h1></html>", content_type="text/html"
)
PORTAL = Fault(status=403, body=b"<html>Please accept our terms</html>", content_type="text/html")
RESET_BEFORE = Fault(reset="before")
RESET_AFTER = Fault(reset="after")


class BotApi:
    """The server; `base_url` is what goes into notify.telegram.base_url."""

    def __init__(self, port: int = 0, token: str = TOKEN, host: str = "127.0.0.1") -> None:
        self.token = token
        self.requests: list[Request] = []
        self.messages: list[Posted] = []
        self._faults: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self._chats: dict[int, Fault] = {}
        self._updates: list[dict[str, object]] = []  # that nobody has confirmed
        self._numbers = itertools.count(1)  # of all that there ever were
        self.commands: dict[int, list[str]] = {}  # listed for each chat
        self.notices: list[str] = []  # shown to those who tapped
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = Server((host, port), Handler)
        self._server.api = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def base_url(self) -> str:
        """http://HOST:PORT/bot."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/bot"

    def __enter__(self) -> "BotApi":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join(5)
        self._server.close_connections()
        self._server.server_close()

    # What a test prepares

    def fail(self, method: str, *faults: Fault) -> None:
        """The next requests of this method meet these, one each; "*" is any method."""
        with self._changed:
            self._faults.setdefault(method, deque()).extend(faults)

    def always(self, method: str, fault: Fault | None) -> None:
        """Every request of this method meets this, until None."""
        with self._changed:
            self._always.pop(method, None)
            if fault is not None:
                self._always[method] = fault

    def shut(self, chat_id: int, fault: Fault | None) -> None:
        """Every message to this chat meets this, until None."""
        with self._changed:
            self._chats.pop(chat_id, None)
            if fault is not None:
                self._chats[chat_id] = fault

    def write_to_bot(
        self,
        chat_id: int,
        text: str,
        name: str = "Ada",
        chat_type: str = "private",
        date: float = 1,
    ) -> None:
        """A person writes to the bot, at `date` by the server's clock."""
        with self._changed:
            number = next(self._numbers)
            chat = {"id": chat_id, "type": chat_type, "first_name": name}
            sender = {"id": chat_id, "is_bot": False, "first_name": name}
            message = {"message_id": number, "chat": chat, "from": sender, "text": text}
            self._updates.append({"update_id": number, "message": {**message, "date": int(date)}})
            self._changed.notify_all()

    def tap(self, posted: Posted, label: str, chat_id: int | None = None) -> None:
        """A person taps the button that begins so; in another chat if one is given."""
        (data,) = [
            one["callback_data"]
            for row in posted.buttons
            for one in row
            if one["text"].removeprefix("✓ ").startswith(label)
        ]
        self.send_tap(posted, data, chat_id)

    def send_tap(
        self, posted: Posted, data: str, chat_id: int | None = None, *, too_old: bool = False
    ) -> None:
        """What the server makes of a tap; of a message that is `too_old` it knows only the chat."""
        with self._changed:
            number = next(self._numbers)
            message = _as_json(posted)
            if too_old:
                message = {"message_id": posted.id, "chat": message["chat"], "date": 0}
            if chat_id is not None:
                message["chat"] = {"id": chat_id, "type": "private"}
            query = {
                "id": f"tap {number}",
                "from": {"id": 5, "is_bot": False, "first_name": "Ada"},
                "chat_instance": "1",
                "message": message,
                "data": data,
            }
            self._updates.append({"update_id": number, "callback_query": query})
            self._changed.notify_all()

    # What a test looks at

    def calls(self, method: str) -> list[Request]:
        """Requests of this method so far, in order."""
        with self._changed:
            return [request for request in self.requests if request.method == method]

    def wait_for(self, method: str, count: int = 1, within_s: float = 45.0) -> list[Request]:
        """The first `count` requests of this method; AssertionError when they do not come."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.calls(method)) >= count, within_s)
            seen = [request.method for request in self.requests]
            assert came, f"no {count} times {method} within {within_s} s; came: {seen}"
            return self.calls(method)[:count]

    def wait_for_message(self, count: int = 1, within_s: float | None = None) -> Posted:
        """The `count`-th message that a chat got."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.messages) >= count, within_s)
            assert came, f"no message {count} within {within_s} s"
            return self.messages[count - 1]

    def wait_until(self, true: Callable[[], bool], what: str, within_s: float = 45.0) -> None:
        """Until something has changed to be so; AssertionError when it does not."""
        with self._changed:
            shown = [(posted.text, posted.labels) for posted in self.messages]
            assert self._changed.wait_for(true, within_s), f"no {what}; {shown}, {self.notices}"

    # What the handler does

    def fault_for(self, method: str) -> Fault | None:
        """What this request meets."""
        with self._changed:
            for name in (method, "*"):
                if self._faults.get(name):
                    return self._faults[name].popleft()
                if name in self._always:
                    return self._always[name]
        return None

    def fault_in(self, request: Request) -> Fault | None:
        """What a message to this chat meets."""
        with self._changed:
            return self._chats.get(int(request.fields.get("chat_id", 0)))

    def remember(self, request: Request) -> None:
        """Note a request, whatever becomes of it."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def hang(self, for_s: float) -> None:
        """Say nothing for so long, or until the server closes."""
        self._closing.wait(for_s)

    def answer(self, request: Request) -> Fault:
        """What the Bot API does and says when nothing is wrong."""
        if request.token != self.token:
            return UNAUTHORIZED
        if request.method == "getMe":
            return _ok({"id": 1, "is_bot": True, "first_name": "Laundry", "username": BOT_NAME})
        if request.method == "getUpdates":
            return self._get_updates(request)
        if request.method == "sendMessage" or request.method in FILE_KINDS:
            return self._post(request)
        if request.method in ("editMessageCaption", "editMessageText"):
            return self._edit(request)
        if request.method == "answerCallbackQuery":
            return self._acknowledge(request)
        if request.method == "setMyCommands":
            return self._list_commands(request)
        return error(404, "Not Found")

    def _post(self, request: Request) -> Fault:
        kind = FILE_KINDS.get(request.method, "text")
        fields = request.fields
        with self._changed:
            posted = Posted(
                id=len(self.messages) + 100,
                chat_id=int(fields["chat_id"]),
                kind=kind,
                text=fields.get("text" if kind == "text" else "caption", ""),
                file=request.file if kind != "text" else None,
                buttons=_buttons(fields),
            )
            self.messages.append(posted)
            self._changed.notify_all()
        return _ok(_as_json(posted))

    def _edit(self, request: Request) -> Fault:
        key = "text" if request.method == "editMessageText" else "caption"
        with self._changed:
            for posted in self.messages:
                if str(posted.id) == request.fields["message_id"]:
                    break
            else:
                return error(400, "Bad Request: message to edit not found")
            buttons = _buttons(request.fields)
            if (posted.text, posted.buttons) == (request.fields[key], buttons):
                return error(400, "Bad Request: message is not modified: same content")
            posted.text = request.fields[key]
            posted.buttons = buttons
            posted.edits.append(posted.text)
            self._changed.notify_all()
        return _ok(_as_json(posted))

    def _acknowledge(self, request: Request) -> Fault:
        with self._changed:
            self.notices.append(request.fields.get("text", ""))
            self._changed.notify_all()
        return _ok(True)

    def _list_commands(self, request: Request) -> Fault:
        scope = json.loads(request.fields["scope"])
        names = [one["command"] for one in json.loads(request.fields["commands"])]
        with self._changed:
            self.commands[int(scope["chat_id"])] = names
            self._changed.notify_all()
        return _ok(True)

    def _get_updates(self, request: Request) -> Fault:
        """An offset beyond an update confirms it: nobody is handed it again, whatever they ask."""
        offset = int(request.fields.get("offset", 0))
        wait_s = float(request.fields.get("timeout", 0))
        with self._changed:
            self._updates = [u for u in self._updates if int(str(u["update_id"])) >= offset]
            self._changed.wait_for(lambda: self._updates or self._closing.is_set(), wait_s)
            return _ok(self._updates[:_MOST_UPDATES])


def _buttons(fields: dict[str, str]) -> list[list[dict[str, str]]]:
    """None, as the server does it, where a message comes or is edited without."""
    markup = json.loads(fields.get("reply_markup", "{}"))
    rows: list[list[dict[str, str]]] = markup.get("inline_keyboard", [])
    return rows


def _ok(result: object) -> Fault:
    return Fault(body=json.dumps({"ok": True, "result": result}).encode())


def _as_json(posted: Posted) -> dict[str, object]:
    chat = {"id": posted.chat_id, "type": "private"}
    message: dict[str, object] = {"message_id": posted.id, "date": 1_700_000_000, "chat": chat}
    file = {"file_id": "f", "file_unique_id": "u", "duration": 1}
    if posted.kind == "text":
        return {**message, "text": posted.text}
    if posted.kind == "photo":
        sizes = [{"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1}]
        return {**message, "caption": posted.text, "photo": sizes}
    return {**message, "caption": posted.text, posted.kind: file}


def main(port: int) -> None:
    """Serve until interrupted; print each message."""
    with BotApi(port=port) as api:
        print(f"base_url = {api.base_url!r}, token {api.token}", flush=True)  # noqa: T201
        for count in itertools.count(1):
            posted = api.wait_for_message(count)
            size_bytes = len(posted.file or b"")
            print(posted.chat_id, posted.kind, size_bytes, repr(posted.text), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8_081)
