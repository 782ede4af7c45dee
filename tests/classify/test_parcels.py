"""A taught sound travels in one file; what somebody else has put into such a file does no harm."""

import io
import resource
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify import examples
from beepwatch.classify.heads import encode
from beepwatch.classify.parcels import MOST_EXAMPLES, export, open_parcel, take_in
from beepwatch.classify.shelf import Shelf
from beepwatch.errors import ConfigurationError, ModelError, StoreError
from tests.classify.pitched import pitched

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PULSE = np.arange(-800, 800, dtype=np.int16)
WASHER = pitched("washer", 2_000.0)
HEAD = encode(WASHER)
SOUND = examples.encode(PULSE)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    one = Shelf(tmp_path / "mine")
    one.put(WASHER, NOW, [PULSE, PULSE[::2]])
    return one


def test_a_friend_gets_the_head_and_the_examples(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "washer.zip"
    assert export(shelf, "washer", file) == 2
    friends = Shelf(tmp_path / "friends")
    take_in(friends, open_parcel(file), NOW, replace=False)
    assert friends.head("washer") == WASHER
    assert [path.read_bytes() for path in friends.examples("washer")] == [
        path.read_bytes() for path in shelf.examples("washer")
    ]


def test_the_same_sound_is_the_same_file(shelf: Shelf, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        export(shelf, "washer", tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_export_overwrites_nothing(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(ConfigurationError, match="is there already"):
        export(shelf, "washer", tmp_path / "letter")
    assert (tmp_path / "letter").read_text() == "dear"
    with pytest.raises(ConfigurationError, match="cannot be written"):
        export(shelf, "washer", tmp_path / "no" / "such")
    with pytest.raises(ModelError, match="no taught sound 'dryer'"):
        export(shelf, "dryer", tmp_path / "dryer.zip")
    assert not (tmp_path / "dryer.zip").exists()


def test_a_sound_that_is_there_is_replaced_only_when_asked_and_can_be_had_back(
    shelf: Shelf, tmp_path: Path
) -> None:
    parcel = open_parcel(made(tmp_path, ("head.json", encode(pitched("washer", 2_500.0)))))
    with pytest.raises(ConfigurationError, match=r"washer already\. To replace it, add --force"):
        take_in(shelf, parcel, NOW, replace=False)
    assert shelf.head("washer") == WASHER
    take_in(shelf, parcel, NOW, replace=True)
    assert shelf.head("washer").pitches_hz == (2_500.0,)
    assert shelf.examples("washer") == []
    assert shelf.rollback("washer") == WASHER


def test_an_export_that_finds_no_room_leaves_no_half_file(tmp_path: Path) -> None:
    """Which nobody could import, and which would be in the way of the next one."""
    shelf, file = Shelf(tmp_path / "mine"), tmp_path / "washer.zip"
    noise = np.random.default_rng(1).integers(-9_999, 9_999, 40_000).astype(np.int16)
    shelf.put(WASHER, NOW, [noise])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StoreError, match="cannot be written: File too large"):
            export(shelf, "washer", file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not file.exists()
    assert export(shelf, "washer", file) == 1


def test_an_example_that_cannot_be_read_is_named_and_not_the_place_of_the_export(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.examples("washer")[1].write_bytes(bytes(examples.MOST_BYTES + 1))
    with pytest.raises(ModelError, match=r"002\.wav cannot be read: 1920045 bytes"):
        export(shelf, "washer", tmp_path / "washer.zip")
    assert not (tmp_path / "washer.zip").exists()


def made(directory: Path, *entries: tuple[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> Path:
    """A file that somebody else has made."""
    file = directory / "made.zip"
    with zipfile.ZipFile(file, "w", packed) as parcel:
        for name, content in entries:
            parcel.writestr(name, content)
    return file


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], r"expected one head.json and examples/\*.wav"),
        ([("examples/001.wav", SOUND)], "expected one head.json"),
        ([("head.json", HEAD), ("../evil.wav", SOUND)], r"'\.\./evil\.wav'"),
        ([("head.json", HEAD), ("examples/../../evil.wav", SOUND)], "evil"),
        ([("head.json", HEAD), ("/etc/cron.d/evil", SOUND)], "/etc/cron.d/evil"),
        ([("head.json", HEAD), ("examples/.hidden.wav", SOUND)], "hidden"),
        ([("head.json", HEAD), ("examples/", b"")], "it holds"),
        ([("head.json", HEAD), ("versions/1.json", HEAD)], "versions/1.json"),
        ([("head.json", b"{}")], "missing required field"),
        ([("head.json", HEAD.replace(b"washer", b"../../x"))], "the name '../../x'"),
        ([("head.json", HEAD.replace(b"washer", b"beep"))], "the shipped model's own"),
        ([("head.json", b" " * 200_000)], "head.json in it has more than 100000 bytes"),
        ([("head.json", HEAD), ("examples/001.wav", b"RIFF")], "is no WAV file"),
        ([("head.json", HEAD), ("examples/001.wav", SOUND[:-7])], "has 1600 samples"),
        ([("head.json", HEAD), ("examples/a.wav", bytes(3_000_000))], "more than 1920044 bytes"),
        (
            [("head.json", HEAD), *((f"examples/{n}.wav", SOUND) for n in range(201))],
            f"201 examples, more than {MOST_EXAMPLES}",
        ),
        (
            [("head.json", HEAD), *((f"examples/{n}.wav", bytes(2**20)) for n in range(70))],
            "bytes, more than 64000000",
        ),
    ],
)
def test_what_no_export_holds_is_refused_and_nothing_is_written(
    entries: list[tuple[str, bytes]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        open_parcel(made(tmp_path, *entries))
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["made.zip"]


def test_a_directory_of_a_million_entries_is_not_even_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 60 MB there is room for one that takes 700 MB of memory, and most of a minute."""
    many = [(f"examples/{number}.wav", b"") for number in range(1_100)]
    file = made(tmp_path, ("head.json", HEAD), *many)
    monkeypatch.setattr(zipfile, "ZipFile", lambda _: pytest.fail("it was read"))
    with pytest.raises(ModelError, match="more than 1000 entries"):
        open_parcel(file)


def test_two_heads_in_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        file = made(tmp_path, ("head.json", HEAD), ("head.json", HEAD))
    with pytest.raises(ModelError, match=r"expected one head\.json"):
        open_parcel(file)


def lying_size(content: bytes) -> bytes:
    """The directory at the end says that the head has 10 bytes."""
    at = content.index(b"PK\x01\x02")
    return content[: at + 24] + struct.pack("<I", 10) + content[at + 28 :]


def encrypted(content: bytes) -> bytes:
    at = content.index(b"PK\x01\x02")
    return content[: at + 8] + struct.pack("<H", 1) + content[at + 10 :]


def before_its_beginning(content: bytes) -> bytes:
    """The end says that the directory is further on than it is."""
    at = content.index(b"PK\x05\x06") + 16
    return content[:at] + struct.pack("<I", 1_000_000) + content[at + 4 :]


def misspelt(content: bytes) -> bytes:
    """A name that says it is UTF-8, and is none."""
    at = content.index(b"PK\x01\x02")
    flagged = content[: at + 8] + struct.pack("<H", 0x800) + content[at + 10 :]
    return flagged[: at + 46] + b"\xff" + flagged[at + 47 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-30],
        lambda content: content[:60] + b"\xff" * 20 + content[80:],
        lambda content: b"not a zip at all",
        lambda content: b"",
        lying_size,
        encrypted,
        before_its_beginning,
        misspelt,
    ],
    ids=["cut", "changed", "text", "empty", "a lie", "encrypted", "before", "misspelt"],
)
def test_a_damaged_file_is_one_line(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    file = made(tmp_path, ("head.json", HEAD), ("examples/001.wav", SOUND))
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(ModelError) as caught:
        open_parcel(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_packing_is_refused(tmp_path: Path) -> None:
    file = made(tmp_path, ("head.json", HEAD), packed=zipfile.ZIP_LZMA)
    with pytest.raises(ModelError, match="packed in a way that no export is"):
        open_parcel(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*no\.zip"):
        open_parcel(tmp_path / "no.zip")


def test_what_is_hidden_in_a_sound_does_not_come_along(tmp_path: Path) -> None:
    hidden = SOUND + b"LIST\x04\x00\x00\x00evil"
    hidden = hidden[:4] + struct.pack("<I", len(hidden) - 8) + hidden[8:]
    parcel = open_parcel(made(tmp_path, ("head.json", HEAD), ("examples/001.wav", hidden)))
    assert parcel.files == (SOUND,)
    assert b"evil" in hidden


def test_an_import_is_listed_in_the_order_of_its_names(tmp_path: Path) -> None:
    short = examples.encode(PULSE[:10])
    entries = [("examples/b.wav", SOUND), ("head.json", HEAD), ("examples/a.wav", short)]
    assert open_parcel(made(tmp_path, *entries)).files == (short, SOUND)
    assert zipfile.is_zipfile(io.BytesIO((tmp_path / "made.zip").read_bytes()))
