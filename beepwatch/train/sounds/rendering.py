"""Negatives without end: a sound font's instruments and a synthetic voice, rendered to files.

`fluidsynth` plays Debian's `fluid-soundfont-gm` (MIT licence), `espeak-ng` speaks; both are
programs beside this one, started for every piece. What is rendered is decided by the seed alone
and kept in a directory named after the plan and the tools that followed it.
"""

import hashlib
import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import soundfile
import soxr
from numpy.random import Generator

from beepwatch.errors import BeepwatchError
from beepwatch.train.sounds import midi, spoken
from beepwatch.train.sounds.spoken import Utterance
from beepwatch.train.synthesis import Sound, at_peak
from beepwatch.whole_files import written_whole

SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
PACKAGES = {
    "fluidsynth": "fluidsynth",
    "espeak-ng": "espeak-ng",
    str(SOUND_FONT): "fluid-soundfont-gm",
}
PIECE_S = 20.0
PLAYED_HZ = 44_100  # the sampler folds back what lies above half of its rate
LONGEST_RUN_S = 120  # for one piece; takes a second or two


class RenderingToolMissing(BeepwatchError):
    """A program or sound font that renders negatives is not installed."""

    exit_code = 2


class RenderingFailed(BeepwatchError):
    """A tool that is installed did not give the sound that it was asked for."""


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A file of sound without any beep."""

    path: Path
    kind: str  # wind, strings, struck, keys, choir, bird, telephone, noise, band or voice
    program: str  # the instrument, or the voice


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What one file is rendered from: a MIDI file or utterances."""

    kind: str
    program: str
    score: bytes = b""
    reverberant: bool = False
    utterances: tuple[Utterance, ...] = ()


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A General MIDI program, where it is played, and how many pieces it gets."""

    program: int  # from 0
    kind: str
    low: int  # key
    high: int
    pieces: int = 2


def _instruments(
    kind: str, low: int, high: int, pieces: int, **programs: int
) -> dict[str, Instrument]:
    return {
        name: Instrument(program=program, kind=kind, low=low, high=high, pieces=pieces)
        for name, program in programs.items()
    }


# Left out alone: square and saw leads, calliope, electric pianos, effects. Their repeated notes
# are beeps.
INSTRUMENTS = (
    _instruments("wind", 67, 98, 4, flute=73, recorder=74, whistle=78, ocarina=79, piccolo=72)
    | _instruments("wind", 60, 90, 2, pan_flute=75, bottle=76, shakuhachi=77)
    | _instruments("wind", 55, 86, 1, trumpet=56, clarinet=71, oboe=68, sax=64, shanai=111)
    | _instruments("wind", 55, 84, 2, harmonica=22, accordion=21)
    | _instruments("strings", 57, 95, 3, violin=40)
    | _instruments("strings", 50, 88, 2, viola=41, tremolo=44, fiddle=110, ensemble=48)
    | _instruments("strings", 50, 84, 1, pizzicato=45, harp=46, sitar=104)
    | _instruments("choir", 52, 84, 2, aahs=52, oohs=53)
    | _instruments("struck", 72, 105, 3, glockenspiel=9, celesta=8, music_box=10, tinkle_bell=112)
    | _instruments("struck", 60, 96, 2, tubular_bells=14, vibraphone=11, xylophone=13, agogo=113)
    | _instruments("struck", 55, 91, 2, marimba=12, steel_drums=114, kalimba=108)
    | _instruments("struck", 60, 90, 1, woodblock=115, dulcimer=15)
    | _instruments("keys", 50, 90, 2, piano=0)
    | _instruments("keys", 48, 84, 1, harpsichord=6, nylon_guitar=24, steel_guitar=25)
    | _instruments("bird", 48, 96, 10, bird=123)
    | _instruments("telephone", 55, 80, 3, telephone=124)
    | _instruments("noise", 40, 80, 1, seashore=122, helicopter=125, applause=126, breath=121)
)
BREATHING = {"wind", "strings", "choir"}
HELD = {"bird", "telephone", "noise"}
BAND_LEADS = (80, 81, 82, 84, 87, 56, 65, 73, 30, 4, 11, 79, 62, 16)
BANDS = 18
VOICES = 60


def plan(seed: int) -> list[Piece]:
    """Everything that is to be rendered: close to an hour."""
    rng = np.random.default_rng(seed)
    pieces = [
        _played(rng, name, instrument)
        for name, instrument in INSTRUMENTS.items()
        for _ in range(instrument.pieces)
    ]
    for number in range(BANDS):
        lead = BAND_LEADS[number % len(BAND_LEADS)]
        score = midi.band(rng, lead, PIECE_S)
        pieces.append(Piece(kind="band", program=f"lead_{lead}", score=score))
    for _ in range(VOICES):
        utterances = spoken.draw_utterances(rng)
        voice = utterances[0].voice.replace("+", "_")
        pieces.append(Piece(kind="voice", program=voice, utterances=utterances))
    return pieces


def _played(rng: Generator, name: str, instrument: Instrument) -> Piece:
    where = (instrument.program, instrument.low, instrument.high, PIECE_S)
    if instrument.kind in HELD:
        score = midi.held(rng, *where)
    else:
        score = midi.solo(rng, *where, breath=instrument.kind in BREATHING)
    reverberant = bool(rng.random() < 0.3)
    return Piece(kind=instrument.kind, program=name, score=score, reverberant=reverberant)


def tool_versions() -> list[str]:
    """What the tools say they are, and the sound font's digest.

    Raises RenderingToolMissing if one is not installed.
    """
    for tool, package in PACKAGES.items():
        if shutil.which(tool) is None and not Path(tool).is_file():
            raise RenderingToolMissing(
                f"{tool} is missing: the recipe's data.rendered_weight is above 0. Install it with "
                f"`apt-get install {package}`, or set data.rendered_weight = 0."
            )
    versions = [_run([tool, "--version"]).decode().split("\n")[0] for tool in
                ("fluidsynth", "espeak-ng")]  # fmt: skip
    with SOUND_FONT.open("rb") as font:
        return [*versions, hashlib.file_digest(font, "sha256").hexdigest()]


def render(
    directory: Path, seed: int, rate_hz: int, report: Callable[[str], None]
) -> list[Rendered]:
    """Render whatever of a seed's plan is not yet there, as 16-bit mono FLAC below `directory`.

    Interrupted, it goes on where it stopped. Raises RenderingToolMissing or RenderingFailed.
    """
    pieces = plan(seed)
    meaning = msgspec.json.encode([pieces, tool_versions(), rate_hz])
    home = directory / f"rendered-{hashlib.sha256(meaning).hexdigest()[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    files = [
        Rendered(
            path=home / f"{number:03d}-{piece.kind}-{piece.program}.flac",
            kind=piece.kind,
            program=piece.program,
        )
        for number, piece in enumerate(pieces)
    ]
    missing = [pair for pair in zip(files, pieces, strict=True) if not pair[0].path.exists()]
    for done, (file, piece) in enumerate(missing):
        if done % 20 == 0:
            report(f"rendering negatives: {done} of {len(missing)} pieces")
        sound = render_piece(piece, rate_hz)
        with written_whole(file.path) as flac:
            soundfile.write(flac, sound, rate_hz, format="FLAC", subtype="PCM_16")
    return files


def render_piece(piece: Piece, rate_hz: int) -> Sound:
    """One piece as mono float32 at `rate_hz`, peak one half."""
    if piece.utterances:
        parts = [_speak(utterance, rate_hz) for utterance in piece.utterances]
        sound = np.concatenate(parts)
    else:
        sound = _play(piece, rate_hz)
    if float(np.abs(sound).max(initial=0.0)) == 0:
        raise RenderingFailed(
            f"the {piece.kind} piece for {piece.program!r} came out silent. "
            "Is the sound font whole? Install fluid-soundfont-gm and espeak-ng again."
        )
    return np.float32(0.5) * at_peak(sound)


def _play(piece: Piece, rate_hz: int) -> Sound:
    with TemporaryDirectory() as scratch:
        score, out = Path(scratch, "score.mid"), Path(scratch, "sound.wav")
        score.write_bytes(piece.score)
        _run([
            "fluidsynth", "-n", "-i", "-q", "-g", "0.4", "-r", str(PLAYED_HZ), "-C", "no",
            "-R", "yes" if piece.reverberant else "no", "-T", "wav", "-O", "s16",
            "-o", "synth.dynamic-sample-loading=1", "-o", "synth.cpu-cores=1",
            "-F", str(out), str(SOUND_FONT), str(score),
        ])  # fmt: skip
        wav = out.read_bytes() if out.exists() else b""
    return _decoded("fluidsynth", wav, 1.0, rate_hz)[: round(PIECE_S * rate_hz)]


def _speak(utterance: Utterance, rate_hz: int) -> Sound:
    wav = _run([
        "espeak-ng", "--stdout", "-v", utterance.voice, "-p", str(utterance.pitch),
        "-s", str(utterance.words_per_minute), "-m", utterance.text,
    ])  # fmt: skip
    # Played faster it is a smaller throat's: higher, formants and all.
    voice = _decoded("espeak-ng", wav, utterance.raised, rate_hz)
    pause = np.zeros(round(utterance.pause_s * rate_hz), dtype=np.float32)
    return np.concatenate([voice, pause])


def _decoded(tool: str, wav: bytes, faster: float, rate_hz: int) -> Sound:
    """A tool's WAV as mono at `rate_hz`, played so many times faster."""
    try:
        sound, native_hz = soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RenderingFailed(
            f"{tool} gave {len(wav)} bytes that are no WAV: {error}. Install {tool} again."
        ) from error
    mono = sound.mean(axis=1)
    return np.asarray(soxr.resample(mono, native_hz * faster, rate_hz), dtype=np.float32)


def _run(command: list[str]) -> bytes:
    """A tool's standard output."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=LONGEST_RUN_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        text = error.stderr.decode(errors="replace").strip()[-200:]
        raise RenderingFailed(
            f"{command[0]} ended with {error.returncode}: {text}. Try `{command[0]} --version`."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RenderingFailed(
            f"{command[0]} took longer than {LONGEST_RUN_S} s for one piece. Run it again."
        ) from error
    return done.stdout
