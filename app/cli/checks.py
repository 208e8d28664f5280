"""check, openapi: what the configuration comes to, and what the API looks like."""

import json

import typer

from app.config import Settings, load_settings
from app.core.settings_shown import masked, warnings


def check() -> None:
    """Show the settings in effect, secrets masked, and what to look at before production."""
    settings = load_settings()
    for section in Settings.__bases__:
        for name in getattr(section, "model_fields", {}):
            typer.echo(f"{name}={masked(name, getattr(settings, name))}")
    for warning in warnings(settings):
        typer.echo(f"warning: {warning}", err=True)


def openapi() -> None:
    """Print the OpenAPI document."""
    from app.main import create_app

    typer.echo(json.dumps(create_app(load_settings()).openapi(), indent=2))
