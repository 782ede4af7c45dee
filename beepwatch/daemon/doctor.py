"""`beepwatch doctor`: everything that may be wrong on this machine, and what to do about it."""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from beepwatch.capture.diagnosis import microphone_report
from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.inventory import machine_inventory
from beepwatch.classify.machines import Machines
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import open_taught, usable_heads
from beepwatch.config import Loaded, default_file, telegram_token
from beepwatch.daemon.planning import channel_names, check_rules, with_defaults
from beepwatch.daemon.programs import answer_of
from beepwatch.daemon.systemctl import Scope, State, Systemctl, runs_here, system_scope, user_scope
from beepwatch.daemon.units import NAME
from beepwatch.errors import BeepwatchError
from beepwatch.secrecy import without_secrets
from beepwatch.sections import Config
from beepwatch.store.database import Database
from beepwatch.store.disk import NO_ANSWER, in_time, why_gone
from beepwatch.wording import counted

PROGRAM_WITHIN_S = 10.0
# How messages end that send people here: with a sentence of its own, or as the rest of one.
_SENT_HERE = re.compile(r" (?:Run `beepwatch doctor`|`beepwatch doctor` tells what is seen)\.")
_ELSE_HERE = re.compile(r"(?:, or|; if that does not help,) run `beepwatch doctor`\.")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's report."""

    name: str
    ok: bool
    found: str
    todo: str = ""

    def as_line(self) -> str:
        """For people, without secrets."""
        mark = "ok  " if self.ok else "BAD "
        found = f"{self.found.rstrip('.')}. {self.todo}" if self.todo else self.found
        return without_secrets(f"{mark} {self.name:<11} {found}")


def checks(loaded: Loaded) -> Iterator[Check]:
    """Every check, each as soon as it is made; none raises."""
    config = loaded.config
    where = str(loaded.file) if loaded.file else "no file; every key has its default"
    yield Check(name="config", ok=True, found=where)
    examinations: list[tuple[str, Callable[[Config], Iterator[Check]]]] = [
        ("microphone", _microphone),
        ("ffmpeg", _ffmpeg),
        ("model", partial(_model, file=loaded.file)),
        ("rules", _rules),
        ("machines", _machines),
        ("disk", _disk),
        ("telegram", partial(_telegram, file=loaded.file)),
        ("service", _service),
    ]
    for name, examine in examinations:
        try:
            for check in examine(config):
                yield msgspec.structs.replace(check, found=for_who_is_here(check.found))
        except BeepwatchError as error:
            yield Check(name=name, ok=False, found=for_who_is_here(str(error)))


def for_who_is_here(text: str) -> str:
    """What others say of a fault, without the advice to ask the doctor."""
    return _ELSE_HERE.sub(".", _SENT_HERE.sub("", text))


def _microphone(config: Config) -> Iterator[Check]:
    report = microphone_report(config.capture)
    if report.faults:
        seen = f" Inputs here: {', '.join(report.devices)}." if report.devices else ""
        for fault in report.faults:
            yield Check(name="microphone", ok=False, found=f"{fault}{seen}")
    elif report.rate_hz is None:
        yield Check(
            name="microphone",
            ok=False,
            found=f"{config.capture.source} ended before any sound came.",
            todo="Let something send sound there, or name another --source.",
        )
    else:
        form = f"{report.rate_hz} Hz, {counted(report.channels or 0, 'channel')}"
        yield Check(name="microphone", ok=True, found=f"{report.device}, {form}")
    if report.level_dbfs is not None:
        silent = report.level_dbfs == float("-inf")
        yield Check(
            name="level",
            ok=not silent,
            found=f"{report.level_dbfs:.0f} dBFS over a second, "
            f"{counted(report.lost_samples, 'sample')} lost",
            todo="Only zeros come: unmute it with alsamixer or pavucontrol." if silent else "",
        )


def _ffmpeg(_config: Config) -> Iterator[Check]:
    path = shutil.which("ffmpeg")
    if path is None:
        yield Check(
            name="ffmpeg",
            ok=False,
            found="not found; clips go out as WAV.",
            todo="Install it: apt install ffmpeg.",
        )
        return
    asked = [path, "-hide_banner", "-encoders"]
    todo = "Install it again: apt install --reinstall ffmpeg."
    if "libmp3lame" in answer_of(asked, within_s=PROGRAM_WITHIN_S, todo=todo).stdout:
        yield Check(name="ffmpeg", ok=True, found=f"{path}, makes mp3")
    else:
        yield Check(
            name="ffmpeg",
            ok=False,
            found=f"{path} cannot make mp3; clips go out as WAV.",
            todo="Install one with libmp3lame: apt install ffmpeg.",
        )


