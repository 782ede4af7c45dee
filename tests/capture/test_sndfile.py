"""libsndfile gives the samples that ffmpeg gives, sooner, and leaves to it what it cannot."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from beepwatch.capture import files
from beepwatch.capture.blocks import Block, EndOfSound, Stream
from beepwatch.capture.files import AudioFile, open_audio
from beepwatch.capture.pipes import Ffmpeg, decoded_file
from beepwatch.capture.sndfile import SoundFile
from beepwatch.errors import UnreadableAudio
from tests.capture.sounds import DATA, sine, sizes_until_the_error, write_wav

BURSTS = (sine(1_000, 3.0, peak=0.4, rate_hz=44_100) * (np.arange(132_300) // 9_000 % 2)).astype(
    np.int16
)


def encoded(path: Path, *arguments: str) -> Path:
    """Bursts of a tone in another format."""
    source = write_wav(path.with_name("bursts.wav"), BURSTS, 44_100)
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-i", str(source), *arguments, str(path)], check=True
    )
    return path


def samples_of(stream: Stream) -> NDArray[np.float32]:
    """The whole stream, mono."""
    blocks = []
    try:
        while not isinstance(block := stream.read(1.0), EndOfSound):
            if isinstance(block, Block):
                blocks.append(block.mono())
    finally:
        stream.close()
    return np.concatenate(blocks)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.flac", []),
        ("a24.flac", ["-sample_fmt", "s32"]),
        ("a.mp3", []),
        ("plain.mp3", ["-write_xing", "0", "-id3v2_version", "0"]),
        ("stereo.mp3", ["-ac", "2"]),
        ("a.ogg", []),
        ("a.opus", []),
        ("a.aiff", []),
        ("afloat.wav", ["-c:a", "pcm_f32le"]),
        ("a24.wav", ["-c:a", "pcm_s24le"]),
    ],
)
def test_it_gives_the_samples_of_ffmpeg(tmp_path: Path, name: str, arguments: list[str]) -> None:
    """No sample earlier or later, and none off by more than ffmpeg's rounding to 16 bits."""
    path = encoded(tmp_path / name, *arguments)

    stream = open_audio(path, block_s=0.5, libsndfile=True)

    assert isinstance(stream, SoundFile)
    by_libsndfile, by_ffmpeg = samples_of(stream), samples_of(decoded_file(path, block_s=0.5))
    assert by_libsndfile.size == by_ffmpeg.size >= BURSTS.size
    assert np.abs(by_ffmpeg).max() > 0.2
    assert np.abs(by_libsndfile - by_ffmpeg).max() <= 1.01 / 32_768


def test_a_flac_of_16_bits_comes_bit_for_bit(tmp_path: Path) -> None:
    stream = open_audio(encoded(tmp_path / "a.flac"), block_s=8, libsndfile=True)

    block = stream.read(0.1)

    assert isinstance(block, Block)
    assert block.sample_format == "int16"
    np.testing.assert_array_equal(np.frombuffer(block.data, dtype=np.int16), BURSTS)


def streamed_flac(path: Path) -> Path:
    """Written through a pipe: its header could not be given the length afterwards."""
    source = write_wav(path.with_name("bursts.wav"), BURSTS, 44_100)
    words = ["ffmpeg", "-loglevel", "error", "-i", str(source), "-f", "flac", "pipe:1"]
    path.write_bytes(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
    return path


@pytest.mark.parametrize("block_s", [0.02, 0.5, 8.0])
def test_a_flac_that_names_no_length_is_read_to_its_end(tmp_path: Path, block_s: float) -> None:
    stream = open_audio(streamed_flac(tmp_path / "a.flac"), block_s=block_s, libsndfile=True)

    assert isinstance(stream, SoundFile)
    np.testing.assert_array_equal(samples_of(stream), BURSTS.astype(np.float32) / 32_768)


def test_a_flac_that_names_no_length_and_is_cut_short_is_damaged(tmp_path: Path) -> None:
    path = streamed_flac(tmp_path / "a.flac")
    os.truncate(path, path.stat().st_size // 2)

    with pytest.raises(UnreadableAudio, match=r"only \d\.\d\d s could be decoded: flac decoder"):
        samples_of(open_audio(path, block_s=0.5, libsndfile=True))


def test_what_it_cannot_open_is_left_to_ffmpeg(tmp_path: Path) -> None:
    stream = open_audio(encoded(tmp_path / "a.m4a"), block_s=1, libsndfile=True)

    assert isinstance(stream, Ffmpeg)
    assert samples_of(stream).size >= BURSTS.size


def test_a_name_that_is_no_text_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.flac")
    path.write_bytes((DATA / "fire_alarm.flac").read_bytes())

    samples = samples_of(open_audio(path, block_s=1.0, libsndfile=True))

    np.testing.assert_array_equal(
        samples, samples_of(open_audio(DATA / "fire_alarm.flac", block_s=1.0, libsndfile=True))
    )


def test_a_name_that_promises_raw_samples_is_not_believed(tmp_path: Path) -> None:
    """libsndfile takes any bytes in a `.vox` or `.gsm` for sound."""
    path = tmp_path / "letter.vox"
    path.write_text("dear washing machine\n" * 50)

    with pytest.raises(UnreadableAudio, match="holds no sound"):
        samples_of(open_audio(path, block_s=1, libsndfile=True))


def test_a_file_that_breaks_off_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.flac")
    os.truncate(path, path.stat().st_size // 2)

    samples, error = sizes_until_the_error(path)

    assert 8_000 < samples < 40_000
    assert "a.flac is damaged or cut short; only " in error


def test_a_flac_that_is_damaged_in_the_middle_says_where(tmp_path: Path) -> None:
    path = tmp_path / "hiss.flac"
    hiss = np.random.default_rng(0).normal(0, 3_000, 400_000).astype(np.int16)
    soundfile.write(path, hiss, 16_000)
    content = bytearray(path.read_bytes())
    content[400_000:500_000] = np.random.default_rng(1).bytes(100_000)
    path.write_bytes(content)

    with pytest.raises(UnreadableAudio, match=r"only \d+\.\d\d s could be decoded"):
        samples_of(open_audio(path, block_s=1, libsndfile=True))


def test_a_file_without_samples_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "none.wav"
    soundfile.write(path, np.zeros(0, dtype=np.float32), 16_000, subtype="FLOAT")

    with pytest.raises(UnreadableAudio, match="holds no sound"):
        samples_of(open_audio(path, block_s=1, libsndfile=True))


def test_the_daemon_decodes_with_ffmpeg_alone() -> None:
    stream = AudioFile(DATA / "mains_hum.flac", block_s=1).open()
    stream.close()
    assert isinstance(stream, Ffmpeg)


def test_a_scan_tries_libsndfile_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "decoded_file", lambda *_a, **_k: pytest.fail("ffmpeg was started"))
    assert sum(chunk.size for chunk in files.decode(DATA / "mains_hum.flac", 16_000)) > 16_000
