"""What another configuration means: which keys have changed, and whom it concerns."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

import beepwatch.daemon.planning
from beepwatch.classify.shelf import Shelf
from beepwatch.daemon.planning import Planner, Reloader, changed_keys
from beepwatch.daemon.wiring import Plan
from beepwatch.errors import ConfigurationError
from beepwatch.logs import LogSettings
from beepwatch.secrecy import Secret
from beepwatch.sections import Capture, Config, Machines, Model, Notify, Rule, Store, Watchdog
from tests.classify.pitched import pitched
from tests.daemon.loud import START

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
        (Config(machines=Machines(drift="follow")), {"classifier"}),
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
        assert isinstance(plan, Plan)
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
    assert [isinstance(plan, str) for plan in plans] == [True, True, False]
    assert [line["event"] for line in logs] == ["config_refused"] * 2 + ["config_reloaded"]
    assert logs[0]["reason"] == "capture.hop_s is wrong."
    assert "Restart beepwatch" in logs[1]["reason"]
    assert logs[2]["changed"] == []


def test_a_model_whose_place_cannot_be_looked_at_is_refused_like_any_other(tmp_path: Path) -> None:
    """Anything else than a refusal would end the daemon."""
    one = config(tmp_path)
    for bundle in ("~nobody-of-that-name/model", "x" * 300):
        other = msgspec.structs.replace(one, model=Model(bundle=bundle))
        reload = Reloader(lambda other=other: (other, None), PLANNER, one, None)  # type: ignore[misc]
        with capture_logs():
            assert "no model bundle" in str(reload())


# Taught sounds


def test_a_sound_that_is_taught_changed_or_removed_concerns_the_classifier_alone(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path)
    plans = [PLANNER.plan(config(tmp_path), TOKEN)]
    changes: list[Callable[[], object]] = [
        lambda: shelf.put(pitched("washer", 2_000.0), START),
        lambda: shelf.put(pitched("washer", 2_010.0), START),
        lambda: shelf.remove("washer"),
    ]
    for change in changes:
        change()
        plans.append(PLANNER.plan(config(tmp_path), TOKEN))
        before, after = plans[-2].settings, plans[-1].settings
        assert {name for name in before if before[name] != after[name]} == {"classifier"}
    assert plans[0] == plans[-1]


def test_a_taught_sound_without_a_rule_has_the_default_one(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for name in ("washer", "dryer", "bell"):
        shelf.put(pitched(name, 2_000.0), START)
    rules = (Rule(label="beep", pulses=3), Rule(label="dryer", cooldown_s=5))
    plan = PLANNER.plan(config(tmp_path, rules=rules), TOKEN)
    assert plan.settings["classifier"].rules == (*rules, Rule(label="bell"), Rule(label="washer"))


def test_the_default_rule_asks_for_as_many_pulses_as_the_sound_was_taught_with(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(pitched("washer", 2_000.0, pulses=2), START)
    shelf.put(pitched("dryer", 2_500.0), START)
    (shelf.directory / "dryer" / "head.json").write_text('{"pulses": 99}')  # no head any more
    plan = PLANNER.plan(config(tmp_path, rules=()), TOKEN)
    assert plan.settings["classifier"].rules == (
        Rule(label="dryer"),
        Rule(label="washer", pulses=2),
    )


def test_a_rule_for_what_nobody_knows_names_what_is_known_and_how_to_teach_it(
    tmp_path: Path,
) -> None:
    Shelf(tmp_path).put(pitched("washer", 2_000.0), START)
    wrong = config(tmp_path, rules=(Rule(label="dryer"),))
    with pytest.raises(ConfigurationError) as caught:
        PLANNER.plan(wrong, TOKEN)
    said = "rules.label is 'dryer', but the model beep knows beep, and taught are: washer."
    assert str(caught.value).startswith(said)
    assert "beepwatch teach dryer FILES" in str(caught.value)


def test_a_rule_for_a_sound_that_cannot_be_used_does_not_stop_the_daemon(tmp_path: Path) -> None:
    """After another model has come, or a disk has spoiled the head."""
    shelf = Shelf(tmp_path)
    shelf.put(pitched("washer", 2_000.0), START)
    (shelf.directory / "washer" / "head.json").write_text("{")
    plan = PLANNER.plan(config(tmp_path, rules=(Rule(label="washer"),)), TOKEN)
    assert [*plan.settings["classifier"].taught] == ["washer"]


def test_a_reload_says_that_the_taught_sounds_are_others(tmp_path: Path) -> None:
    one = config(tmp_path)
    reload = Reloader(lambda: (one, TOKEN), PLANNER, one, TOKEN)
    Shelf(tmp_path).put(pitched("washer", 2_000.0), START)
    with capture_logs() as logs:
        plans = [reload(), reload()]
    assert None not in plans
    assert [line["changed"] for line in logs] == [["the taught sounds"], []]
