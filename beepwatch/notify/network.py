"""What a request met that got no answer of Telegram's, in words that name it plainly."""

import os
import socket
import ssl
from collections.abc import Iterator

from telegram.error import TelegramError, TimedOut

from beepwatch.notify.posting import short
from beepwatch.secrecy import Secret

_LONGEST = 200  # characters about a page that end up in the log
_NO_JSON = "Parsing the server response"
_CERTIFICATE_DATES = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, …_HAS_EXPIRED


def redact(text: str, secret: Secret) -> str:
    """The text without the secret: httpx and the server's own words repeat the URL it sits in."""
    for spelling in secret.spellings():
        text = text.replace(spelling, "[token]")
    return text


def why(error: TelegramError, token: Secret) -> str:
    """In a few words, without a full stop and without the token."""
    if isinstance(error, TimedOut):
        return "no answer in time"
    said = redact(error.message, token)
    if is_a_page(error):
        return short(f"what answers is not Telegram, perhaps a page to log in: {said}", _LONGEST)
    for cause in _causes(error):
        if isinstance(cause, OSError) and (found := _met(cause)):
            return redact(found, token)
    if said.startswith("httpx."):
        said = said.partition(": ")[2] or "the connection broke off"
    return said.rstrip(".")


def is_a_page(error: TelegramError) -> bool:
    """Whether it is a captive portal or a proxy that answered, with a page and any code."""
    return _NO_JSON in error.message


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The innermost last."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield from cause.exceptions if isinstance(cause, BaseExceptionGroup) else [cause]
        cause = cause.__cause__ or cause.__context__


def _met(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name cannot be looked up ({error.strerror})"
    if isinstance(error, ssl.SSLCertVerificationError):
        by_the_clock = error.verify_code in _CERTIFICATE_DATES
        ask = "; is the clock right?" if by_the_clock else ""
        return f"its certificate is not accepted ({error.verify_message}{ask})"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS ({error.reason})"
    return os.strerror(error.errno) if error.errno else ""
