"""Of FLAC the system's libsndfile gives what soundfile's gives: samples, and words about damage."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from beepwatch.capture import flac, sndfile
from beepwatch.capture.blocks import Block, EndOfSound
from beepwatch.capture.files import open_audio
from beepwatch.capture.flac import Flac, Undecodable, system_library
from beepwatch.errors import UnreadableAudio

HISS = np.random.default_rng(0).normal(0, 0.1, (40_000, 2))
LENGTH_BYTE = 25  # the last of STREAMINFO's 36 bits for the number of samples


@pytest.fixture
def library() -> Iterator[Callable[[], object]]:
    """The loading of the library, undone before and after."""
    system_library.cache_clear()
    yield system_library
    system_library.cache_clear()


def written(path: Path, channels: int = 1, subtype: str = "PCM_16") -> Path:
    """2.5 s of hiss; every channel another."""
    soundfile.write(path, np.tile(HISS, 2)[:, :channels], 16_000, subtype=subtype)
    return path


def damaged(path: Path, damage: Callable[[bytearray], None]) -> Path:
    """The same in stereo, after something has happened to it."""
    content = bytearray(written(path, channels=2).read_bytes())
    damage(content)
    path.write_bytes(content)
    return path


def heard(path: Path, block_s: float) -> tuple[NDArray[np.float32], str]:
    """Samples of all channels, and what was said instead of an end."""
    blocks: list[Block] = []
    try:
        stream = open_audio(path, block_s=block_s, libsndfile=True)
        try:
            while not isinstance(block := stream.read(5.0), EndOfSound):
                if block is not None:
                    blocks.append(block)
        finally:
            stream.close()
    except UnreadableAudio as error:
        return mixed(blocks), str(error)
    return mixed(blocks), ""


def mixed(blocks: list[Block]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros(0, dtype=np.float32), *(block.mono() for block in blocks)])


def by_soundfile(
    path: Path, block_s: float, monkeypatch: pytest.MonkeyPatch
) -> tuple[NDArray[np.float32], str]:
    """As where the system has no libsndfile."""
    with monkeypatch.context() as patch:
        patch.setattr(sndfile, "system_library", lambda: None)
        return heard(path, block_s)


@pytest.mark.parametrize("block_s", [0.13, 10.0])
@pytest.mark.parametrize(
    ("channels", "subtype"), [(1, "PCM_16"), (2, "PCM_16"), (3, "PCM_24"), (1, "PCM_S8")]
)
def test_the_samples_are_those_of_soundfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, subtype: str, block_s: float
) -> None:
    path = written(tmp_path / "a.flac", channels, subtype)

    samples, words = heard(path, block_s)

    assert (len(samples), words) == (40_000, "")
    np.testing.assert_array_equal(samples, by_soundfile(path, block_s, monkeypatch)[0])


def test_a_good_file_is_not_opened_by_soundfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.flac")
    monkeypatch.setattr(soundfile, "SoundFile", lambda *_: pytest.fail("soundfile was asked"))

    assert len(heard(path, 1.0)[0]) == 40_000


def cut_short(content: bytearray) -> None:
    del content[len(content) // 2 :]


def overwritten(content: bytearray) -> None:
    middle = len(content) // 2
    content[middle : middle + 9_000] = np.random.default_rng(1).bytes(9_000)


def broken_at_once(content: bytearray) -> None:
    content[9_000:20_000] = np.random.default_rng(1).bytes(11_000)


def without_length(content: bytearray) -> None:
    content[LENGTH_BYTE - 4] &= 0xF0
    content[LENGTH_BYTE - 3 : LENGTH_BYTE + 1] = bytes(4)
    cut_short(content)


@pytest.mark.parametrize("block_s", [0.13, 0.5, 10.0])
@pytest.mark.parametrize("damage", [cut_short, overwritten, broken_at_once, without_length])
def test_damage_is_told_as_by_soundfile(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[bytearray], None],
    block_s: float,
) -> None:
    path = damaged(tmp_path / "a.flac", damage)

    samples, words = heard(path, block_s)
    expected, expected_words = by_soundfile(path, block_s, monkeypatch)

    assert words == expected_words
    np.testing.assert_array_equal(samples, expected)
    if block_s < 1:
        assert "a.flac is damaged or cut short; only " in words


def promising_more(content: bytearray) -> None:
    content[LENGTH_BYTE] ^= 0x80


def test_a_length_that_is_not_there_is_told_after_all_that_is(tmp_path: Path) -> None:
    samples, words = heard(damaged(tmp_path / "a.flac", promising_more), 0.5)

    assert len(samples) == 40_000
    assert "a.flac is damaged or cut short; only 2.50 s could be decoded" in words


def test_a_wrong_length_in_the_first_block_is_told_as_by_soundfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = damaged(tmp_path / "a.flac", promising_more)

    samples, words = heard(path, 10.0)
    expected, expected_words = by_soundfile(path, 10.0, monkeypatch)

    assert words == expected_words
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_where_it_fails_soundfile_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    path = written(tmp_path / "a.flac")
    whole = heard(path, 0.5)[0]
    answers = iter([True] * blocks)
    read = Flac.read

    def failing(file: Flac, frames: int) -> NDArray[np.generic]:
        if not next(answers, False):
            raise Undecodable("it has had enough")
        return read(file, frames)

    monkeypatch.setattr(Flac, "read", failing)
    samples, words = heard(path, 0.5)

    assert words == ""
    np.testing.assert_array_equal(samples, whole)


def test_nothing_stays_open(tmp_path: Path) -> None:
    paths = [written(tmp_path / "good.flac"), damaged(tmp_path / "damaged.flac", overwritten)]

    for path in paths:
        heard(path, 0.13)

    held = {link.resolve() for link in Path("/proc/self/fd").iterdir()}
    assert not held & set(paths)


def test_an_older_library_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, library: Callable[[], object]
) -> None:
    monkeypatch.setattr(flac, "_OLDEST", (1_000, 0))
    assert library() is None


def test_without_the_library_soundfile_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Callable[[], object]
) -> None:
    monkeypatch.setattr(flac, "_LIBRARY", tmp_path / "libsndfile.so.1")

    assert library() is None
    assert len(heard(written(tmp_path / "a.flac"), 1.0)[0]) == 40_000
