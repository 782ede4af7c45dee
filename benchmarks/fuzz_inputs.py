"""What `benchmarks/fuzz.py` feeds, and the process that reads it: see there."""

import hashlib
import json
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
from typing import Any

from beepwatch.errors import BeepwatchError

GOOD = "good"  # below the working directory, what the spoilt inputs are made of
ADDRESS_SPACE_BYTES = 3 << 30  # a lie of so many bytes that are never touched is a MemoryError
INTERESTING = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF)
INTERESTING_32 = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFF0, 44, 1_000_000)
DAEMON_EVERY = 20  # audio inputs
Read = Callable[[Path, int, random.Random], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of input: how many by default, what good ones are, how one is spoilt and read."""

    default: int
    prepare: Callable[[Path], None]
    read: Read


# Spoiling bytes


def spoilt(good: bytes, random_: random.Random, others: list[bytes]) -> bytes:
    """A few mutations, of the first bytes twice as often as of the rest."""
    data = bytearray(good)
    for _ in range(random_.choice((1, 1, 2, 3, 6, 20))):
        head = random_.random() < 0.67
        end = min(len(data), random_.choice((16, 64, 200, 600))) if head else len(data)
        at = random_.randrange(max(1, end))
        random_.choice(_MUTATIONS)(data, at, random_, others)
    return bytes(data)


def _flip(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    if data:
        data[at % len(data)] ^= 1 << random_.randrange(8)


def _byte(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    data[at : at + 1] = bytes([random_.randrange(256)])


def _number(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    form = random_.choice(("<H", ">H", "<I", ">I"))
    values = INTERESTING if form[1] == "H" else INTERESTING_32
    packed = struct.pack(form, random_.choice((*values, random_.getrandbits(15))))
    data[at : at + len(packed)] = packed


def _cut(data: bytearray, at: int, _random: random.Random, _others: list[bytes]) -> None:
    del data[at:]


def _remove(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    del data[at : at + random_.choice((1, 2, 4, 40, 400))]


def _insert(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    data[at:at] = random_.randbytes(random_.choice((1, 2, 4, 40, 400)))


def _repeat(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    data[at:at] = data[at : at + random_.choice((4, 16, 64, 500))] * random_.choice((1, 2, 30))


def _noise(data: bytearray, at: int, random_: random.Random, _others: list[bytes]) -> None:
    length = random_.choice((4, 16, 200))
    data[at : at + length] = random_.randbytes(length)


def _splice(data: bytearray, at: int, random_: random.Random, others: list[bytes]) -> None:
    other = random_.choice(others)
    data[at:] = other[random_.randrange(max(1, len(other))) :]


_MUTATIONS = (
    _flip,
    _flip,
    _byte,
    _number,
    _number,
    _cut,
    _remove,
    _insert,
    _repeat,
    _noise,
    _splice,
)


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
            lines = lines or [""]
        case _:
            lines[at] = random_.choice(("[rules]", "[[capture]]", "[a.b.c]", "[" * 2_000, "\0"))


# Bundle


def _prepare_bundle(good: Path) -> None:
    from beepwatch.classify.bundle import find_bundle

    shutil.copytree(find_bundle("beep"), good, dirs_exist_ok=True)


_JSON_VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 1e308, 1e-308, 0.02, 2**63, 10**30, 1_000_000_000, "", "\0", "../../etc/passwd"),
    *("x" * 5_000, [], {}, [[]], None, True, "/dev/zero", ["beep"], {"beep": 0.5}),
)


def _read_bundle(directory: Path, number: int, random_: random.Random) -> None:
    import numpy as np

    from beepwatch.classify.bundle import load_bundle
    from beepwatch.classify.engines import open_engine

    good = directory / GOOD
    bundle = directory / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(good, bundle)
    what = random_.choice(("description", "bytes of description", "graph", "weights", "files"))
    if what == "files":
        _spoil_files(bundle, random_)
    elif what in ("graph", "weights"):
        path = bundle / ("model.onnx" if what == "graph" else "weights.safetensors")
        path.write_bytes(spoilt(path.read_bytes(), random_, [path.read_bytes()]))
        if what == "graph" and random_.random() < 0.3:
            path.write_bytes(_another_graph(random_))
    description = bundle / "bundle.json"
    if what != "description" and random_.random() < 0.67:
        _make_hashes_fit(bundle, description)
    if what == "description":
        said = json.loads(description.read_bytes())
        for _ in range(random_.choice((1, 1, 2, 5))):
            _spoil_json(said, random_)
        description.write_text(json.dumps(said))
    if what == "bytes of description":
        description.write_bytes(spoilt(description.read_bytes(), random_, [b"[" * 100_000, b"{}"]))
    loaded = load_bundle(bundle)
    open_engine(loaded).answers(np.zeros(16_000, dtype=np.int16))


def _spoil_files(bundle: Path, random_: random.Random) -> None:
    path = bundle / random_.choice(("model.onnx", "weights.safetensors", "bundle.json"))
    path.unlink()
    match random_.randrange(6):
        case 0:
            path.symlink_to("/dev/zero")
        case 1:
            os.mkfifo(path)
        case 2:
            path.mkdir()
        case 3:
            path.symlink_to(path.name)
        case 4:
            with path.open("wb") as file:  # 4 GB that take no room on the disk
                file.truncate(4 << 30)
        case _:
            path.write_bytes(b"")


def _spoil_json(said: dict[str, Any], random_: random.Random) -> None:
    key = random_.choice(sorted(said))
    value = said[key]
    if isinstance(value, dict) and value and random_.random() < 0.6:
        value[random_.choice((*value, "more", "../x"))] = random_.choice(_JSON_VALUES)
    elif random_.random() < 0.1:
        del said[key]
    else:
        said[key] = random_.choice(_JSON_VALUES)
    if not said:
        said["format"] = 1


def _make_hashes_fit(bundle: Path, description: Path) -> None:
    """As one who wants to harm would."""
    if not description.is_file() or description.stat().st_size > 1 << 20:
        return
    try:
        said = json.loads(description.read_bytes())
        for name in ("model.onnx", "weights.safetensors"):
            if (bundle / name).is_file() and (bundle / name).stat().st_size < 1 << 24:
                said["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
        said["model_id"] = said["files"]["model.onnx"][:12]
        description.write_text(json.dumps(said))
    except (OSError, ValueError):
        return


def _another_graph(random_: random.Random) -> bytes:
    """A valid graph that is not what it should be: shapes, size, files outside, endless work."""
    from onnx import TensorProto, helper

    from beepwatch.classify.engines import OUTPUTS

    pcm = helper.make_tensor_value_info("pcm", TensorProto.INT16, ["n", "t"])
    ends: list[int] = random_.choice(([1, 2, 1], [0, 0, 1], [1, 50, 2], [], [1 << 20, 1 << 16, 1]))
    length = len(ends) or 0
    shape = helper.make_tensor("shape", TensorProto.INT64, [length], ends)
    nodes = [helper.make_node("ConstantOfShape", ["shape"], [name]) for name in OUTPUTS]
    claimed = ends if random_.random() < 0.5 else ["n", "f", random_.choice((1, 2))]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, claimed) for name in OUTPUTS]
    initializers = [shape]
    if random_.random() < 0.4:
        outside = TensorProto()
        outside.name = "outside"
        outside.data_type = TensorProto.FLOAT
        outside.dims.extend([random_.choice((1, 16, 1 << 28))])
        outside.data_location = TensorProto.EXTERNAL
        entry = outside.external_data.add()
        entry.key, entry.value = "location", random_.choice(("/etc/passwd", "../x", "bundle.json"))
        initializers.append(outside)
    graph = helper.make_graph(nodes, "spoilt", [pcm], outputs, initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


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
    "bundle": Kind(default=5_000, prepare=_prepare_bundle, read=_read_bundle),
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
