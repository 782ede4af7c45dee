"""A clip as a whole, from answers that are known."""

import os
import wave
from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify.engines import Answers
from beepwatch.train.datasets.impressions import Impression, Unheard, hear, impression
from tests.train.engines import SteadyEngine


def write_wav(file: Path, length_s: float) -> None:
    with wave.open(str(file), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(bytes(2 * round(length_s * 16_000)))


def test_the_most_convincing_frame_gives_score_and_pitch() -> None:
    probabilities = np.zeros((150, 2), dtype=np.float32)
    probabilities[40, 1], probabilities[90, 0] = 0.75, 0.5
    pitch_hz = np.zeros((150, 3), dtype=np.float32)
    pitch_hz[:, 0] = np.arange(150)
    embedding = np.zeros((150, 4), dtype=np.float32)
    embedding[40, 2] = 6.0
    found = impression("a.wav", Answers(probabilities, pitch_hz, embedding), 0.02)
    assert [found.score, found.pitch_hz, found.duration_s] == pytest.approx([0.75, 40.0, 3.0])
    _, loudest, mean, convinced = found.blocks
    assert loudest.tolist() == pytest.approx([0, 0, 0.6, 0])  # one frame of the ten highest
    assert mean.tolist() == pytest.approx([0, 0, 6 / 150, 0])
    assert convinced[2] == pytest.approx(6 * 0.751 / (0.751 + 0.501 + 0.148))


def test_clips_come_in_order_and_one_that_cannot_be_read_costs_a_line(tmp_path: Path) -> None:
    write_wav(tmp_path / "b.wav", 3.0)
    write_wav(tmp_path / "c.wav", 25.0)
    write_wav(tmp_path / "short.wav", 0.01)
    (tmp_path / "a.wav").write_text("no sound at all\n" * 20)
    told: list[int] = []
    paths = ["c.wav", "a.wav", "short.wav", "b.wav"]
    heard = list(hear(tmp_path, paths, SteadyEngine(0.25), workers=2, report=told.append))
    assert [one.path for one in heard] == paths
    assert told == [1, 2, 3, 4]
    good = [one for one in heard if isinstance(one, Impression)]
    assert [one.duration_s for one in good] == pytest.approx([25.0, 3.0])
    assert [one.score for one in good] == pytest.approx([0.25, 0.25])
    bad = [one.problem for one in heard if isinstance(one, Unheard)]
    assert f"{tmp_path}/a.wav holds no sound" in bad[0]
    assert bad[1] == "short.wav is shorter than 0.02 s. Remove it."


def test_a_name_that_is_no_text_is_said_and_not_heard(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.wav")
    write_wav(tmp_path / name, 1.0)
    (found,) = hear(tmp_path, [name], SteadyEngine(0.5))
    assert isinstance(found, Unheard)
    assert found.problem == r"'\udcff.wav': its name is no text. Rename it."
