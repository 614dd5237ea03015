"""What a command says: its result as JSON or as text for people, its progress while it runs."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bundler.settings import Settings


def report(result: dict[str, Any], text: str, *, as_json: bool, quiet: bool, **_: Any) -> None:
    """Print a command's result: as JSON, as text for people, or not at all."""
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    elif not quiet:
        click.echo(text)


def report_built(
    settings: Settings,
    built: Any,
    place: Path,
    *,
    publish: bool,
    as_json: bool,
    quiet: bool,
    **_: Any,
) -> None:
    """Report a bundle that was built, once it is published where that was asked for."""
    result, text = built.as_dict(), built.summary()
    if publish:
        from bundler.publish import bundles

        done = bundles.publish_folder(settings, place, tell(quiet))
        result, text = result | {"published": done.as_dict()}, f"{text}\n{done.summary()}"
    report(result, text, as_json=as_json, quiet=quiet)


def tell(quiet: bool) -> Callable[[str], None]:
    """Return what a command tells its progress by: standard error, or nothing."""
    return (lambda text: None) if quiet else functools.partial(click.echo, err=True)
