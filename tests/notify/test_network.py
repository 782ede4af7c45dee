"""What a request met is said plainly, whatever the libraries call it."""

import socket
import ssl

import pytest
from telegram.error import NetworkError, TimedOut

from beepwatch.notify.network import why
from beepwatch.secrecy import Secret
from tests.bot_api import TOKEN


def certificate(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def no_tls() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


def met(cause: BaseException, message: str = "httpx.ConnectError: as it was") -> NetworkError:
    """As the library raises it: httpx's error lies between."""
    between = OSError("All connection attempts failed")
    between.__cause__ = cause
    error = NetworkError(message)
    error.__cause__ = between
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            met(socket.gaierror(-3, "Temporary failure in name resolution")),
            "its name cannot be looked up (Temporary failure in name resolution)",
        ),
        (met(OSError(101, "Connect call failed ('1.2.3.4', 443)")), "Network is unreachable"),
        (
            met(ExceptionGroup("two", [OSError(111, "Connect call failed"), OSError(101, "")])),
            "Connection refused",
        ),
        (
            met(certificate(9, "certificate is not yet valid")),
            "its certificate is not accepted (certificate is not yet valid; is the clock right?)",
        ),
        (
            met(certificate(18, "self-signed certificate")),
            "its certificate is not accepted (self-signed certificate)",
        ),
        (met(no_tls()), "it does not speak TLS (WRONG_VERSION_NUMBER)"),
        (met(ValueError("x")), "as it was"),
        (met(ValueError("x"), "httpx.ReadError: "), "the connection broke off"),
        (met(ValueError("x"), f"httpx.ConnectError: /bot{TOKEN}/getMe."), "/bot[token]/getMe"),
        (TimedOut(), "no answer in time"),
        (NetworkError("Bad Gateway"), "Bad Gateway"),
    ],
)
def test_what_was_met_is_said_in_plain_words(error: NetworkError, said: str) -> None:
    assert why(error, Secret(TOKEN)) == said
