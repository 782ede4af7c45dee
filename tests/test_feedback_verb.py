"""`beepwatch teach --from-feedback`: real taps in a real store, the real verb, a real shelf."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import TaughtEngine, usable_heads
from beepwatch.cli import run_command_line
from beepwatch.messages import Verdict
from beepwatch.store.corrections import corrections
from beepwatch.store.database import Database
from beepwatch.train.teaching import fitting, relearning, vetoes
from beepwatch.train.teaching.examples import heard
from beepwatch.train.teaching.judged import alarms
from beepwatch.train.teaching.silencing import Silencer, Silencing
from tests.classify.pitched import pitched
from tests.train.beeper import RATE_HZ, beeping, shipped
from tests.train.teaching.taps import NOON, judge, tap

TOY_HZ, OVEN_HZ = 2_960.0, 2_100.0
INFO = load_bundle(find_bundle("beep")).info


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of a household; what is learnt from is little, to be quick."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("BEEPWATCH_CONFIG", raising=False)
    monkeypatch.setattr(vetoes, "LEARNT", 12)
    monkeypatch.setattr(vetoes, "TRIED", 6)
    monkeypatch.setattr(vetoes, "MADE", 12)
    monkeypatch.setattr(fitting, "DISGUISES", 16)
    monkeypatch.setattr(fitting, "TRIED", 8)
    monkeypatch.setattr(relearning, "CHECKED", 12)
    return tmp_path / "state"


def wrong(state: Path, pitch_hz: float = TOY_HZ, seed: int = 1, label: str = "beep") -> int:
    """A beep that nobody wants to hear of."""
    return tap(state, beeping(pitch_hz, seed=seed), Verdict.WRONG, label=label, rate_hz=RATE_HZ)


def learn(capsys: pytest.CaptureFixture[str], exit_code: int = 0) -> str:
    """What the verb prints, on whichever of the two."""
    assert run_command_line(["teach", "--from-feedback"]) == exit_code
    said = capsys.readouterr()
    return said.out + said.err


def is_told(state: Path, pitch_hz: float, label: str = "beep") -> bool:
    """Whether the daemon would now take note of a beep of this pitch that it has not met."""
    heads, problems = usable_heads(Shelf(state), INFO.model_id, INFO.labels)
    assert problems == []
    engine = TaughtEngine(shipped(), INFO.thresholds, heads)
    return alarms(engine, heard(shipped(), beeping(pitch_hz, seed=9, level=1_500)), label)


def test_what_was_called_wrong_is_silent_and_other_beeps_are_not(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = wrong(state)
    wrong(state, seed=2)
    assert is_told(state, TOY_HZ)
    said = learn(capsys)
    assert f"wrong-{first}: learnt from what you called wrong" in said
    assert "2 of 2 would be silent now" in said
    assert "takes note by itself" in said
    assert not is_told(state, TOY_HZ)
    assert is_told(state, OVEN_HZ)
    assert is_told(state, TOY_HZ * 1.03)
    assert len(Shelf(state).examples(f"wrong-{first}")) == 2


def test_what_is_silent_by_what_is_learnt_of_another_sound_gets_no_veto_of_its_own(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each veto costs other devices a pitch; this one would silence nothing."""
    Shelf(state).put(pitched("wrong-99", TOY_HZ, kind="veto"), NOON)
    assert not is_told(state, TOY_HZ)
    wrong(state)
    assert "1 new verdict noted; nothing has to be otherwise" in learn(capsys)
    assert [*Shelf(state).digests()] == ["wrong-99"]


def test_a_second_run_changes_nothing_and_says_so(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong(state)
    learn(capsys)
    before = Shelf(state).generation()
    assert "nothing new to learn: 1 verdict learnt before" in learn(capsys)
    assert Shelf(state).generation() == before


def test_a_rollback_stays_and_so_does_taking_a_veto_away(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until somebody taps again: what was learnt once is not learnt behind one's back."""
    shelf = Shelf(state)
    name = f"wrong-{wrong(state)}"
    learn(capsys)
    one_tap = shelf.head(name)
    wrong(state, seed=2)
    learn(capsys)
    assert shelf.head(name) != one_tap
    assert run_command_line(["teach", "--rollback", name]) == 0
    learn(capsys)
    assert shelf.head(name) == one_tap
    assert run_command_line(["teach", "--remove", name]) == 0
    learn(capsys)
    assert shelf.digests() == {}


def test_a_veto_that_would_silence_what_is_right_is_refused_with_one_line(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong(state)
    right = tap(state, beeping(TOY_HZ, seed=3), Verdict.RIGHT, rate_hz=RATE_HZ)
    said = learn(capsys, exit_code=1)
    assert said.count("\n") == 1
    assert said.startswith("beepwatch: wrong-1 is not learnt: ")
    assert f"it would silence event {right} too, which you called right" in said
    assert Shelf(state).digests() == {}
    assert is_told(state, TOY_HZ)
    database = Database(state)
    assert [one.used for one in corrections(database)] == [False, True]
    database.close()


def test_a_verdict_that_is_turned_takes_the_veto_away(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event_id = wrong(state)
    learn(capsys)
    database = Database(state)
    judge(database, event_id, Verdict.RIGHT)
    database.close()
    assert f"wrong-{event_id} is taken away" in learn(capsys)
    assert Shelf(state).digests() == {}
    assert is_told(state, TOY_HZ)


def test_a_clip_that_cannot_be_read_is_named_and_the_others_are_learnt(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = wrong(state, seed=4)
    (state / "feedback" / "beep" / f"{broken}.wav").write_text("no sound at all")
    wrong(state)
    said = learn(capsys, exit_code=1)
    assert f"beepwatch: event {broken} was left out: " in said
    assert not is_told(state, TOY_HZ)


def test_a_taught_sound_learns_from_right_and_wrong(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A beep just beside its own, in its tolerance, that another machine makes."""
    from beepwatch.classify.examples import encode

    clip = tmp_path / "oven.wav"
    clip.write_bytes(encode(beeping(OVEN_HZ)))
    assert run_command_line(["teach", "oven", str(clip)]) == 0
    taught = Shelf(state).head("oven")
    assert is_told(state, OVEN_HZ, "oven")
    tap(state, beeping(OVEN_HZ, seed=5), Verdict.RIGHT, label="oven", rate_hz=RATE_HZ)
    chord = beeping(OVEN_HZ, seed=6) // 2 + beeping(3_300.0, seed=7)
    tap(state, chord.astype(np.int16), Verdict.WRONG, label="oven", rate_hz=RATE_HZ)
    capsys.readouterr()
    said = learn(capsys)
    assert "oven: learnt from 1 right and 1 wrong; it would take 0 of these wrong ones" in said
    assert Shelf(state).head("oven") != taught
    assert len(Shelf(state).versions("oven")) == 1
    assert is_told(state, OVEN_HZ, "oven")


def test_what_is_taught_meanwhile_is_not_undone(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learning begins anew, and looks at what is there now."""
    wrong(state)
    seen: list[list[str]] = []

    def silence(self: Silencer, stale: Iterable[str] = ()) -> Silencing:
        if not seen:
            Shelf(state).put(pitched("oven", OVEN_HZ), NOON)
        seen.append([*Shelf(state).digests()])
        return Silencing(learnt={1})

    monkeypatch.setattr(Silencer, "learn", silence)
    assert "1 new verdict noted" in learn(capsys)
    assert seen == [["oven"], ["oven"]]


def test_without_a_tap_there_is_nothing_to_learn(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nobody has tapped right or wrong" in learn(capsys)
    assert not state.exists()
