"""A day of faults, and the token is found nowhere: python -m benchmarks.canary [OPTIONS].

`beepwatch run --debug`, all four processes, hears a household (benchmarks/household.py) through a
pipe, from deed to deed as fast as it can, and tells a stand-in of the Bot API, which fails at two
of five requests in all the ways it knows (benchmarks/canary_server.py). Meanwhile children and the
whole daemon are killed, the disk is filled, the settings are changed, with the token where it does
not belong too, and every verb that knows the token is asked (benchmarks/canary_faults.py). The
sound is heard in three parts, one for each way to give the daemon its token: a file, the
environment, a credential of systemd's.

The token, its secret half and parts of that, plain, in base64, in hexadecimal, in UTF-16, are
looked for all along and at the end in: the log, what the verbs say, the pages of `serve`, command
lines and environments of all processes, each file of the state (database with its write-ahead
log, clips) with its name, temporary, working and home directories, core files, what goes over the
wire beside the request's path, and what systemd would be told (benchmarks/canary_watch.py).

The exit code is 1 if it was found, if a process may leave a core or talks to anybody else, or if a
kind of fault or of place was not tried.
"""

import argparse
import os
import random
import resource
import shutil
import string
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.canary_faults import CHATS, DEEDS, Harm, Luck
from benchmarks.canary_life import Life
from benchmarks.canary_server import ANSWERS, FaultyApi
from benchmarks.canary_watch import Looker
from benchmarks.soak import Feeder, small_disk
from benchmarks.soak_verdict import Told
from tests.end_to_end.daemon import CHAT_ID, Daemon, daemon
from tests.security.canary import Canary, Search
from tests.small_disk import SmallDisk

GIVEN_BY = ("file", "environment", "credential")
PLACES = (
    "log",
    "verbs",
    "pages",
    "command lines",
    "environments",
    "database",
    "clips",
    "names",
    "other files",
    "wire: headers",
    "wire: bodies",
    "service manager",
)
_EVERY_MIN = (2.0, 12.0)  # of sound, from one deed to the next
_LONGEST_PAUSE_S = 60.0  # if no sound is taken
_DISK_MB = 64.0
_MIN_FREE_MB = 16
_COOLDOWN_S = 20  # so that there is an alert for nearly every beep, and not for every pulse
_NO_CORE = "0 0"


@dataclass(kw_only=True)
class Course:
    """What the parts of the day came to."""

    fed_h: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    noticed: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)  # of the failing server
    wrong: Counter[str] = field(default_factory=Counter)  # lines of the log
    redacted: int = 0  # words of the log
    with_token: int = 0  # requests
    messages: int = 0
    ends: Counter[int] = field(default_factory=Counter)  # exit codes
    core_limits: set[str] = field(default_factory=set)
    listening: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)  # addresses, the server's aside
    bounded: bool = True

    def add(self, feeder: Feeder, api: FaultyApi, harm: Harm, life: Life) -> None:
        """One part more."""
        looker = life.looker
        self.fed_h += feeder.fed_h
        self.done += harm.done
        self.noticed += harm.noticed
        self.answers += api.given
        self.wrong += looker.log.wrong
        self.redacted += looker.log.redacted
        self.with_token += api.with_token
        self.messages += len(api.messages)
        self.ends += life.ends
        self.core_limits |= set(looker.daemon.core_limits.values())
        self.listening |= looker.daemon.listening
        server = api.base_url.removeprefix("http://").partition("/")[0]
        self.strangers |= looker.daemon.called - {server}


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24.0, help="of sound")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path, help="keep the daemon's logs in this directory")
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 - faults, no secrets
    search = Search(made(chance))
    course = Course()
    luck = Luck(chance)
    _let_cores_be_written()
    begun_s = time.monotonic()
    for number, way in enumerate(GIVEN_BY):
        with tempfile.TemporaryDirectory() as name:
            part = Part(Path(name), way, search, luck)
            try:
                part.live(options.hours / len(GIVEN_BY), options.seed + number, course)
            finally:
                if options.logs:
                    options.logs.mkdir(exist_ok=True)
                    shutil.copy(part.log, options.logs / f"{way}.log")
    print(f"{course.fed_h:.1f} h of sound in {time.monotonic() - begun_s:.0f} s")
    told = Told()
    judge(told, course, search, options.hours)
    sys.exit(1 if told.failures else 0)


def made(chance: random.Random) -> Canary:
    """A token that looks as a bot's does."""
    letters = string.ascii_letters + string.digits
    return Canary(f"7654321098:{''.join(chance.choices(letters, k=35))}")


