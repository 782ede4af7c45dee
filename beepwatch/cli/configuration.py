"""Verbs about the configuration."""

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import ConfigFile, example, load_settings, reachable_state
from beepwatch.config import display_values, telegram_token

config_app = typer.Typer(
    help="See where each setting comes from.",
    no_args_is_help=True,
    epilog=example("beepwatch config show"),
)
app.add_typer(config_app, name="config")


@config_app.command("check", epilog=example("beepwatch config check --config beepwatch.toml"))
def config_check(config: ConfigFile = None) -> int:
    """Say whether `run` can use it: keys, values, model, rules, token."""
    from beepwatch.classify.bundle import find_bundle, load_bundle
    from beepwatch.classify.engines import open_engine
    from beepwatch.classify.shelf import Shelf
    from beepwatch.daemon.planning import channel_names, check_rules

    loaded = load_settings(config)
    settings = loaded.config
    bundle = load_bundle(find_bundle(settings.model.bundle))
    open_engine(bundle, settings.model.runtime)
    labels = bundle.info.labels
    state = reachable_state(settings, loaded.file)
    check_rules(settings, labels, Shelf(state).digests())
    channel_names(settings.notify, telegram_token(settings.notify.telegram))
    typer.echo(f"{loaded.file or 'no configuration file; defaults'}: in order")
    return 0


@config_app.command("show", epilog=example("beepwatch config show"))
def config_show(config: ConfigFile = None) -> int:
    """Every setting, its value and where it comes from; no secrets."""
    for key, value, origin in display_values(load_settings(config)):
        typer.echo(f"{key} = {value}  # {origin}")
    return 0
