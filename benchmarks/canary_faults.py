"""Who does harm to a daemon in a day of benchmarks/canary.py, and asks it questions."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.canary_life import Life
from benchmarks.canary_server import Deck, FaultyApi
from tests.end_to_end.daemon import CHAT_ID
from tests.security.canary import Canary, Search
from tests.small_disk import SmallDisk
from tests.web.inference.program import serving_program

CHATS = (CHAT_ID, CHAT_ID + 1, CHAT_ID + 2)  # one that is shut waits for minutes
STRANGER = 666
SHOWS_WITHIN_S = 60.0
_FULL_FOR_S = 8.0
_VERB_WITHIN_S = 90.0
_READ_WITHIN_S = 180.0  # who was not answered asks again later and later
_PAIRS_FOR_S = 25.0
DEEDS = {  # and how often each is in a deck
    "child killed": 4,
    "child crashed": 2,
    "all killed": 1,
    "good settings": 2,
    "bad settings": 1,
    "token in settings": 4,
    "disk full": 1,
    "stranger": 1,
    "questions of a chat": 1,
    "doctor": 1,
    "config show": 1,
    "events --json": 1,
    "service status": 1,
    "telegram test": 1,
    "telegram pair": 1,
    "pages": 1,
}
WAYS = (  # to write the token wrongly
    "as a value",
    "without quotes",
    "as a key",
    "as a chat",
    "as a path",
    "at the end of a long path",
    "in a file for all",
    "in quotes",
    "without its number",
    "as a directory",
    "as a source",
    "as a model",
    "as a label",
    "as a time",
)
LONG_PATH = "/" + "/".join(["secrets of the house"] * 8)  # so long that an error cuts it off


class Luck:
    """Of a whole day; the parts go on where the last one has ended."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.deeds = Deck(DEEDS, chance)
        self.ways = Deck(dict.fromkeys(WAYS, 1), chance)

    def apart(self) -> random.Random:
        """For another thread, whose turns do not change the order of these."""
        return random.Random(self.chance.getrandbits(64))  # noqa: S311 - faults, no secrets


