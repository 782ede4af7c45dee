"""What `benchmarks/fuzz.py` feeds, and the process that reads it: see there."""

import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import time
import warnings
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from beepwatch.errors import BeepwatchError
from benchmarks.fuzz_bundles import prepare_bundle, read_bundle
from benchmarks.fuzz_bytes import GOOD, spoilt

ADDRESS_SPACE_BYTES = 3 << 30  # a lie of so many bytes that are never touched is a MemoryError
DAEMON_EVERY = 20  # audio inputs
Read = Callable[[Path, int, random.Random], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of input: how many by default, what good ones are, how one is spoilt and read."""

    default: int
    prepare: Callable[[Path], None]
    read: Read


# Audio


def _prepare_audio(good: Path) -> None:
    rate_hz = 16_000
    samples = b"".join(
        struct.pack("<h", round(12_000 * ((n * 2_000 // rate_hz) % 2 - 0.5))) for n in range(8_000)
    )
    with wave.open(str(good / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples)
    forms: dict[str, tuple[str, ...]] = {
        "stereo.wav": ("-ac", "2", "-ar", "44100"),
        "a32.wav": ("-c:a", "pcm_s32le"),
        "a24.wav": ("-c:a", "pcm_s24le", "-ar", "48000"),
        "afloat.wav": ("-c:a", "pcm_f32le"),
        "adpcm.wav": ("-c:a", "adpcm_ms"),
        "a.flac": (),
        "a51.flac": ("-ac", "6"),
        "a.ogg": ("-c:a", "libvorbis"),
        "a.opus": (),
        "a.mp3": (),
        "plain.mp3": ("-write_xing", "0", "-id3v2_version", "0", "-ar", "44100"),
        "a.aiff": (),
        "a.m4a": (),
    }
    for name, arguments in forms.items():
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", good / "a.wav", *arguments, good / name],
            check=True,
        )


def _read_audio(directory: Path, number: int, random_: random.Random) -> None:
    from beepwatch.capture.blocks import EndOfSound
    from beepwatch.capture.files import decode, open_audio

    good = sorted((directory / GOOD).iterdir())
    contents = [path.read_bytes() for path in good]
    index = random_.randrange(len(good))
    path = directory / f"spoilt{good[index].suffix}"
    path.write_bytes(spoilt(contents[index], random_, contents))
    if number % DAEMON_EVERY:
        for _ in decode(path, 16_000):
            pass
        return
    stream = open_audio(path, block_s=0.1)
    try:
        while not isinstance(block := stream.read(0.5), EndOfSound):
            if block is not None:
                block.mono()
    finally:
        stream.close()


# Configuration

GOOD_CONFIG = """
[capture]
source = "stream:http://user:word@camera.local:8080/audio?x=1"
window_s = 3.0
hop_s = 1.0
gate = true
[model]
bundle = "beep"
[[rules]]
label = "beep"
pulses = 3
within_s = 10
quiet_hours = "22:30-07:00"
[[rules]]
label = "spin"
[watchdog]
missing_after_min = 150
[notify]
room = "Waschküche"
[notify.telegram]
chat_ids = [123456, -100200300]
base_url = "https://api.telegram.org/bot"
token_file = "~/token"
[store]
directory = "/tmp/beepwatch-nowhere"
keep_days = 30
[web]
host = "127.0.0.1"
port = 8765
"""
_VALUES = (
    *(
        "nan",
        "inf",
        "-inf",
        "-1",
        "0",
        "1e999",
        "9" * 5_000,
        "9" * 25,
        "0x" + "f" * 40,
        "1979-05-27",
    ),
    *('""', '"\\u0000"', '"file:\\u0000"', '"stream:http://[::1"', '"stream:http://h:99999/"'),
    *('"stream:http://h:x/"', '"~nobody-here/x"', '"' + "x" * 9_000 + '"', "'''\na\nb'''", "true"),
    *("[" * 3_000, "[" * 300 + "]" * 300, "{a=" * 900, "[[1], {}]", "{}", "[]", "07:32:00", "-0.0"),
    *('"stdin"', '"file:~/x"', '"microphone:\\u202e"', '"99:99-00:00"', '"\\U0010FFFF"'),
)


def _prepare_config(good: Path) -> None:
    token = good / "token"
    token.write_text("110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw")
    token.chmod(0o600)


def _read_config(directory: Path, number: int, random_: random.Random) -> None:
    from beepwatch.capture.sources import parse_source
    from beepwatch.clock import SystemClock
    from beepwatch.config import display_values, load, source_kind, telegram_token

    text = GOOD_CONFIG.replace("~/token", str(directory / GOOD / "token"))
    environment: dict[str, str] = {}
    if random_.random() < 0.6:
        lines = text.splitlines()
        for _ in range(random_.choice((1, 1, 2, 4))):
            _spoil_line(lines, random_)
        text = "\n".join(lines)
    if random_.random() < 0.3:
        variable = random_.choice(("CAPTURE__SOURCE", "RULES__LABEL", "WEB__PORT", "A__B__C", "__"))
        environment[f"BEEPWATCH_{variable}"] = random_.choice((*_VALUES, "\udcff", "a\nb"))
    content = text.encode()
    if random_.random() < 0.5:
        content = spoilt(content, random_, [content, b"[[[[", b"\0", b'"""', b"\xff\xfe"])
    file = directory / "config.toml"
    file.write_bytes(content)
    loaded = load(file, environment)
    display_values(loaded)
    telegram_token(loaded.config.notify.telegram, environment)
    _ = loaded.config.store.path
    if source_kind(loaded.config.capture.source)[0] != "microphone":
        source = parse_source(loaded.config.capture, clock=SystemClock())
        if not source.live and source.name != "stdin":
            source.open().close()


def _spoil_line(lines: list[str], random_: random.Random) -> None:
    at = random_.randrange(len(lines))
    key, equals, _ = lines[at].partition("=")
    match random_.randrange(5):
        case 0 if equals:
            lines[at] = f"{key}= {random_.choice(_VALUES)}"
        case 1:
            lines.insert(at, random_.choice(lines))
        case 2:
            lines[at] = f"{random_.choice(('a.b', 'x' * 300, '', 'port', '.', 'rules'))} = 1"
        case 3:
            del lines[at]
        case _:
            lines[at] = random_.choice(("[rules]", "[[capture]]", "[a.b.c]", "[" * 2_000, "\0"))


# One that is known to be taken badly, to test who watches


def _read_badly(directory: Path, number: int, random_: random.Random) -> None:
    del directory, random_
    match number:
        case 1:
            raise KeyError("no error of ours")
        case 2:
            os.abort()
        case 3:
            time.sleep(60)
        case 4:
            bytearray(b"\1" * (400 << 20))
        case 5:
            raise BeepwatchError("two\nlines")
        case 6:
            raise BeepwatchError("one line")


def _prepare_nothing(good: Path) -> None:
    del good


KINDS = {
    "audio": Kind(default=20_000, prepare=_prepare_audio, read=_read_audio),
    "config": Kind(default=20_000, prepare=_prepare_config, read=_read_config),
    "bundle": Kind(default=5_000, prepare=prepare_bundle, read=read_bundle),
    "planted": Kind(default=0, prepare=_prepare_nothing, read=_read_badly),
}


def prepared(kind: str, directory: Path) -> None:
    """Lay down good inputs of a kind in an empty folder."""
    good = directory / GOOD
    shutil.rmtree(good, ignore_errors=True)
    good.mkdir()
    KINDS[kind].prepare(good)


def read_one(kind: str, seed: int, number: int, directory: Path) -> str:
    """What came of one input: taken, refused, or BUG and why."""
    random_ = random.Random(f"{seed}:{kind}:{number}")  # noqa: S311 - to be repeatable
    try:
        KINDS[kind].read(directory, number, random_)
    except BeepwatchError as error:
        text = str(error)
        if "\n" in text or len(text) > 4_000:
            return f"BUG {len(text)} characters or several lines: {text[:200]!r}"
        return f"refused {type(error).__name__}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        line = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
        return f"BUG {type(error).__name__}: {str(error)[:200]!r} in {line}"
    return "taken -"


def peak_mb() -> float:
    """The most memory that this process, or a program that it started, had at once."""
    # Of its own: getrusage() would count what the process was that started it, up to the exec.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    ours = int(status.partition("VmHWM:")[2].split()[0])
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(ours, theirs) / 1_024


def main(kind: str, seed: int, first: int, last: int, directory: Path) -> None:
    """Read inputs `first` up to `last`, and print what came of each."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")  # a user would see it on standard error
    # What a C library says on standard output is not taken for ours.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print("ready", file=out)
    for number in range(first, last):
        began_s = time.monotonic()
        outcome = read_one(kind, seed, number, directory)
        took_s = time.monotonic() - began_s
        print(f"{number} {took_s:.3f} {peak_mb():.1f} {outcome}", file=out)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