def _let_cores_be_written() -> None:
    """As far as it is up to whoever starts the daemon."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


class Part:
    """A daemon with its token given in one way, in a room of its own."""

    def __init__(self, directory: Path, way: str, search: Search, luck: Luck) -> None:
        self.log = directory / "room" / "beepwatch.log"
        self._room = directory / "room"
        self._given = directory / "given"  # the one place for the token: it is not searched
        self._way = way
        self._search = search
        self._luck = luck
        for name in ("tmp", "work", "home"):
            (self._room / name).mkdir(parents=True)
        self._given.mkdir(mode=0o700)
        self.log.touch()

    def live(self, hours: float, seed: int, course: Course) -> None:
        """Hear so much, while all goes wrong."""
        with ExitStack() as stack:
            bounded = stack.enter_context(small_disk(self._room / "disk", _DISK_MB))
            api = FaultyApi(self._search, self._luck.apart())
            stack.enter_context(api)
            one = stack.enter_context(daemon(self._room))
            self._configure(one, api)
            looker = Looker(one, self._search, token_in_environment=self._way == "environment")
            sound, into = os.pipe()  # open here too, so that it outlives a daemon that is killed
            stack.callback(os.close, sound)
            life = Life(one, looker, sound)
            stack.enter_context(looker.looking())
            life.begin()
            feeder = Feeder(os.fdopen(into, "wb"), one.state, hours, seed)
            disk = SmallDisk(self._room / "disk") if bounded else None
            harm = Harm(
                life=life,
                api=api,
                search=self._search,
                given=self._given,
                disk=disk,
                luck=self._luck,
            )
            self._do_harm(harm, life, feeder)
            life.end()
            feeder.ended.set()
        course.bounded &= bounded
        course.add(feeder, api, harm, life)
        print(
            f"token by {self._way}: {feeder.fed_h:.1f} h, {harm.noticed.total()} deeds, "
            f"{api.given.total()} faulty answers, {len(api.messages)} messages",
            flush=True,
        )

    def _configure(self, one: Daemon, api: FaultyApi) -> None:
        one.config = self._given / "config.toml"
        one.state = self._room / "disk" / "state"
        one.configure(f'[[rules]]\nlabel = "beep"\ncooldown_s = {_COOLDOWN_S}\n', api)
        text = one.config.read_text().replace("= 1\n", f"= {_MIN_FREE_MB}\n")
        text = text.replace(f"[{CHAT_ID}]", str(list(CHATS)))
        del one.environment["BEEPWATCH_TELEGRAM_TOKEN"]
        token = self._search.canary.token
        if self._way == "environment":
            one.environment["BEEPWATCH_TELEGRAM_TOKEN"] = token
        else:
            file = self._given / "telegram-token"
            file.write_text(f"{token}\n")
            file.chmod(0o600)
        if self._way == "file":
            text += f'token_file = "{file}"\n'
        elif self._way == "credential":
            one.environment["CREDENTIALS_DIRECTORY"] = str(self._given)
        one.config.write_text(text)
        one.environment |= {
            "HOME": str(self._room / "home"),
            "TMPDIR": str(self._room / "tmp"),
            "NOTIFY_SOCKET": str(self._room / "manager"),
        }

    def _do_harm(self, harm: Harm, life: Life, feeder: Feeder) -> None:
        feeder.at_once_until_h = 0.0  # a deed takes longer than hours of sound do
        while feeder.alive:
            harm.do_next()
            next_h = feeder.fed_h + self._luck.chance.uniform(*_EVERY_MIN) / 60
            feeder.at_once_until_h = next_h
            if life.is_over and feeder.alive:
                life.begin()  # as the service manager does
            give_up_s = time.monotonic() + _LONGEST_PAUSE_S
            while feeder.alive and feeder.fed_h < next_h and time.monotonic() < give_up_s:
                time.sleep(0.05)


def judge(told: Told, course: Course, search: Search, hours: float) -> None:
    """Print what was tried and found."""
    print(f"\n{'harm':24} {'done':>6} {'noticed':>8}")
    for name, count in sorted(course.done.items()):
        print(f"{name:24} {count:6} {course.noticed[name]:8}")
    print(f"\n{'place':24} {'searched':>12}")
    for place, size_bytes in sorted(search.searched.items()):
        print(f"{place:24} {size_bytes / 1e3:9.1f} kB")
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    print(f"\nanswers of the server that were faults: {dict(course.answers)}")
    print(f"{course.messages} messages; exit codes {dict(course.ends)}; core pattern {pattern!r}")
    print(f"the log's warnings and errors: {dict(course.wrong)}")
    if not course.bounded:
        print("no mount allowed here: a full disk was not part of this run")
    told.check("all was fed", course.fed_h >= hours - 1e-6, f"{course.fed_h:.1f} h")
    told.check("found nowhere", not search.found, f"{len(search.found)} places")
    for place, before in search.found.items():
        print(f"  {place}: after {before}")
    faults = sum(course.noticed.values()) + sum(course.answers.values())
    untried = [name for name in DEEDS if not course.noticed[name]]
    if not course.bounded:
        untried.remove("disk full")
    untried += [name for name in ANSWERS if not course.answers[name]]
    told.check("every fault was tried", not untried, f"{faults} faults, none of: {untried}")
    unsearched = [place for place in PLACES if not search.searched[place]]
    told.check("every place was searched", not unsearched, f"nothing in: {unsearched}")
    told.check("it was used", course.with_token > 0, f"{course.with_token} requests with it")
    told.check("it would be logged", course.redacted > 0, f"{course.redacted} times redacted")
    limits = course.core_limits
    told.check("no cores", limits == {_NO_CORE}, f"limits of its processes: {sorted(limits)}")
    told.check("nobody else is called", not course.strangers, f"{sorted(course.strangers)}")
    told.check("no port is open", not course.listening, f"{sorted(course.listening)}")


if __name__ == "__main__":
    main()
