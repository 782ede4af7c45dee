"""The real program: what stops it from starting, and what its children do without it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import beepwatch.daemon
from beepwatch.daemon.planning import channel_names
from beepwatch.daemon.running import run
from beepwatch.errors import BeepwatchError, ConfigurationError, ModelError, StoreError
from beepwatch.secrecy import Secret
from beepwatch.sections import Capture, Config, Console, Model, Notify, Rule, Store, Telegram

RECORDING = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
PATIENCE_S = 45.0


def wait_until_gone(processes: list[psutil.Process]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while any(one.is_running() and one.status() != "zombie" for one in processes):
        assert time.monotonic() < give_up_s, f"still there: {processes}"
        threading.Event().wait(0.05)


@contextmanager
def listening(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """The program and its children, with a recording that would play on for a minute and a half."""
    told = {"MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    own = {k: v for k, v in os.environ.items() if k not in told}  # noqa: TID251 - the child's
    environment = own | {
        "BEEPWATCH_STORE__DIRECTORY": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "beepwatch", "run", "--source", f"file:{RECORDING}"],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if json.loads(line)["event"] == "listening":
                break
        yield program, psutil.Process(program.pid).children(recursive=True)


def test_no_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with listening(tmp_path) as (program, children):
        program.send_signal(signal.SIGKILL)
        wait_until_gone(children)
        assert program.stderr is not None
        rest = program.stderr.read()
    assert len(children) >= 3
    gone = {json.loads(line).get("process") for line in rest.splitlines()}
    assert gone >= {"recorder", "classifier", "messenger"}


def test_the_libraries_of_every_child_are_told_to_be_small(tmp_path: Path) -> None:
    """One heap however many threads, and no threads of numpy's that wait for work."""
    with listening(tmp_path) as (program, children):
        told = [one.environ() for one in children]
        program.send_signal(signal.SIGKILL)
        wait_until_gone(children)
    assert len(told) >= 3
    for one in told:
        assert (one["MALLOC_ARENA_MAX"], one["OPENBLAS_NUM_THREADS"]) == ("1", "1")


def config(tmp_path: Path, **sections: object) -> Config:
    return Config(
        store=Store(directory=str(tmp_path / "state"), min_free_mb=0),
        **{"capture": Capture(source=f"file:{RECORDING}"), **sections},  # type: ignore[arg-type]
    )


def test_a_source_that_cannot_be_read_ends_the_daemon_with_the_childs_words(
    tmp_path: Path,
) -> None:
    missing = Capture(source=f"FILE: {tmp_path}/missing.wav")
    with pytest.raises(BeepwatchError, match=r"missing\.wav does not exist") as caught:
        run(config(tmp_path, capture=missing, notify=Notify(notices=False)), token=None)
    assert caught.value.exit_code == 1


def test_a_rule_for_a_label_that_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    wrong = config(tmp_path, rules=(Rule(label="doorbell"),))
    with pytest.raises(ConfigurationError, match=r"rules\.label is 'doorbell', but the model beep"):
        run(wrong, token=None)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        run(config(tmp_path, model=Model(bundle=str(tmp_path))), token=None)
    assert caught.value.exit_code == 3


def test_a_state_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="state"):
        run(config(tmp_path), token=None)


def test_alerts_go_to_the_console_and_to_every_chat() -> None:
    notify = Notify(telegram=Telegram(chat_ids=(1, -2)))
    assert channel_names(notify, Secret("1:a")) == ("console", "telegram:1", "telegram:-2")
    assert channel_names(Notify(console=Console(enabled=False)), None) == ()


def test_chats_without_a_token_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"chat_ids is \[1\], but there is no bot token"):
        channel_names(Notify(telegram=Telegram(chat_ids=(1,))), None)