def _model(config: Config, file: Path | None) -> Iterator[Check]:
    bundle = load_bundle(find_bundle(config.model.bundle))
    engine, problems = open_taught(bundle, config.model.runtime, Shelf(config.store.path))
    info = bundle.info
    yield Check(
        name="model",
        ok=True,
        found=f"{info.name} {info.model_id} on {config.model.runtime}: {', '.join(engine.labels)}",
    )
    for problem in problems:
        given = _given(file)
        todo = f"Give it{given}, too." if given else ""
        yield Check(name="taught", ok=False, found=problem, todo=todo)


def _rules(config: Config) -> Iterator[Check]:
    info = load_bundle(find_bundle(config.model.bundle)).info
    shelf = Shelf(config.store.path)
    check_rules(config, info.labels, shelf.digests())
    heads, _ = usable_heads(shelf, info.model_id, info.labels)
    named = {head.name: head.pulses for head in heads if head.kind == "sound"}
    told = sorted({rule.label for rule in with_defaults(config.rules, named)})
    yield Check(name="rules", ok=True, found=f"what is told: {', '.join(told) or 'nothing'}")


def _machines(config: Config) -> Iterator[Check]:
    """Only where one was learned."""
    learned = machine_inventory(Machines(config.store.path))
    usable = [one.name for one in learned if not one.problem]
    if usable:
        yield Check(name="machines", ok=True, found=f"listened to: {', '.join(usable)}")
    for one in learned:
        if one.problem:
            yield Check(name="machines", ok=False, found=one.problem)


def _disk(config: Config) -> Iterator[Check]:
    store = config.store
    try:
        gone = in_time(lambda: why_gone(store.path))
    except TimeoutError:
        gone = NO_ANSWER
    if gone is not None:
        yield Check(
            name="disk",
            ok=False,
            found=f"{store.path} is on a disk that takes nothing any more: {gone}",
            todo="It may be failing: look at `dmesg`, restart the machine, think of a new card.",
        )
        return
    if not _is_to_be_looked_into(store.path):
        yield Check(
            name="disk",
            ok=False,
            found=f"{store.path} is not yours to look into",
            todo="Run it with sudo if it is the service's.",
        )
        return
    Database(store.path).close()
    free_mb = shutil.disk_usage(store.path).free / 1e6
    ok = free_mb > store.min_free_mb
    yield Check(
        name="disk",
        ok=ok,
        found=f"{store.path} can be written, {free_mb:.0f} MB free",
        todo="" if ok else f"Free some, or lower store.min_free_mb ({store.min_free_mb:g}).",
    )


def _is_to_be_looked_into(directory: Path) -> bool:
    """A directory that is still to be made is."""
    try:
        return not directory.exists() or os.access(directory, os.W_OK | os.X_OK)
    except PermissionError:
        return False


def _telegram(config: Config, file: Path | None) -> Iterator[Check]:
    telegram = config.notify.telegram
    token = telegram_token(telegram)
    channel_names(config.notify, token)  # a chat and no token: `run` does not begin
    if token is None or not telegram.chat_ids:
        yield Check(
            name="telegram",
            ok=True,
            found="no phone is connected.",
            todo=f"To connect one: beepwatch telegram pair{_given(file)}.",
        )
        return
    from beepwatch.notify.bot import bot_name

    name = asyncio.run(bot_name(token, telegram.base_url))
    chats = counted(len(telegram.chat_ids), "chat")
    yield Check(name="telegram", ok=True, found=f"@{name}, {chats}")


def _given(file: Path | None) -> str:
    """What names a configuration to a verb that would not find it."""
    return f" --config {file}" if file not in (None, default_file()) else ""


def _service(_config: Config) -> Iterator[Check]:
    if not runs_here():
        yield Check(name="service", ok=True, found="no systemd here; `beepwatch run` does it all")
        return
    found = list(_installed())
    if not found:
        yield Check(
            name="service",
            ok=True,
            found="none is installed",
            todo="To have it run from boot on: beepwatch service install.",
        )
    twice = len([state for _, state in found if state.active_state == "active"]) > 1
    for scope, state in found:
        todo = ""
        if state.failing:
            todo = f"Why: {scope.verb('status')}."
        elif state.active_state == "inactive":
            todo = f"To start it: {scope.command('start')} beepwatch."
        elif twice:
            todo = f"Two tell you of each beep. To be rid of it: {scope.verb('uninstall')}."
        yield Check(
            name="service",
            ok=not (state.failing or twice),
            found=f"{NAME}{' of your session' if scope.user else ''} is {state.active_state}",
            todo=todo,
        )


def _installed() -> Iterator[tuple[Scope, State]]:
    for scope in (system_scope(), user_scope()):
        # A user's manager can be asked in a session only, and need not be where there is nothing.
        if not scope.user or scope.file.is_file():
            state = Systemctl(scope).state()
            if state.installed:
                yield scope, state
