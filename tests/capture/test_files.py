"""Recordings: what is read is what is in them, and what cannot be read is one clear line."""

import math
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import psutil
import pytest

from beepwatch.capture import pipes
from beepwatch.capture.blocks import Block, EndOfSound
from beepwatch.capture.files import AudioFile, decode, open_audio
from beepwatch.capture.levels import level_dbfs
from beepwatch.capture.pipes import Stdin, decoded_file
from beepwatch.errors import SourceError, UnreadableAudio
from tests.capture.sounds import (
    DATA,
    RATE_HZ,
    loudest_hz,
    recording,
    sine,
    sizes_until_the_error,
    write_wav,
)

TONE = sine(1_000, 2.0, peak=0.25, rate_hz=44_100)


def converted(path: Path, *arguments: str) -> Path:
    """The tone in another format."""
    source = write_wav(path.with_name("tone.wav"), TONE, 44_100)
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-i", str(source), *arguments, str(path)], check=True
    )
    return path


def without_libsndfile(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installation that brings no more than it must."""
    monkeypatch.setitem(sys.modules, "soundfile", None)


@pytest.fixture(params=["libsndfile", "ffmpeg alone"])
def _decoders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "ffmpeg alone":
        without_libsndfile(monkeypatch)


def test_16_khz_wav_is_passed_on_bit_for_bit(tmp_path: Path) -> None:
    samples = sine(440, 20, peak=0.9)
    chunks = list(decode(write_wav(tmp_path / "a.wav", samples, RATE_HZ), RATE_HZ))

    assert len(chunks) == 3
    np.testing.assert_array_equal(np.concatenate(chunks), samples)


@pytest.mark.usefixtures("_decoders")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.flac", []),
        ("a.ogg", []),
        ("a.mp3", []),
        ("a24.wav", ["-c:a", "pcm_s24le"]),
        ("a32.wav", ["-c:a", "pcm_s32le"]),
        ("afloat.wav", ["-c:a", "pcm_f32le"]),
        ("a8.wav", ["-c:a", "pcm_u8"]),
        ("astereo.wav", ["-ac", "2"]),
        ("a51.flac", ["-ac", "6"]),
        ("titled.flac", ["-metadata", "title=" + 6_000 * "data fmt "]),
    ],
)
def test_formats_give_the_same_tone(tmp_path: Path, name: str, arguments: list[str]) -> None:
    samples = np.concatenate(list(decode(converted(tmp_path / name, *arguments), RATE_HZ)))

    assert samples.size == pytest.approx(32_000, abs=1_500)  # mp3 pads
    assert loudest_hz(samples, RATE_HZ) == pytest.approx(1_000, abs=2)


def test_channels_are_averaged(tmp_path: Path) -> None:
    """A tone on the left alone comes at half its amplitude, 6 dB less."""
    stereo = np.column_stack([TONE, np.zeros_like(TONE)]).ravel()
    path = write_wav(tmp_path / "left.wav", stereo, 44_100, channels=2)

    block = AudioFile(path, block_s=1.0).open().read(0.1)

    assert isinstance(block, Block)
    assert block.frames == 44_100
    assert np.abs(block.mono()).max() == pytest.approx(0.125, abs=1e-3)


@pytest.mark.usefixtures("_decoders")
@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("empty.wav", b"", "is empty"),
        ("text.wav", b"this is no sound\n" * 50, "holds no sound that ffmpeg can decode"),
        ("header.wav", b"RIFF\x24\0\0\0WAVE", "holds no sound"),
        ("noise.mp3", bytes(range(256)) * 20, "holds no sound"),
        ("noise2.mp3", b"\xff\xfb\x90\x64" + bytes(range(256)) * 20, "holds no sound|damaged"),
        ("noise.flac", b"fLaC" + bytes(range(256)) * 20, "holds no sound"),
        ("noise.ogg", b"OggS" + bytes(range(256)) * 20, "holds no sound"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(UnreadableAudio, match=what) as caught:
        list(decode(path, RATE_HZ))

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio, match=r"nothing\.wav does not exist"):
        list(decode(tmp_path / "nothing.wav", RATE_HZ))
    with pytest.raises(UnreadableAudio, match="is a directory"):
        open_audio(tmp_path, block_s=1)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UnreadableAudio, match=r"pipe\.wav is no file but a pipe or a device"):
        open_audio(tmp_path / "pipe.wav", block_s=1)


def test_a_video_without_sound_is_told_as_that(tmp_path: Path) -> None:
    """And not with ffmpeg's advice on its own options."""
    path = tmp_path / "silent.mp4"
    picture = ("-f", "lavfi", "-i", "color=d=1:r=5:s=32x32", "-c:v", "mpeg4")
    subprocess.run(["ffmpeg", "-loglevel", "error", *picture, path], check=True)
    with pytest.raises(UnreadableAudio, match=r"can decode: no audio in it\. Give an audio file"):
        list(decode(path, RATE_HZ))


def test_a_name_that_no_file_can_have_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio, match="cannot be read: File name too long"):
        open_audio(tmp_path / ("x" * 300), block_s=1)


def test_a_wav_without_samples_is_unreadable(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "none.wav", TONE[:0], 44_100)

    with pytest.raises(UnreadableAudio, match="without a single sample"):
        list(decode(path, RATE_HZ))


def test_a_truncated_wav_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "cut.wav", sine(440, 2, peak=0.5), RATE_HZ)
    os.truncate(path, 44 + 2 * 8_000)

    samples, error = sizes_until_the_error(path)

    assert samples == 8_000
    assert "cut short: 0.50 s of the 2.00 s" in error


