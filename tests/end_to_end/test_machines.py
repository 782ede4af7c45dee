"""A machine that begins to sound otherwise is told on the phone, with the sound and a picture."""

import wave
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.classify.machines import Machines
from beepwatch.classify.spectra import RATE_HZ
from tests.bot_api import BotApi
from tests.daemon.fans import WHINE_HZ, normal_fan, well, whining
from tests.daemon.loud import START
from tests.end_to_end.daemon import CHAT_ID, daemon
from tests.end_to_end.sounds import decoded, loudest_hz


def recording(path: Path, *parts: NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.concatenate(parts).astype("<i2").tobytes())
    return path


def test_a_fan_that_begins_to_whine_is_told_once_and_that_it_is_well_again(
    tmp_path: Path,
) -> None:
    sound = recording(tmp_path / "fan.wav", well(60), whining(150), well(150, 5))
    with daemon(tmp_path) as beepwatch, BotApi() as api:
        beepwatch.configure("[notify]\nnotices = false\n", api)
        Machines(beepwatch.state).put(normal_fan(), START)
        beepwatch.start("--source", f"file:{sound}", "--speed", "max")
        assert beepwatch.wait() == 0, beepwatch.log.read_text()
        voice, photo, text = api.messages
        (event,) = beepwatch.events()
    assert voice.kind == "voice"
    assert voice.text.startswith(
        "the fan has sounded unusual for 1 min; "
        "most like: 3.1 kHz whine that was not there, 29 dB more\n"
    )
    assert voice.buttons == []
    assert voice.file is not None
    assert loudest_hz(decoded(voice.file)) == pytest.approx(WHINE_HZ, abs=2)
    assert photo.kind == "photo"
    assert photo.file is not None
    assert photo.file.startswith(b"\x89PNG")
    assert text.text.startswith("the fan sounds as usual again, after 3 min\n")
    assert event["label"] == "fan"
    told = [(one["kind"], one["channel"], one["state"]) for one in event["alerts"]]
    assert ("unusual", f"telegram:{CHAT_ID}", "sent") in told
    assert ("recovered", f"telegram:{CHAT_ID}", "sent") in told
    onset, offset = (datetime.fromisoformat(event[key]) for key in ("onset", "offset"))
    assert 150 < (offset - onset).total_seconds() < 250  # the whine, and a minute of being well
