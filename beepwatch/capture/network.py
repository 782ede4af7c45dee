"""A camera or a radio on the network, read by ffmpeg."""

from urllib.parse import unquote

from beepwatch.capture.pipes import Ffmpeg
from beepwatch.clock import Clock
from beepwatch.validation import stream_address

# No file; `pipe` is where the URL comes from.
_PROTOCOLS = "pipe,http,https,tls,tcp,rtsp,rtsps,rtp,udp,crypto,httpproxy"
_SOCKET_TIMEOUT_US = 10_000_000
_BLOCK_S = 0.1


class NetworkStream:
    """`--source stream:URL`. A password in the URL is never shown."""

    live = True
    paced = True
    patience_s = 15.0  # connecting takes its time

    def __init__(self, url: str, clock: Clock) -> None:
        parts = stream_address(url)
        port = f":{parts.port}" if parts.port else ""
        self.name = f"stream:{parts.scheme}://{parts.hostname}{port}{parts.path}"
        self._url = url
        self._rtsp = parts.scheme.startswith("rtsp")
        words = (url, parts.query, parts.password or "", unquote(parts.password or ""))
        self._never_shown = tuple(word for word in words if word)
        self._clock = clock

    def open(self) -> Ffmpeg:
        """Start ffmpeg, which connects; whether it could is known at the first block.

        It reads the URL, password and all, from its standard input, as a script of its demuxer
        `concat`: what is among its arguments can be read by everybody on this machine.
        """
        return Ffmpeg(
            ["-protocol_whitelist", _PROTOCOLS, "-f", "concat", "-safe", "0", "-i", "pipe:0"],
            text=self.name,
            block_s=_BLOCK_S,
            clock=self._clock,
            script=self._script(),
            never_shown=self._never_shown,
        )

    def _script(self) -> bytes:
        """https://ffmpeg.org/ffmpeg-formats.html#concat; `option` since ffmpeg 5.0."""
        options = {"timeout" if self._rtsp else "rw_timeout": str(_SOCKET_TIMEOUT_US)}
        if self._rtsp:
            options["rtsp_transport"] = "tcp"
        quoted = self._url.replace("'", r"'\''")
        lines = ["ffconcat version 1.0", f"file '{quoted}'"]
        lines += [f"option {name} {value}" for name, value in options.items()]
        return "\n".join(lines).encode() + b"\n"
