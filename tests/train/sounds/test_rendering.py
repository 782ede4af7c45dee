"""What is rendered follows from the seed, is kept, and goes on where it stopped."""

import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from beepwatch.train.recipe import DataRecipe
from beepwatch.train.sounds import midi, rendering
from beepwatch.train.sounds.rendering import (
    PACKAGES,
    Piece,
    RenderingFailed,
    RenderingToolMissing,
    plan,
    render,
    render_piece,
    tool_versions,
)
from beepwatch.train.sounds.spoken import Utterance

RATE_HZ = 16_000
installed = all(shutil.which(tool) or Path(tool).is_file() for tool in PACKAGES)
needs_tools = pytest.mark.skipif(
    not installed, reason=f"needs Debian's {', '.join(PACKAGES.values())}"
)
WORD = Utterance(
    text="one", voice="en-gb", pitch=50, words_per_minute=150, raised=1.0, pause_s=0.25
)


def one_note(program: int, key: int) -> bytes:
    score = midi.Score()
    score.program(0, program)
    score.note(0, key, 100, 0.5, 1.0)
    return score.encode()


def two_pieces(seed: int) -> list[Piece]:
    """A plan of a second of sound instead of an hour."""
    return [
        Piece(kind="wind", program="flute", score=one_note(73, 69 + seed)),
        Piece(kind="voice", program="en-gb", utterances=(WORD,)),
    ]


def test_the_plan_follows_from_the_seed() -> None:
    first, again, other = (msgspec.json.encode(plan(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_plan_is_close_to_an_hour_and_leaves_out_what_beeps() -> None:
    pieces = plan(1)
    played = [piece for piece in pieces if piece.score]
    assert 2_400 <= len(played) * rendering.PIECE_S <= 3_600
    alone = {instrument.program for instrument in rendering.INSTRUMENTS.values()}
    assert not alone & {*range(80, 104)}
    assert {piece.kind for piece in pieces} >= {"wind", "struck", "bird", "band", "voice"}


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(RenderingToolMissing, match="apt-get install fluidsynth") as error:
        tool_versions()
    assert error.value.exit_code == 2
    keys = re.findall(r"data\.(\w+)", str(error.value))
    assert keys
    assert {*keys} <= {*DataRecipe.__struct_fields__}  # what to write is a key of a recipe


@needs_tools
def test_a_flute_plays_its_key_at_its_time() -> None:
    """Key 69 is 440 Hz; the note begins after half a second."""
    sound = render_piece(Piece(kind="wind", program="flute", score=one_note(73, 69)), RATE_HZ)
    assert sound.dtype == np.float32
    assert np.abs(sound).max() == pytest.approx(0.5)
    assert np.abs(sound[: round(0.45 * RATE_HZ)]).max() < 0.005
    note = sound[round(0.7 * RATE_HZ) :][: RATE_HZ // 2]
    loudest_hz = np.argmax(np.abs(np.fft.rfft(note))) * 2
    assert min(abs(loudest_hz - order * 440) / order for order in (1, 2, 3)) <= 5


@needs_tools
def test_a_smaller_throat_says_it_in_less_time() -> None:
    small = msgspec.structs.replace(WORD, raised=1.5)
    lengths = [
        len(render_piece(Piece(kind="voice", program="v", utterances=(word,)), RATE_HZ))
        for word in (WORD, small)
    ]
    pause = round(0.25 * RATE_HZ)
    assert (lengths[0] - pause) / (lengths[1] - pause) == pytest.approx(1.5, rel=0.01)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo no voice >&2; exit 3", "espeak-ng ended with 3: no voice"),
        ("echo hello", "espeak-ng gave 6 bytes that are no WAV"),
    ],
)
def test_a_tool_that_fails_is_named(
    script: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "espeak-ng"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RenderingFailed, match=complaint):
        render_piece(Piece(kind="voice", program="v", utterances=(WORD,)), RATE_HZ)


def test_a_tool_that_takes_too_long_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "espeak-ng"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(rendering, "LONGEST_RUN_S", 0.2)
    with pytest.raises(RenderingFailed, match=r"espeak-ng took longer than 0\.2 s"):
        render_piece(Piece(kind="voice", program="v", utterances=(WORD,)), RATE_HZ)


@needs_tools
def test_what_came_out_silent_is_no_negative() -> None:
    with pytest.raises(RenderingFailed, match="silent"):
        render_piece(Piece(kind="wind", program="none", score=midi.Score().encode()), RATE_HZ)


@needs_tools
def test_rendering_goes_on_where_it_stopped_and_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "plan", two_pieces)
    reports: list[str] = []
    files = render(tmp_path, 0, RATE_HZ, reports.append)
    assert [(file.kind, file.program) for file in files] == [("wind", "flute"), ("voice", "en-gb")]
    assert all(soundfile.info(file.path).samplerate == RATE_HZ for file in files)
    bytes_before = [file.path.read_bytes() for file in files]
    untouched_ns = files[0].path.stat().st_mtime_ns
    files[1].path.unlink()
    assert render(tmp_path, 0, RATE_HZ, reports.append) == files
    assert [file.path.read_bytes() for file in files] == bytes_before
    assert files[0].path.stat().st_mtime_ns == untouched_ns
    assert reports == [f"rendering negatives: 0 of {count} pieces" for count in (2, 1)]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {one.path for one in files}


@needs_tools
def test_another_seed_is_rendered_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "plan", two_pieces)
    first, other = (render(tmp_path, seed, RATE_HZ, lambda text: None) for seed in (0, 1))
    assert first[0].path.parent != other[0].path.parent
