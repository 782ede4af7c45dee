"""What is measured of a file is what was put into it, and what is wrong with it is said."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.capture.blocks import Block
from beepwatch.train.datasets.containers import container_of
from beepwatch.train.datasets.inspecting import Inspection, _Measure, inspect, is_mislabelled
from tests.train.datasets.sounds import RATE_HZ, convert, noise, scaled, write


def inspected(file: Path) -> Inspection:
    return inspect(str(file.parent), file.name)


def test_a_stereo_file_is_measured(tmp_path: Path) -> None:
    """One channel a sine of a tenth of full scale, the other silent."""
    sine = scaled(np.sin(np.arange(2 * RATE_HZ) * 2 * np.pi * 440 / RATE_HZ), 0.1)
    one = inspected(write(tmp_path / "a.wav", np.stack([sine, sine * 0], axis=1)))
    assert one.media is not None
    assert (one.container, one.media.rate_hz, one.media.channels, one.media.bits) == (
        *("wav", RATE_HZ, 2, 16),
    )
    assert one.duration_s == 2.0
    assert one.peak_dbfs == pytest.approx(-20.0, abs=0.02)
    assert one.loudest_dbfs == pytest.approx(-29.03, abs=0.05)  # RMS of the mean of both
    assert (one.clipped, one.samples, one.problem, one.lacks) == (0, 4 * RATE_HZ, "", "")


def test_digital_silence_has_no_level_and_a_constant_no_sound(tmp_path: Path) -> None:
    assert inspected(write(tmp_path / "0.wav", np.zeros(8_000, np.int16))).peak_dbfs is None
    constant = inspected(write(tmp_path / "c.wav", np.full(8_000, 3_000, np.int16)))
    assert constant.loudest_dbfs is None
    assert constant.peak_dbfs == pytest.approx(-20.77, abs=0.01)


def test_samples_that_are_no_numbers_are_damage_and_no_level(tmp_path: Path) -> None:
    """As a program writes them that has divided by nothing."""
    sound = np.float32(0.5) * np.sin(np.arange(RATE_HZ, dtype=np.float32))
    sound[[3, 5, 7]] = np.nan, np.inf, -np.inf
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
    one = inspected(tmp_path / "a.wav")
    assert one.problem == "a.wav is damaged: 3 samples of it are no numbers. Export it again."
    assert one.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert one.duration_s == 1.0


@pytest.mark.parametrize("container", ["RF64", "WAVEX", "WAV"])
def test_every_kind_of_wav_says_how_it_is_coded(container: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1, seconds=0.1), RATE_HZ, "PCM_24", format=container)
    one = inspected(tmp_path / "a.wav")
    assert one.media is not None
    assert (one.container, one.media.codec, one.media.bits) == ("wav", "pcm_24", 24)


@given(
    full=st.lists(st.booleans(), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 20), max_size=8),
)
def test_flat_tops_are_counted_however_the_sound_comes(full: list[bool], cuts: list[int]) -> None:
    samples = np.where(full, 32_767, 0).astype("<i2")
    measure = _Measure(8_000, 1)
    for piece in np.split(samples, np.cumsum(cuts).clip(0, len(samples))):
        measure.take(Block(data=piece.tobytes(), sample_format="int16", channels=1, rate_hz=8_000))
    runs = "".join("x" if one else " " for one in full).split()
    assert measure.clipped == sum(len(run) for run in runs if len(run) >= 3)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same sound in every container."""
    folder = tmp_path_factory.mktemp("originals")
    wav = write(folder / "a.wav", noise(3, seconds=3.0))
    made = {
        "rf64": convert(wav, folder / "rf64.wav", "-rf64", "always"),
        "mp3": convert(wav, folder / "a.mp3"),
        "ogg": convert(wav, folder / "a.ogg", "-c:a", "libvorbis"),
        "opus": convert(wav, folder / "a.opus"),
        "m4a": convert(wav, folder / "a.m4a"),
        "flac": convert(wav, folder / "a.flac"),
        "wav": wav,
        "wav24": convert(wav, folder / "a24.wav", "-c:a", "pcm_s24le"),
        "wav8": convert(wav, folder / "a8.wav", "-c:a", "pcm_u8"),
        "float": convert(wav, folder / "af.wav", "-c:a", "pcm_f32le"),
        "aiff": convert(wav, folder / "a.aiff"),
        "aac": convert(wav, folder / "a.aac"),
        "mka": convert(wav, folder / "a.mka", "-c:a", "flac"),
        "wma": convert(wav, folder / "a.wma"),
    }
    return made


