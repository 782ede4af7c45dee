"""What another configuration means: which keys have changed, and whom it concerns."""

from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

import beepwatch.daemon.planning
from beepwatch.config import Capture, Config, Notify, Store, Watchdog
from beepwatch.daemon.planning import Planner, Reloader, changed_keys
from beepwatch.errors import ConfigurationError
from beepwatch.logs import LogSettings
from beepwatch.secrecy import Secret

PLANNER = Planner(speed=1.0, log_level="info", since_s=0.0)
TOKEN, OTHER_TOKEN = Secret("1:a"), Secret("1:b")


def test_keys_are_dotted_and_lists_are_one_value() -> None:
    old = {"a": {"b": 1, "c": [1]}, "d": 2}
    new = {"a": {"b": 1, "c": [2]}, "d": 3}
    assert changed_keys(old, new) == ["a.c", "d"]
    assert changed_keys(old, old) == []


def concerned(old: Config, new: Config, *, token: Secret | None = None) -> set[str]:
    """The children whose settings are others."""
    before, after = PLANNER.plan(old, TOKEN), PLANNER.plan(new, token or TOKEN)
    return {name for name in before.settings if before.settings[name] != after.settings[name]}


@pytest.mark.parametrize(
    ("new", "whom"),
    [
        (Config(), set()),
        (Config(notify=Notify(room="cellar")), {"messenger"}),
        (Config(watchdog=Watchdog(missing_after_min=9)), {"classifier"}),
        (Config(store=Store(keep_days=9)), {"messenger"}),
        (Config(capture=Capture(gate=False)), {"recorder"}),
        (Config(capture=Capture(queue_windows=9)), set()),
        (Config(capture=Capture(source="microphone:USB")), {"recorder"}),
        (Config(notify=Notify(notices=False)), {"messenger"}),
    ],
)
def test_a_setting_concerns_who_uses_it(new: Config, whom: set[str]) -> None:
    """The recorder above all: while it is replaced, nobody hears."""
    assert concerned(Config(), new) == whom


def test_another_token_concerns_who_has_it() -> None:
    assert concerned(Config(), Config(), token=OTHER_TOKEN) == {"messenger"}


def config(tmp_path: Path, **sections: object) -> Config:
    return Config(store=Store(directory=str(tmp_path)), **sections)  # type: ignore[arg-type]


def test_a_reload_tells_what_has_changed_and_compares_with_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new token is kept out of the log from then on."""
    configured: list[LogSettings] = []
    monkeypatch.setattr(beepwatch.daemon.planning, "configure_logging", configured.append)
    one, two = config(tmp_path), config(tmp_path, watchdog=Watchdog(missing_after_min=9))
    read = iter([(two, TOKEN), (two, OTHER_TOKEN), (one, OTHER_TOKEN)])
    reload = Reloader(lambda: next(read), PLANNER, one, TOKEN)
    changed = []
    for _ in range(3):
        with capture_logs() as logs:
            plan = reload()
        assert plan is not None
        changed += [line["changed"] for line in logs if line["event"] == "config_reloaded"]
    keys = ["watchdog.missing_after_min"]
    assert changed == [keys, ["the bot token"], keys]
    assert [one.secrets for one in configured] == [(OTHER_TOKEN,)]


def test_what_is_refused_is_said_and_changes_nothing(tmp_path: Path) -> None:
    one = config(tmp_path)
    elsewhere = msgspec.structs.replace(one, store=Store(directory=str(tmp_path / "b")))
    answers: list[ConfigurationError | tuple[Config, None]]
    answers = [ConfigurationError("capture.hop_s is wrong."), (elsewhere, None), (one, None)]

    def read() -> tuple[Config, Secret | None]:
        answer = answers.pop(0)
        if isinstance(answer, ConfigurationError):
            raise answer
        return answer

    reload = Reloader(read, PLANNER, one, None)
    with capture_logs() as logs:
        plans = [reload(), reload(), reload()]
    assert [plan is None for plan in plans] == [True, True, False]
    assert [line["event"] for line in logs] == ["config_refused"] * 2 + ["config_reloaded"]
    assert logs[0]["reason"] == "capture.hop_s is wrong."
    assert "Restart beepwatch" in logs[1]["reason"]
    assert logs[2]["changed"] == []
