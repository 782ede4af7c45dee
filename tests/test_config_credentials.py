"""The token among systemd's credentials."""

from pathlib import Path

import pytest

from beepwatch.config import telegram_token
from beepwatch.errors import ConfigurationError
from beepwatch.sections import Telegram


def token_of(directory: Path, content: str) -> str | None:
    """With this credential, and the token 3:c in a file."""
    (directory / "telegram-token").write_text(content)
    file = directory / "token"
    file.write_text("3:c")
    file.chmod(0o600)
    token = telegram_token(
        Telegram(token_file=str(file)), {"CREDENTIALS_DIRECTORY": str(directory)}
    )
    return token.reveal() if token else None


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_credential_is_none_so_that_the_service_starts_before_it_is_paired(
    tmp_path: Path, content: str
) -> None:
    assert token_of(tmp_path, content) == "3:c"


def test_a_credential_of_blanks_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the credential telegram-token is .* is empty"):
        token_of(tmp_path, "  \n")
