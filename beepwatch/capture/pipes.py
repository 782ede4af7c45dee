"""Sound that comes through a pipe: raw PCM on standard input, and what ffmpeg decodes."""

import contextlib
import os
import resource
import select
import shutil
import signal
import struct
import subprocess
from pathlib import Path

from beepwatch.capture.blocks import Block, EndOfSound, frames_of
from beepwatch.clock import Clock
from beepwatch.config import environment_of_children
from beepwatch.errors import SourceError, UnreadableAudio
from beepwatch.secrecy import without_secrets

_READ_BYTES = 1 << 16
_COMPLAINTS_BYTES = 2_000  # of ffmpeg's last words
_HEADER_BYTES = 4_096  # what a WAV header may take
_DECODER_PATIENCE_S = 30.0  # a file that gives nothing for so long is given up
_END_S = 2.0  # for ffmpeg to end by itself
# What a recording may be. A playlist, a script or a session description is none of them: it would
# have ffmpeg open what somebody else has written into it.
FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,eac3,flac,flv,gsm,loas,matroska,mov,mp3,"
    "mpc,mpc8,mpeg,mpegts,nut,ogg,rm,tak,tta,voc,w64,wav,wv,xwma"
)
_ALLOCATION_BYTES = 64_000_000  # the most that ffmpeg may ask for at once
_NO_AUDIO = "matches no streams"  # what ffmpeg says of a video without sound
_NO_HOST = "Failed to resolve hostname"  # after which its last word is an input/output error
# They reach all that was started from a terminal or by systemd; whoever reads ends it in time.
_NOT_FOR_DECODERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LIMITS = {
    resource.RLIMIT_DATA: 300_000_000,
    resource.RLIMIT_FSIZE: 0,  # it only writes into its pipe
    resource.RLIMIT_CORE: 0,
}


def _until_readable(descriptor: int, within_s: float) -> bool:
    """Whether there is something to read, or the end; waits for it."""
    readable, _, _ = select.select([descriptor], [], [], within_s)
    return bool(readable)


class PcmPipe:
    """Raw int16 little-endian mono on a file descriptor; it is not closed, as it was not opened."""

    def __init__(self, descriptor: int, rate_hz: int, text: str) -> None:
        self.text = text
        self._descriptor = descriptor
        self._rate_hz = rate_hz
        self._rest = b""

    def read(self, within_s: float) -> Block | EndOfSound | None:
        """What has come, in whole samples."""
        try:
            if not _until_readable(self._descriptor, within_s):
                return None
            data = os.read(self._descriptor, _READ_BYTES)
        except OSError as error:
            raise UnreadableAudio(
                f"{self.text} cannot be read: {error.strerror}. Pipe raw s16le mono into it."
            ) from None
        if not data:
            return EndOfSound()
        data = self._rest + data
        whole = len(data) // 2 * 2
        self._rest = data[whole:]
        if not whole:
            return None
        return Block(data=data[:whole], sample_format="int16", channels=1, rate_hz=self._rate_hz)

    def close(self) -> None:
        """Leaves the descriptor to who opened it."""


class Stdin:
    """`--source stdin`: raw s16le mono at the configured rate.

    It is read when there is room for it, so that nothing of it is dropped, and its time is its own:
    the same bytes give the same events.
    """

    name = "stdin"
    live = False
    paced = False
    patience_s = float("inf")

    def __init__(self, rate_hz: int, descriptor: int = 0) -> None:
        self._rate_hz = rate_hz
        self._descriptor = descriptor

    def open(self) -> PcmPipe:
        """Raises UnreadableAudio for a terminal: what is typed is no sound."""
        if os.isatty(self._descriptor):
            raise UnreadableAudio("stdin is a terminal. Pipe raw s16le mono into it.")
        return PcmPipe(self._descriptor, self._rate_hz, "stdin")


def nothing_came(name: str) -> SourceError:
    """Of a pipe that ended, and that is no mistake of a recording's."""
    return SourceError(
        f"{name} ended before any sound came. "
        "Let something send sound there, or name another --source."
    )


