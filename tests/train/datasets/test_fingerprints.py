"""A copy is found after a coder, at another level, cut a little; another recording is none."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beepwatch.train.datasets.cutting import blocks_of
from beepwatch.train.datasets.fingerprints import (
    Fingerprint,
    Fingerprinter,
    Floats,
    Sketches,
    alike,
)
from tests.train.datasets.sounds import RATE_HZ, convert, noise, write

CLIP: Floats = (noise(1) / 32_768).astype(np.float32)


def fingerprint(file: Path) -> Fingerprint:
    blocks = list(blocks_of(file))
    fingerprinter = Fingerprinter(blocks[0].rate_hz)
    for block in blocks:
        fingerprinter.push(block.mono())
    return fingerprinter.finish()


def pairs(fingerprints: Sequence[Fingerprint]) -> set[tuple[int, int]]:
    sketches = Sketches()
    for one in fingerprints:
        sketches.add(one)
    return {(first, second) for first, second, _ in alike(sketches, fingerprints.__getitem__)}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mp3.mp3", ("-b:a", "64k")),
        ("quiet.mp3", ("-af", "volume=-15dB", "-b:a", "96k")),
        ("late.m4a", ("-ss", "0.3", "-b:a", "96k")),
        ("rate.wav", ("-ar", "11025")),
        ("upside_down.flac", ("-af", "volume=-1.0")),
    ],
)
def test_a_copy_is_found_among_others(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    files = [write(tmp_path / f"{seed}.wav", noise(seed)) for seed in range(1, 6)]
    files.append(convert(files[2], tmp_path / name, *options))
    assert pairs([fingerprint(file) for file in files]) == {(2, 5)}


def test_two_recordings_of_one_steady_machine_are_not_alike(tmp_path: Path) -> None:
    """The same spectrum and the same hum, the noise another."""
    hum = np.sin(np.arange(4 * RATE_HZ) / RATE_HZ * 2 * np.pi * 300) * 3_000
    files = []
    for seed in range(6):
        hiss = np.random.default_rng(seed).normal(size=len(hum)) * 300
        files.append(write(tmp_path / f"{seed}.wav", (hum + hiss).astype(np.int16)))
    assert pairs([fingerprint(file) for file in files]) == set()


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, 30_000), max_size=12))
def test_how_a_recording_comes_in_pieces_does_not_matter(cuts: list[int]) -> None:
    whole, pieces = Fingerprinter(RATE_HZ), Fingerprinter(RATE_HZ)
    whole.push(CLIP)
    for piece in np.split(CLIP, np.cumsum(cuts).clip(0, len(CLIP))):
        pieces.push(piece)
    one, other = whole.finish(), pieces.finish()
    assert one.to_text() == other.to_text()
    assert len(one.codes) > 50


def test_a_fingerprint_survives_being_written_down() -> None:
    fingerprinter = Fingerprinter(RATE_HZ)
    fingerprinter.push(CLIP)
    one = fingerprinter.finish()
    again = Fingerprint.from_text(one.to_text())
    assert (again.codes == one.codes).all()
    assert (again.positions == one.positions).all()


def test_silence_is_like_nothing() -> None:
    silent = []
    for _ in range(2):
        fingerprinter = Fingerprinter(RATE_HZ)
        fingerprinter.push(np.zeros(2 * RATE_HZ, dtype=np.float32))
        silent.append(fingerprinter.finish())
    assert pairs(silent) == set()
    assert pairs([]) == set()
