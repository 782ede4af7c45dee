"""The main job: a beep in the room, through a real sound server, arrives as an mp3 on the phone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.bot_api import BotApi
from tests.end_to_end.daemon import CHAT_ID, Daemon, daemon
from tests.end_to_end.sounds import BEEPS, BEEPS_HZ, RATE_HZ, decoded, loudest_hz, with_silence
from tests.sound_server import SoundServer, sound_server

CONFIG = """
[notify]
room = "laundry room"
"""


@contextmanager
def listening(directory: Path) -> Iterator[tuple[BotApi, SoundServer, Daemon]]:
    """A phone, a room with a microphone, and a daemon that has told the one of the other."""
    with (
        BotApi() as api,
        sound_server(directory / "sound") as server,
        daemon(directory, server.environment) as beepwatch,
    ):
        beepwatch.configure(CONFIG, api)
        beepwatch.start()
        api.wait_for("sendMessage", within_s=60)  # the start notice
        yield api, server, beepwatch


@pytest.mark.mic
@pytest.mark.slow
def test_a_beep_played_into_the_room_arrives_on_the_phone_as_mp3(tmp_path: Path) -> None:
    sound = with_silence(BEEPS, tmp_path / "room.wav", before_s=1.0, after_s=6.0)
    with listening(tmp_path) as (api, server, beepwatch):
        server.play(sound)
        (voice,) = api.wait_for("sendVoice", within_s=60)
        api.wait_for("editMessageCaption", within_s=60)
        assert beepwatch.stop() == 0
        stopped = api.wait_for("sendMessage", count=2)[1]
        (event,) = beepwatch.events()

    assert voice.fields["chat_id"] == str(CHAT_ID)
    assert "beep" in voice.fields["caption"]
    assert "laundry room" in voice.fields["caption"]
    alert_sound = decoded(voice.file)
    assert loudest_hz(alert_sound) == pytest.approx(BEEPS_HZ, rel=0.02)
    assert voice.file[:3] == b"ID3" or voice.file[0] == 0xFF  # an mp3's header
    assert "stopped" in stopped.fields["text"]

    assert event["label"] == "beep"
    assert event["pulses"] >= 2
    assert {alert["channel"]: alert["state"] for alert in event["alerts"]} == {
        "console": "sent",
        f"telegram:{CHAT_ID}": "sent",
    }
    (counted,) = (line for line in beepwatch.log.read_text().splitlines() if '"stopped"' in line)
    assert json.loads(counted)["recorder"]["early_windows"] >= 1  # nobody waited for the whole
    whole = decoded(Path(event["clip"]).read_bytes())
    assert loudest_hz(whole) == pytest.approx(BEEPS_HZ, rel=0.02)
    onset, offset = (datetime.fromisoformat(event[end]) for end in ("onset", "offset"))
    assert len(whole) / RATE_HZ == pytest.approx((offset - onset).total_seconds() + 2, abs=0.3)


@pytest.mark.mic
@pytest.mark.slow
def test_a_sound_server_that_dies_is_told_and_listened_to_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    sound = with_silence(BEEPS, tmp_path / "room.wav", before_s=1.0, after_s=1.0)
    with listening(tmp_path) as (api, server, beepwatch):
        server.kill()
        lost = api.wait_for("sendMessage", count=2, within_s=60)[1]
        server.start()
        found = api.wait_for("sendMessage", count=3, within_s=60)[2]
        server.play(sound)
        (voice,) = api.wait_for("sendVoice", within_s=60)
        assert beepwatch.stop() == 0
    assert "microphone" in lost.fields["text"]
    assert "microphone is heard again" in found.fields["text"]
    assert loudest_hz(decoded(voice.file)) == pytest.approx(BEEPS_HZ, rel=0.02)
