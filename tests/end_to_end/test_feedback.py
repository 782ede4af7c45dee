"""What the daemon told and somebody called wrong is silent the next time that it is played."""

from pathlib import Path

from beepwatch.classify.examples import encode
from beepwatch.messages import Verdict
from beepwatch.store.database import Database
from tests.end_to_end.daemon import Daemon, daemon
from tests.train.beeper import beeping
from tests.train.teaching.taps import judge

TOY_HZ, OVEN_HZ = 2_960.0, 2_100.0


def play(beepwatch: Daemon, pitch_hz: float, seed: int) -> None:
    """Five seconds in which something beeps three times, heard to the end."""
    recording = beepwatch.directory / f"{seed}.wav"
    recording.write_bytes(encode(beeping(pitch_hz, seed=seed, length_s=5.0)))
    beepwatch.start("--source", f"file:{recording}", "--speed", "max")
    assert beepwatch.wait() == 0, beepwatch.log.read_text()


def test_a_toy_that_was_told_is_told_no_more_and_the_oven_is(tmp_path: Path) -> None:
    with daemon(tmp_path) as beepwatch:
        beepwatch.configure("")
        play(beepwatch, TOY_HZ, 1)
        (told,) = beepwatch.events()
        database = Database(beepwatch.state)
        judge(database, told["id"], Verdict.WRONG)
        database.close()
        said = beepwatch.verb("teach", "--from-feedback")
        assert f"wrong-{told['id']}: learnt from what you called wrong" in said
        play(beepwatch, TOY_HZ, 2)
        play(beepwatch, OVEN_HZ, 3)
        assert [event["label"] for event in beepwatch.events()] == ["beep", "beep"]
        assert beepwatch.log.read_text().count("taught_sound_unusable") == 0
        assert beepwatch.events()[0]["verdict"] == "wrong"
