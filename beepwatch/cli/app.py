"""The command line's root, to which every module of verbs adds its own."""

import typer

app = typer.Typer(
    help="Listens for the beeps of household appliances and tells your phone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