class Ffmpeg:
    """A running ffmpeg whose WAV output is read block by block.

    `arguments` say what to read; it runs without a shell and without our standard input, and gets
    what is in `script` instead. The header of its output tells rate and channels, so that no second
    program has to be asked. With a `clock` it is live: its end is a loss, and blocks carry the
    moment of their arrival. What is `never_shown` is taken out of its complaints.
    """

    def __init__(
        self,
        arguments: list[str],
        *,
        text: str,
        block_s: float,
        clock: Clock | None = None,
        script: bytes = b"",
        never_shown: tuple[str, ...] = (),
    ) -> None:
        self.text = text
        self._live = clock is not None
        self._clock = clock
        self._block_s = block_s
        self._format: tuple[int, int] | None = None  # rate_hz, channels
        self._block_bytes = 0
        self._never_shown = never_shown
        self._pending = bytearray()
        self._complaints = b""
        self._waited_s = 0.0
        self._frames = 0
        program = shutil.which("ffmpeg")
        if program is None:
            raise SourceError(
                f"{text} needs ffmpeg, which is not on PATH. Install it (Debian: apt install "
                "ffmpeg), or give a PCM WAV file."
            )
        command = [
            *(program, "-nostdin", "-hide_banner", "-loglevel", "error"),
            # One thread a decoder: the stacks of many would use up what it may have.
            *("-max_alloc", str(_ALLOCATION_BYTES), "-filter_threads", "1", "-threads", "1"),
            *arguments,
            # Without metadata the header has its least length, whatever tags the file carries.
            *("-map", "0:a:0", "-map_metadata", "-1", "-fflags", "+bitexact"),
            *("-c:a", "pcm_s16le", "-f", "wav", "pipe:1"),
        ]
        # It inherits what is blocked; else ^C would end the sound before whoever reads has stopped.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_DECODERS)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment_of_children(),
            )
        except OSError as error:
            raise SourceError(
                f"{program} cannot be started: {error.strerror}. Install ffmpeg again."
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for limit, value in _LIMITS.items():
            with contextlib.suppress(OSError, ValueError):  # it has ended, or a limit is lower
                resource.prlimit(self._process.pid, limit, (value, value))
        self._write(script)
        assert self._process.stdout is not None  # noqa: S101 - it is PIPE
        assert self._process.stderr is not None  # noqa: S101 - it is PIPE
        self._output = self._process.stdout.fileno()
        self._errors = self._process.stderr.fileno()
        os.set_blocking(self._errors, False)

    def read(self, within_s: float) -> Block | EndOfSound | None:
        """About `block_s` of sound, less at the end; a live stream gives what there is."""
        while True:
            if block := self._block():
                return block
            if not _until_readable(self._output, within_s):
                self._hear_complaints()
                self._be_patient(within_s)
                return None
            data = os.read(self._output, _READ_BYTES)
            self._waited_s = 0.0
            self._hear_complaints()
            if not data:
                return self._at_end()
            self._pending += data

    def close(self) -> None:
        """End the program: it only reads, so there is nothing that it should save."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _block(self, *, last: bool = False) -> Block | None:
        if self._format is None:
            self._format = _read_wav_header(self._pending)
            if self._format is None:
                return None
            rate_hz, channels = self._format
            self._block_bytes = (2 * channels) * frames_of(
                self.text, block_s=self._block_s, rate_hz=rate_hz, channels=channels
            )
        rate_hz, channels = self._format
        frame_bytes = 2 * channels
        if len(self._pending) < self._block_bytes and not last:
            return None
        data = bytes(self._pending[: self._block_bytes])
        data = data[: len(data) // frame_bytes * frame_bytes]
        if not data:
            return None
        del self._pending[: len(data)]
        self._frames += len(data) // frame_bytes
        return Block(
            data=data,
            sample_format="int16",
            channels=channels,
            rate_hz=rate_hz,
            captured_mono_s=self._clock.mono_s() if self._clock else None,
        )

    def _be_patient(self, waited_s: float) -> None:
        self._waited_s += waited_s
        if not self._live and self._waited_s > _DECODER_PATIENCE_S:
            raise UnreadableAudio(
                f"{self.text}: ffmpeg gave nothing for {_DECODER_PATIENCE_S:.0f} s. "
                "Convert it to WAV and try again."
            )

    def _write(self, script: bytes) -> None:
        """All that it ever reads from its standard input; it fits into any pipe."""
        assert self._process.stdin is not None  # noqa: S101 - it is PIPE
        with contextlib.suppress(BrokenPipeError), self._process.stdin as into:
            into.write(script)

    def _hear_complaints(self) -> None:
        try:
            heard = os.read(self._errors, _READ_BYTES)
        except BlockingIOError:
            return
        self._complaints = (self._complaints + heard)[-_COMPLAINTS_BYTES:]

    def _at_end(self) -> Block | EndOfSound:
        if block := self._block(last=True):
            return block
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            code = None
        self._hear_complaints()
        complaints = self._complaints.decode(errors="replace")
        for word in self._never_shown:
            complaints = complaints.replace(word, "…")
        lines = without_secrets(complaints).strip().splitlines()
        if self._live and not self._frames:
            raise SourceError(
                f"{self.text} gives no sound: {_reason(lines)}. "
                "Check its address, and that it is on."
            )
        if self._live:
            reason = _reason(lines) if lines else "no more came"
            raise SourceError(f"{self.text} ended: {reason}. It is tried again.")
        if code != 0 or self._frames == 0:
            raise UnreadableAudio(
                f"{self.text} holds no sound that ffmpeg can decode: {_reason(lines)}. "
                "Give an audio file that plays."
            )
        if lines:
            seconds = self._frames / self._format[0] if self._format else 0.0
            raise UnreadableAudio(
                f"{self.text} is damaged or cut short; only {seconds:.2f} s could be decoded: "
                f"{_reason(lines)}. Record or copy it again."
            )
        return EndOfSound()


def _reason(lines: list[str]) -> str:
    """ffmpeg's last word, or a better one before it, without its object's address and the URL."""
    if not lines or any(_NO_AUDIO in line for line in lines):
        return "no audio in it"
    said = next((line for line in lines if _NO_HOST in line), lines[-1])
    return said.split("] ", maxsplit=1)[-1].rsplit(": ", maxsplit=1)[-1].rstrip(".")


def _read_wav_header(head: bytearray) -> tuple[int, int] | None:
    """Take the header off `head` and tell rate and channels; None while it is not whole."""
    data_at = head.find(b"data", 12, _HEADER_BYTES)
    format_at = head.find(b"fmt ", 12, _HEADER_BYTES)
    if data_at < 0 or format_at < 0 or len(head) < data_at + 8:
        return None
    channels, rate_hz = struct.unpack_from("<HI", head, format_at + 10)
    del head[: data_at + 8]
    return rate_hz, channels


def decoded_file(path: Path, *, block_s: float) -> Ffmpeg:
    """A file through ffmpeg, which may open nothing but files, and no list of further ones."""
    return Ffmpeg(
        ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", f"file:{path}"],
        text=str(path),
        block_s=block_s,
    )
