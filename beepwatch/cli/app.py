"""The command line's root, to which every module of verbs adds its own."""

import typer

from beepwatch.cli.options import example

app = typer.Typer(
    help="Listens for the beeps of household appliances and tells your phone.",
    epilog=example("beepwatch demo"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
