"""A camera or a radio on the network, read by ffmpeg."""

from urllib.parse import urlsplit

from beepwatch.capture.pipes import Ffmpeg
from beepwatch.clock import Clock
from beepwatch.errors import ConfigurationError

_PROTOCOLS = "http,https,tls,tcp,rtsp,rtsps,rtp,udp,crypto,httpproxy"
_SOCKET_TIMEOUT_US = 10_000_000
_BLOCK_S = 0.1
SCHEMES = ("rtsp", "rtsps", "http", "https")


class NetworkStream:
    """`--source stream:URL`. A password in the URL is never shown."""

    live = True
    paced = False
    patience_s = 15.0  # connecting takes its time

    def __init__(self, url: str, clock: Clock) -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ConfigurationError(
                f"the source stream:{parts.scheme}… is no URL of {', '.join(SCHEMES)}. "
                "Write it as stream:rtsp://HOST/PATH or stream:http://HOST/PATH."
            )
        port = f":{parts.port}" if parts.port else ""
        self.name = f"stream:{parts.scheme}://{parts.hostname}{port}{parts.path}"
        self._url = url
        self._rtsp = parts.scheme.startswith("rtsp")
        self._clock = clock

    def open(self) -> Ffmpeg:
        """Start ffmpeg, which connects; whether it could is known at the first block."""
        timeout = ["-timeout" if self._rtsp else "-rw_timeout", str(_SOCKET_TIMEOUT_US)]
        transport = ["-rtsp_transport", "tcp"] if self._rtsp else []
        return Ffmpeg(
            ["-protocol_whitelist", _PROTOCOLS, *transport, *timeout, "-i", self._url],
            text=self.name,
            block_s=_BLOCK_S,
            clock=self._clock,
        )
