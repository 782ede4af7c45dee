"""A file instead of the microphone: the same daemon, the same events at any speed."""

import json
import re
import shutil
import subprocess
import sys
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from beepwatch.classify.bundle import find_bundle
from tests.bot_api import BotApi
from tests.end_to_end.daemon import daemon
from tests.end_to_end.sounds import BEEPS, with_silence


def _heard(
    directory: Path, sound: Path, speed: str, model: Path, api: BotApi
) -> list[dict[str, Any]]:
    directory.mkdir()
    with daemon(directory) as beepwatch:
        beepwatch.configure(f'[notify]\nnotices = false\n[model]\nbundle = "{model}"\n', api)
        beepwatch.start("--source", f"file:{sound}", "--speed", speed)
        assert beepwatch.wait() == 0, beepwatch.log.read_text()
        log = beepwatch.log.read_text()
        accidents = re.findall(r'"event": "(?:process_|fault|not_written|config_)\w*"', log)
        assert not accidents, log
        return beepwatch.events()


def _relative(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Events without what differs from run to run: times count from the first onset."""
    first = datetime.fromisoformat(events[0]["onset"])
    return [
        (
            event["label"],
            event["pulses"],
            event["score"],
            round((datetime.fromisoformat(event["onset"]) - first).total_seconds(), 3),
            round((datetime.fromisoformat(event["offset"]) - first).total_seconds(), 3),
            [(alert["kind"], alert["channel"], alert["state"]) for alert in event["alerts"]],
        )
        for event in events
    ]


@pytest.mark.slow
def test_the_fastest_speed_gives_the_same_events_as_normal_speed(tmp_path: Path) -> None:
    twice = with_silence(BEEPS, tmp_path / "once.wav", before_s=2.0, after_s=5.0)
    model = tmp_path / "model"  # the same for both, whatever happens to the shipped one meanwhile
    shutil.copytree(find_bundle("beep"), model)
    with BotApi() as api:
        normal = _heard(tmp_path / "normal", twice, "1", model, api)
        fastest = _heard(tmp_path / "fastest", twice, "max", model, api)
        voices = api.calls("sendVoice")
    assert len(normal) >= 1
    assert _relative(fastest) == _relative(normal)
    assert len(voices) == 2  # one alert each: later pulses of the burst edit it


@pytest.mark.slow
def test_scan_finds_what_the_daemon_hears(tmp_path: Path) -> None:
    """Long stretches, every frame once, against overlapping windows through all processes."""
    kitchen = str(files("beepwatch.daemon").joinpath("demo", "kitchen.flac"))
    with daemon(tmp_path) as beepwatch:
        beepwatch.configure("[capture]\ngate = false\n")
        beepwatch.start("--source", f"file:{kitchen}", "--speed", "max")
        assert beepwatch.wait() == 0
        events = beepwatch.events()
    command = [sys.executable, "-m", "beepwatch", "scan", kitchen, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["label"], one["pulses"]) for one in found] == [
        (event["label"], event["pulses"]) for event in events
    ]
    onset = datetime.fromisoformat(events[0]["onset"])
    for one, event in zip(found, events, strict=True):
        after_s = (datetime.fromisoformat(event["onset"]) - onset).total_seconds()
        assert one["onset_s"] - found[0]["onset_s"] == pytest.approx(after_s, abs=0.002)


def test_a_file_that_is_no_sound_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    lie = tmp_path / "lie.wav"
    lie.write_text("not a sound at all\n" * 100)
    with daemon(tmp_path) as beepwatch:
        beepwatch.configure("")
        beepwatch.start("--source", f"file:{lie}")
        assert beepwatch.wait() == 1
        last = beepwatch.log.read_text().splitlines()[-1]
    assert last.startswith("beepwatch: ")
    assert "lie.wav" in last
