"""Recordings come in as pieces of exactly what was asked for, with nothing else changed."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from beepwatch.train.datasets.catalogue import NAME, clips_below, read_table
from beepwatch.train.datasets.cutting import Channel, Cut
from tests.train.datasets.sounds import RATE_HZ, convert, noise, read, write
from tests.train.datasets.test_importing import imported


def test_a_cut_to_a_length_gives_pieces_of_exactly_that(tmp_path: Path) -> None:
    whole = noise(1, seconds=2.3)
    write(tmp_path / "in" / "wash" / "a.wav", whole)
    done = imported(tmp_path / "in", tmp_path / "out", cut=Cut(length_ms=1_000))
    assert clips_below(tmp_path / "out") == ["wash/a.0001.wav", "wash/a.0002.wav"]
    pieces = [read(tmp_path / "out" / path)[:, 0] for path in clips_below(tmp_path / "out")]
    assert (np.concatenate(pieces) == whole[: 2 * RATE_HZ]).all()
    assert done.left_out_s == pytest.approx(0.3)
    rows = read_table(tmp_path / "out" / NAME).rows
    assert [(row["start_s"], row["session"]) for row in rows.values()] == [
        *(("0", "in/wash/a"), ("1", "in/wash/a")),
    ]
    kept = imported(tmp_path / "in", tmp_path / "all", cut=Cut(length_ms=1_000, keep_rest=True))
    assert (kept.clips, kept.left_out_s) == (3, 0.0)
    assert len(read(tmp_path / "all" / "wash" / "a.0003.wav")) == 4_800


@pytest.mark.parametrize(
    ("channel", "names"),
    [
        ("split", ["a.ch1.wav", "a.ch2.wav", "a.ch3.wav"]),
        (2, ["a.ch2.wav"]),
        ("mix", ["a.wav"]),
        ("keep", ["a.wav"]),
    ],
)
def test_channels(channel: Channel, names: list[str], tmp_path: Path) -> None:
    columns = np.stack([noise(seed, seconds=0.5) for seed in range(3)], axis=1)
    write(tmp_path / "in" / "wash" / "a.wav", columns)
    imported(tmp_path / "in", tmp_path / "out", channel=channel)
    assert clips_below(tmp_path / "out") == [f"wash/{name}" for name in names]
    for name in names:
        found = read(tmp_path / "out" / "wash" / name)
        if channel == "keep":
            assert (found == columns).all()
        elif channel == "mix":
            assert np.abs(found[:, 0] - columns.mean(axis=1)).max() <= 0.5
        else:
            assert (found[:, 0] == columns[:, int(name[4]) - 1]).all()


def test_a_channel_that_is_not_there_costs_a_line(tmp_path: Path) -> None:
    write(tmp_path / "in" / "wash" / "a.wav", noise(1, seconds=0.5))
    done = imported(tmp_path / "in", tmp_path / "out", channel=2)
    assert done.problems == [
        "in/wash/a.wav: it has 1 channel, and number 2 is wanted. Give another --channel."
    ]


def test_a_cut_at_silences_gives_what_is_between_them(tmp_path: Path) -> None:
    """Sound of 1 s, 0.6 s of silence, sound of 1 s with a gap of 0.2 s, silence to the end."""
    sound, gap = noise(1, seconds=1.0), noise(2, seconds=1.0)
    gap[6_400:9_600] = 0
    pause = np.zeros(round(0.6 * RATE_HZ), np.int16)
    write(tmp_path / "in" / "beep" / "a.wav", np.concatenate([sound, pause, gap, pause]))
    done = imported(tmp_path / "in", tmp_path / "out", cut=Cut(at_silence=True, silence_ms=400))
    rows = list(read_table(tmp_path / "out" / NAME).rows.values())
    assert [(row["start_s"], row["duration_s"]) for row in rows] == [("0", "1.1"), ("1.5", "1.2")]
    assert done.left_out_s == pytest.approx(3.2 - 2.3, abs=0.001)


@pytest.mark.parametrize(
    ("codec", "subtype"),
    [
        ("pcm_s24le", "PCM_24"),
        ("pcm_f32le", "FLOAT"),
        ("pcm_s16le", "PCM_16"),
        ("pcm_s32le", "PCM_32"),
    ],
)
def test_a_piece_has_the_bits_of_its_recording(codec: str, subtype: str, tmp_path: Path) -> None:
    wav = write(tmp_path / "a.wav", noise(1, seconds=1.0))
    convert(wav, tmp_path / "in" / "wash" / "a.wav", "-c:a", codec, "-af", "volume=0.77")
    imported(tmp_path / "in", tmp_path / "out", cut=Cut(length_ms=500))
    pieces = [tmp_path / "out" / path for path in clips_below(tmp_path / "out")]
    assert {soundfile.info(piece).subtype for piece in pieces} == {subtype}
    whole = soundfile.read(tmp_path / "in" / "wash" / "a.wav")[0]
    assert (np.concatenate([soundfile.read(piece)[0] for piece in pieces]) == whole).all()


def test_labels_of_audacity_cut_and_name(tmp_path: Path) -> None:
    """Stretches may overlap; what is in no label is left."""
    sound = noise(1, seconds=3.0)
    write(tmp_path / "in" / "kitchen.wav", sound)
    write(tmp_path / "in" / "unlabelled.wav", sound)
    (tmp_path / "in" / "kitchen.txt").write_text("0.5\t1.5\tbeep\n1\t2\toven / door\n2.9\t9\t\n")
    done = imported(tmp_path / "in", tmp_path / "out", layout="audacity")
    assert (done.clips, done.left_out) == (3, 1)
    out = tmp_path / "out"
    assert clips_below(out) == [
        *("beep/kitchen.0001.wav", "oven _ door/kitchen.0002.wav", "unlabelled/kitchen.0003.wav"),
    ]
    assert (read(out / "beep" / "kitchen.0001.wav")[:, 0] == sound[8_000:24_000]).all()
    assert (read(out / "oven _ door" / "kitchen.0002.wav")[:, 0] == sound[16_000:32_000]).all()
    assert read_table(out / NAME).rows["oven _ door/kitchen.0002.wav"]["label"] == "oven / door"


def test_what_breaks_off_is_cut_at_silences_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "in" / "beep" / "a.wav"
    sound, pause = noise(1, seconds=1.0), np.zeros(RATE_HZ, np.int16)
    whole = write(file, np.concatenate([sound, pause, sound, sound])).read_bytes()
    file.write_bytes(whole[: -2 * round(1.5 * RATE_HZ)])
    done = imported(tmp_path / "in", tmp_path / "out", cut=Cut(at_silence=True))
    rows = read_table(tmp_path / "out" / NAME).rows.values()
    assert [(row["start_s"], row["duration_s"]) for row in rows] == [("0", "1.1"), ("1.9", "0.6")]
    (problem,) = done.problems
    assert problem.endswith("What comes before was imported.")