class Harm:
    """Does harm to a daemon and asks it questions; each deed says whether it was noticed."""

    def __init__(
        self,
        *,
        life: Life,
        api: FaultyApi,
        search: Search,
        given: Path,
        disk: SmallDisk | None,
        luck: Luck,
    ) -> None:
        self.done: Counter[str] = Counter()
        self.noticed: Counter[str] = Counter()
        self._life = life
        self._one = life.one
        self._looker = life.looker
        self._api = api
        self._search = search
        self._canary = search.canary
        self._given = given
        self._disk = disk
        self._good = life.one.config.read_text()
        self._luck = luck

    def do_next(self) -> None:
        """One deed more."""
        self.do(self._luck.deeds.draw())

    def do(self, name: str) -> bool:
        """This deed, one of DEEDS; whether it was noticed."""
        self.done[name] += 1
        try:
            noticed = self._deed(name)()
        except (OSError, RuntimeError) as error:  # a program that did not start or answer
            print(f"{name}: {error}", flush=True)
            noticed = False
        self.noticed[name] += noticed
        return noticed

    def _deed(self, name: str) -> Callable[[], bool]:
        return {
            "child killed": lambda: self._kill(signal.SIGKILL),
            "child crashed": lambda: self._kill(signal.SIGSEGV, signal.SIGABRT),
            "all killed": self._cut_power,
            "good settings": self._other_room,
            "bad settings": self._bad_settings,
            "token in settings": self._token_in_settings,
            "disk full": self._fill_disk,
            "stranger": self._stranger,
            "questions of a chat": self._questions,
            "doctor": lambda: self._ask("doctor", "--debug", "--source", "stdin"),
            "config show": lambda: self._ask("config", "show", "--debug"),
            "events --json": lambda: self._ask("events", "--json"),
            "service status": lambda: self.say("service", "status", "--debug"),
            "telegram test": lambda: self._ask("telegram", "test", "--debug"),
            "telegram pair": self._pair,
            "pages": self._pages,
        }[name]

    # To the processes

    def _kill(self, *signals: signal.Signals) -> bool:
        children = self._one.children()
        if not children:
            return False
        number, pid = self._luck.chance.choice(signals), self._luck.chance.choice(children)
        return self._brings(lambda: os.kill(pid, number), "process_died")

    def _cut_power(self) -> bool:
        self._one.cut_power()
        self._life.begin()
        return True

    def _brings(self, deed: Callable[[], None], *events: str) -> bool:
        """Whether the log says one of these after it."""
        seen = self._looker.log.events
        before = sum(seen[event] for event in events)
        with suppress(ProcessLookupError):  # it has just ended
            deed()
        end_s = time.monotonic() + SHOWS_WITHIN_S
        while sum(seen[event] for event in events) == before:
            if time.monotonic() > end_s or self._life.is_over:
                return False
            time.sleep(0.05)
        return True

    # To the settings

    def _reload(self, text: str, *events: str) -> bool:
        self._one.config.write_text(text)
        return self._brings(lambda: os.kill(self._one.pid, signal.SIGHUP), *events)

    def _other_room(self) -> bool:
        room = self._luck.chance.randrange(1_000)
        return self._reload(f'{self._good}\n[notify]\nroom = "room {room}"\n', "config_reloaded")

    def _bad_settings(self) -> bool:
        """Those before are put back, so that it can be started with them."""
        refused = self._reload(f"{self._good}\n[nothing]\n", "config_refused")
        self._one.config.write_text(self._good)
        return refused

    def _token_in_settings(self) -> bool:
        """One of the ways to write it where it does not belong, and the good settings again."""
        ways = wrong_settings(self._good, self._canary, self._given)
        way = self._luck.ways.draw()
        read = self._reload(ways[way], "config_refused", "config_reloaded")
        wrong = self._given / "wrong.toml"
        wrong.write_text(ways[way])
        said = self.say("config", "check", "--debug", config=wrong)
        verb = self._luck.chance.choice((("config", "show"), ("doctor", "--source", "stdin")))
        said |= self.say(*verb, config=wrong)
        self._reload(self._good, "config_reloaded")
        return said and read

    # To the disk

    def _fill_disk(self) -> bool:
        if self._disk is None:
            return False
        self._disk.fill()
        try:
            return self._brings(lambda: time.sleep(_FULL_FOR_S), "fault")
        finally:
            self._disk.make_room()

    # Questions

    def _stranger(self) -> bool:
        """Who knows the token, and tells it."""
        self._api.write_to_bot(STRANGER, f"/status {self._canary.token}")
        return self._is_read()

    def _questions(self) -> bool:
        for text in ("/status", "/last", "/help", f"/mute {self._canary.token}"):
            self._api.write_to_bot(self._luck.chance.choice(CHATS), text, date=time.time())
        return self._is_read()

    def _is_read(self) -> bool:
        """A bot that was refused with 401 asks again after minutes only."""
        with suppress(AssertionError):
            self._api.wait_until(lambda: not self._api.unread, "question read", _READ_WITHIN_S)
        return not self._api.unread

    def say(self, *words: str, config: Path | None = None) -> bool:
        """A verb that knows no --config, or another one; whether it said anything."""
        named = ["--config", str(config)] if config else []
        return self._run([*words, *named], b"", _VERB_WITHIN_S)

    def _ask(self, *words: str) -> bool:
        return self.say(*words, config=self._one.config)

    def _run(self, words: Sequence[str], spoken: bytes, within_s: float) -> bool:
        environment = dict(self._one.environment)
        if spoken:
            environment.pop("BEEPWATCH_TELEGRAM_TOKEN", None)
            environment.pop("CREDENTIALS_DIRECTORY", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "beepwatch", *words],
            env=environment,
            cwd=self._one.directory / "work",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._looker.watch(process.pid, verb=True)
        try:
            said, _ = process.communicate(spoken, within_s)
        except subprocess.TimeoutExpired:
            process.terminate()
            said, _ = process.communicate()
        self._looker.forget(process.pid)
        self._search.look("verbs", said, " ".join(words[:2]))
        return bool(said)

    def _pair(self) -> bool:
        """The token is typed; nobody writes the code."""
        settings = self._given / "pair.toml"
        url = f'[notify.telegram]\nbase_url = "{self._api.base_url}"\n'
        settings.write_text(f'[store]\ndirectory = "{self._one.state}"\n{url}')
        words = ["telegram", "pair", "--debug", "--config", str(settings)]
        return self._run(words, f"{self._canary.token}\n".encode(), _PAIRS_FOR_S)

    def _pages(self) -> bool:
        words = ("--workers", "1", "--debug", "--config", str(self._one.config))
        with serving_program(self._one.directory / "serving", *words) as server:
            self._looker.watch(server.process.pid, verb=True)
            paths = ("/", "/metrics", "/openapi.json", "/docs", "/nothing")
            answers = [server.ask("GET", path) for path in paths]
            answers += [server.ask("GET", "/", Accept="text/html"), server.post(b"no sound")]
            server.end()
        self._looker.forget(server.process.pid)
        for answer in answers:
            self._search.look("pages", f"{answer.headers}\n".encode() + answer.content)
        self._search.look("verbs", f"{server.said}{server.complained}".encode(), "serve")
        return all(answer.content for answer in answers)


def wrong_settings(good: str, canary: Canary, given: Path) -> dict[str, str]:
    """Ways to write a token where it does not belong, or as it should not be; the settings.

    Those that are no mistake when the environment has another token are among them.
    """
    token = canary.token

    def written(line: str, table: str = "[notify.telegram]") -> str:
        key = line.partition(" = ")[0]
        kept = "\n".join(one for one in good.splitlines() if not one.startswith(f"{key} = "))
        return f"{kept}\n".replace(f"{table}\n", f"{table}\n{line}\n")

    def in_file(name: str, content: str, mode: int = 0o600) -> str:
        file = given / name
        file.write_text(content)
        file.chmod(mode)
        return written(f'token_file = "{file}"')

    return {
        "as a value": written(f'token = "{token}"'),
        "without quotes": written(f"token = {token}"),
        "as a key": written(f'"{token}" = 1'),
        "as a chat": written(f'chat_ids = ["{token}"]'),
        "as a path": written(f'token_file = "{token}"'),
        "at the end of a long path": written(f'token_file = "{LONG_PATH}/{token}"'),
        "in a file for all": in_file("for-all", token, 0o644),
        "in quotes": in_file("quoted", f'"{token}"'),
        "without its number": in_file("half", canary.half),
        "as a directory": written(f'directory = "/{token}"', "[store]"),
        "as a source": f'{good}\n[capture]\nsource = "{token}"\n',
        "as a model": f'{good}\n[model]\nbundle = "{LONG_PATH}/{token}"\n',
        "as a label": f'{good}\n[[rules]]\nlabel = "{token}"\n',
        "as a time": f'{good}\n[teaching]\nnightly = "{token}"\n',
    }
