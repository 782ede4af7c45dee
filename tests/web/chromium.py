"""A real Chromium without a window, driven over the pipe that it offers for that.

With `--remote-debugging-pipe` it reads commands of the DevTools protocol from file descriptor 3 and
answers on 4, each message ended by a zero byte: no port, no driver, no further package.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ANSWER_WITHIN_S = 60.0
_TRUE_WITHIN_S = 60.0
_FLAGS = (
    *("--headless=new", "--no-first-run", "--no-default-browser-check", "--mute-audio"),
    *("--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    *("--password-store=basic", "--remote-debugging-pipe"),
)
_SHIFT, _CONTROL = 8, 2
_CODES = {  # of keys that are no letter or digit: (code, Windows' number)
    "ArrowLeft": ("ArrowLeft", 37),
    "ArrowUp": ("ArrowUp", 38),
    "ArrowRight": ("ArrowRight", 39),
    "ArrowDown": ("ArrowDown", 40),
    "Home": ("Home", 36),
    "End": ("End", 35),
    "Delete": ("Delete", 46),
    "Escape": ("Escape", 27),
    " ": ("Space", 32),
    "?": ("Slash", 191),
}


class BrowserError(Exception):
    """The browser, or a page in it, did not do what it was told."""


class Chromium:
    """One browser process."""

    def __init__(self, directory: Path) -> None:
        self._pages: dict[str, Page] = {}  # by session
        self._answers: dict[int, dict[str, Any]] = {}
        self._number = 0
        self._received = b""
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        program = shutil.which("chromium")
        if program is None:
            raise BrowserError("there is no chromium; script/setup test installs it")
        with (directory.parent / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("bash", "-c", f'exec "$0" "$@" 3<&{read_there} 4>&{write_there}', program),
                    *_FLAGS,
                    "--no-sandbox",  # it wants no root, and namespaces that containers lack
                    f"--user-data-dir={directory}",
                ],
                pass_fds=(read_there, write_there),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "HOME": str(directory.parent)},  # noqa: TID251 - it inherits it
            )
        os.close(read_there)
        os.close(write_there)
        self._read, self._write = read_here, write_here

    def open(self, url: str, *, width: int = 1280, height: int = 800) -> "Page":
        """A page in a tab of its own, loaded."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        page.resize(width, height)
        page.go(url)
        return page

    def ask(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        ends = time.monotonic() + _ANSWER_WITHIN_S
        while self._number not in self._answers:
            self._take(ends - time.monotonic(), method)
        answer = self._answers.pop(self._number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def close(self) -> None:
        """End the browser and its children."""
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._read)

    def _take(self, within_s: float, method: str) -> None:
        ready, _, _ = select.select([self._read], [], [], max(within_s, 0.0))
        received = os.read(self._read, 1 << 20) if ready else b""
        if not received:
            raise BrowserError(f"no answer to {method}")
        *messages, self._received = (self._received + received).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            elif message.get("sessionId") in self._pages:
                self._pages[message["sessionId"]].note(message["method"], message["params"])


class Page:
    """One tab."""

    def __init__(self, browser: Chromium, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self.complaints: list[str] = []  # exceptions, what the policy refused, what did not load

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """A command to this tab."""
        return self._browser.ask(method, self._session, **parameters)

    def go(self, url: str) -> None:
        """Load another page."""
        answer = self.ask("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.wait("document.readyState === 'complete'")

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of what is seen, in CSS pixels, and whether the user likes it dark."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def value(self, expression: str) -> Any:  # noqa: ANN401 - JSON
        """What an expression, or the promise that it is, comes to."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", details).get("description", "error"))
        return answer["result"].get("value")

    def wait(self, condition: str, within_s: float = _TRUE_WITHIN_S) -> None:
        """Until a condition holds."""
        ends = time.monotonic() + within_s
        while not self._holds(condition):
            if time.monotonic() > ends:
                raise BrowserError(f"not true after {within_s} s: {condition}")

    def _holds(self, condition: str) -> bool:
        """Looked at again a little later if it does not; a page may be about to be another."""
        again = "new Promise((done) => setTimeout(() => done(false), 20))"
        try:
            return bool(self.value(f"Boolean({condition}) || {again}"))
        except BrowserError as error:
            if "navigated" in str(error) or "context" in str(error):
                return False
            raise

    def press(self, key: str, *, shift: bool = False, control: bool = False) -> None:
        """One key, pressed and let go."""
        if key.isdigit():
            code, number = f"Digit{key}", ord(key)
        elif len(key) == 1 and key.isalpha():
            code, number = f"Key{key.upper()}", ord(key.upper())
        else:
            code, number = _CODES[key]
        event = {
            **{"key": key, "code": code, "windowsVirtualKeyCode": number},
            "modifiers": _SHIFT * shift + _CONTROL * control,
        }
        text = {"text": key} if len(key) == 1 and not control else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def point(self, selector: str) -> tuple[float, float]:
        """Move the mouse over the middle of an element."""
        box = self.value(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
        return box[0], box[1]

    def click(self, selector: str, *, shift: bool = False) -> None:
        """With the left button."""
        x, y = self.point(selector)
        button = {"x": x, "y": y, "button": "left", "clickCount": 1, "modifiers": _SHIFT * shift}
        self.ask("Input.dispatchMouseEvent", type="mousePressed", **button)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", **button)

    def note(self, method: str, parameters: dict[str, Any]) -> None:
        """What the browser says by itself."""
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(details.get("exception", details).get("description", "error"))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            entry = parameters["entry"]
            self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    def cut_off(self, offline: bool) -> None:
        """As if a cable was pulled, or put back."""
        self.ask(
            "Network.emulateNetworkConditions",
            **{"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
        )

    def close(self) -> None:
        """Without being asked whether one may."""
        self._browser.ask("Target.closeTarget", targetId=self._target)


@contextmanager
def chromium(directory: Path) -> Iterator[Chromium]:
    """A browser that is gone afterwards; its profile is below the directory."""
    profile = directory / "chromium-profile"
    profile.mkdir()
    browser = Chromium(profile)
    try:
        yield browser
    finally:
        browser.close()