@pytest.mark.usefixtures("_decoders")
def test_a_truncated_flac_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = converted(tmp_path / "a.flac")
    os.truncate(path, path.stat().st_size // 2 - 1_000)

    samples, error = sizes_until_the_error(path)

    assert 8_000 < samples < 24_000
    assert "damaged or cut short" in error or "holds no sound" in error


def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    """As written by programs that could not seek back to the header."""
    path = write_wav(tmp_path / "open.wav", sine(440, 1, peak=0.5), RATE_HZ)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)

    assert sum(chunk.size for chunk in decode(path, RATE_HZ)) == RATE_HZ


def test_without_ffmpeg_a_wav_is_read_and_a_flac_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = write_wav(tmp_path / "a.wav", TONE, 44_100)
    without_libsndfile(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert sum(chunk.size for chunk in decode(wav, RATE_HZ)) == 32_000
    with pytest.raises(SourceError, match="apt install ffmpeg"):
        list(decode(DATA / "mains_hum.flac", RATE_HZ))


def test_a_decoder_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_libsndfile(monkeypatch)
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\ntrap '' TERM\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(pipes, "_DECODER_PATIENCE_S", 0.2)
    monkeypatch.setattr(pipes, "_END_S", 0.1)
    monkeypatch.setattr("beepwatch.capture.files._DECODE_WAIT_S", 0.1)

    with pytest.raises(UnreadableAudio, match="gave nothing"):
        list(decode(DATA / "mains_hum.flac", RATE_HZ))


def test_only_files_are_opened(tmp_path: Path) -> None:
    """A playlist that points into the network stays a file without sound."""
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")

    with pytest.raises(UnreadableAudio):
        list(decode(path, RATE_HZ))


def test_stdin_gives_whole_samples_and_ends() -> None:
    reader, writer = os.pipe()
    stream = Stdin(8_000, reader).open()
    try:
        assert stream.read(0.01) is None
        os.write(writer, b"\x01\x00\x02")
        first = stream.read(1)
        os.write(writer, b"\x00\x03\x00")
        second = stream.read(1)
        os.close(writer)
        end = stream.read(1)
    finally:
        stream.close()
        os.close(reader)

    assert isinstance(first, Block)
    assert isinstance(second, Block)
    assert isinstance(end, EndOfSound)
    assert np.frombuffer(first.data + second.data, dtype="<i2").tolist() == [1, 2, 3]
    assert first.rate_hz == 8_000


def test_stdin_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(UnreadableAudio, match="stdin cannot be read"):
            Stdin(8_000, descriptor).open().read(0.1)
    finally:
        os.close(descriptor)


def test_a_terminal_is_no_sound() -> None:
    ours, terminal = os.openpty()
    try:
        with pytest.raises(UnreadableAudio, match="stdin is a terminal"):
            Stdin(16_000, terminal).open()
    finally:
        os.close(ours)
        os.close(terminal)


def test_stdin_that_was_closed_is_named() -> None:
    """As by `<&-` in a shell."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    with pytest.raises(UnreadableAudio, match="stdin cannot be read: Bad file descriptor"):
        Stdin(8_000, descriptor).open().read(0.1)


def test_a_tenth_of_full_scale_sine_is_minus_23_dbfs() -> None:
    """RMS sits 3.01 dB below peak."""
    assert level_dbfs(sine(1_000, 1, peak=0.1)) == pytest.approx(-23.01, abs=0.01)


def test_digital_silence_and_nothing_at_all_have_no_level() -> None:
    assert level_dbfs(np.zeros(100, dtype=np.int16)) == -math.inf
    assert level_dbfs(np.zeros(0, dtype=np.int16)) == -math.inf


def test_the_clips_that_the_gate_is_tested_on_are_as_described() -> None:
    assert level_dbfs(recording("appliance_far_away.flac")) == pytest.approx(-54, abs=1)
    assert loudest_hz(recording("smoke_alarm_pulse.flac"), RATE_HZ) == pytest.approx(3_070, abs=30)


def test_a_file_can_be_closed_before_its_end(tmp_path: Path) -> None:
    path = converted(tmp_path / "a.flac")
    stream = open_audio(path, block_s=0.1)
    while not isinstance(stream.read(1.0), Block):
        pass

    stream.close()
    stream.close()

    assert "ffmpeg" not in [program.name() for program in psutil.Process().children()]


def test_signals_for_all_that_a_terminal_started_leave_a_recording_whole(tmp_path: Path) -> None:
    """As by ^C: whoever reads says when the sound is over."""
    path = write_wav(tmp_path / "a.wav", sine(1_000, 60.0, peak=0.5), RATE_HZ)
    stream = decoded_file(path, block_s=1.0)
    samples = 0
    try:
        while not isinstance(block := stream.read(1.0), EndOfSound):
            if isinstance(block, Block) and not samples:
                children = psutil.Process().children()
                (ffmpeg,) = (child for child in children if child.name() == "ffmpeg")
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    ffmpeg.send_signal(number)
            samples += block.frames if isinstance(block, Block) else 0
    finally:
        stream.close()

    assert samples == 60 * RATE_HZ


def test_wave_with_a_nonsense_rate_is_left_to_ffmpeg(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", TONE, 44_100)
    content = bytearray(path.read_bytes())
    content[24:28] = bytes(4)
    path.write_bytes(content)
    with wave.open(str(path)) as reader:
        assert reader.getframerate() == 0

    with pytest.raises(UnreadableAudio):
        list(decode(path, RATE_HZ))
