"""Verbs about the Telegram bot."""

import sys

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    example,
    load_settings,
    settings_and_token,
    start_logging,
)
from beepwatch.config import TOKEN_VARIABLE, NoTokenFile, forget_the_token, telegram_token
from beepwatch.errors import ConfigurationError

telegram_app = typer.Typer(
    help="Connect a Telegram bot.", no_args_is_help=True, epilog=example("beepwatch telegram pair")
)
app.add_typer(telegram_app, name="telegram")


@telegram_app.command("pair", epilog=example("beepwatch telegram pair"))
def telegram_pair(config: ConfigFile = None) -> int:
    """Find the chat by itself: open the link, send the code, done."""
    from beepwatch.config import default_file
    from beepwatch.notify import bot

    start_logging("error")  # what the chat or the network did not take is said in words
    loaded = load_settings(config)
    telegram = loaded.config.notify.telegram
    try:
        token = telegram_token(telegram)
    except NoTokenFile:  # it is written there now
        token = None
    bot.pair(
        telegram,
        config_file=config or loaded.file or default_file(),
        token=token,
        ask=_asked_for_the_token,
        say=typer.echo,
    )
    return 0


def _asked_for_the_token() -> str:
    """What is typed, unseen, or the first line of what is piped in."""
    if sys.stdin.isatty():
        return str(typer.prompt("The bot's token, from @BotFather", hide_input=True, type=str))
    if piped := sys.stdin.readline().strip():
        return piped
    raise ConfigurationError(
        f"there is no token, and nobody to ask for one. Run it in a terminal, or set "
        f"{TOKEN_VARIABLE} to what @BotFather gave."
    )


@telegram_app.command("test", epilog=example("beepwatch telegram test"))
def telegram_test(config: ConfigFile = None) -> int:
    """Send a message with a short beep to every configured chat."""
    from beepwatch.clock import SystemClock
    from beepwatch.notify import bot

    start_logging("error")  # what the chat or the network did not take is said in words
    settings, token = settings_and_token(config)
    forget_the_token()  # pydub would hand it to ffmpeg
    notify = settings.notify
    bot.send_test(
        notify.telegram, token=token, room=notify.room, now=SystemClock().utc(), say=typer.echo
    )
    return 0