BITS = {
    "flac": 16,
    "wav": 16,
    "rf64": 16,
    "wav24": 24,
    "wav8": 8,
    "float": 32,
    "aiff": 16,
    "mka": 16,
}


def test_whole_files_of_every_container_have_nothing_wrong(originals: dict[str, Path]) -> None:
    for name, file in originals.items():
        one = inspected(file)
        assert (name, one.problem, one.lacks) == (name, "", "")
        assert not is_mislabelled(one), name
        assert one.duration_s == pytest.approx(3.0, abs=0.1), name
        assert one.media is not None
        assert (name, one.media.bits, one.media.channels) == (name, BITS.get(name), 1)


@pytest.mark.parametrize(
    "name",
    ["mp3", "ogg", "opus", "flac", "wav", "wav24", "wav8", "float", "rf64", "aiff", "m4a", "mka"],
)
def test_a_file_that_is_cut_short_is_said_to_be(
    name: str, originals: dict[str, Path], tmp_path: Path
) -> None:
    whole = originals[name]
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    one = inspected(cut)
    assert one.problem or one.lacks


def test_what_somebody_wrote_into_an_mp3s_tags_is_no_length(
    originals: dict[str, Path], tmp_path: Path
) -> None:
    """A comment that begins as what tells how long the file is, before or behind any of it."""
    for long in ("", "x" * 5_000):
        comment = f"comment={long}Info www.example.org"
        said = convert(originals["wav"], tmp_path / f"{len(long)}.mp3", "-metadata", comment)
        assert b"Info www" in said.read_bytes()
        assert (inspected(said).problem, inspected(said).lacks) == ("", "")
        said.write_bytes(said.read_bytes()[: said.stat().st_size // 3])
        assert inspected(said).problem or inspected(said).lacks


@pytest.mark.parametrize("name", ["mp3", "ogg", "flac", "wav", "m4a", "aiff", "mka", "wma", "aac"])
def test_a_file_under_anothers_name_is_mislabelled(
    name: str, originals: dict[str, Path], tmp_path: Path
) -> None:
    wrong = tmp_path / ("a.mp3" if name == "wav" else "a.wav")
    wrong.write_bytes(originals[name].read_bytes())
    assert is_mislabelled(inspected(wrong))


def test_what_is_no_sound_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    contents = {
        "text": "Grüße, not sound".encode(),
        "zip archive": b"PK\x03\x04....",
        "PDF": b"%PDF-1.4",
        "unknown": bytes(range(64)),
    }
    for expected, content in contents.items():
        (tmp_path / "a.wav").write_bytes(content)
        assert container_of(tmp_path / "a.wav") == expected
        one = inspected(tmp_path / "a.wav")
        assert one.samples == 0
        assert "no sound" in one.problem


def test_a_name_that_is_a_lie_about_nothing_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    one = inspected(tmp_path / "a.wav")
    assert not is_mislabelled(one)
    assert "is empty (0 bytes)" in one.problem


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_never_ends_the_look_at_it(
    seed: int, originals: dict[str, Path], tmp_path: Path
) -> None:
    """Bytes are changed, and the result is words or sound, not an exception."""
    rng = np.random.default_rng(seed)
    source = originals[sorted(originals)[seed % len(originals)]]
    content = bytearray(source.read_bytes())
    for at in rng.integers(0, 400 if seed % 2 else len(content), size=30):
        content[at] = rng.integers(0, 256)
    damaged = tmp_path / source.name
    damaged.write_bytes(content)
    one = inspected(damaged)
    assert one.samples > 0 or one.problem
    assert one.duration_s < 100


def test_a_header_that_promises_4_gb_is_believed_by_nobody(tmp_path: Path) -> None:
    file = write(tmp_path / "a.wav", noise(1, seconds=0.5))
    content = bytearray(file.read_bytes())
    content[40:44] = struct.pack("<I", 0x3FFFFFFF)
    file.write_bytes(content)
    assert "cut short" in inspected(file).problem
