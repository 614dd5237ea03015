"""`rsna-bundle target`: describe the machine that the notebook runs on, and what moved there."""

from pathlib import Path

import click

from bundler.cli.options import FILE, FOLDER, reporting
from bundler.cli.reports import Output
from bundler.settings import Settings


@click.group()
def target() -> None:
    """Describe the image that the notebook runs on."""


@target.command()
@click.option("--out", type=FILE, help="The file to write.")
@click.option("--name", default="captured", show_default=True, help="The target's name.")
@click.option("--script", is_flag=True, help="Print a script that captures, for a notebook.")
@click.option("--push", is_flag=True, help="Capture Kaggle's image, with a notebook there.")
@reporting
@click.pass_obj
def capture(
    settings: Settings, /, out: Path | None, name: str, script: bool, push: bool, output: Output
) -> None:
    """Describe this machine, or Kaggle's image, as a target."""
    from bundler.image import captured

    if push:
        from bundler.publish import notebooks

        path = out or settings.root / "target.json"
        output.report(notebooks.capture(settings, path, name, output.progress))
    elif script:
        click.echo(captured.capture_script())
    else:
        output.report(captured.capture(name, out))


@target.command()
@click.argument("name", required=False)
@reporting
@click.pass_obj
def show(settings: Settings, /, name: str | None, output: Output) -> None:
    """Show a target by name, file or digest."""
    from bundler.image import target

    output.report(target.load(name or settings.target[0], settings.root))


@target.command()
@click.argument("old")
@click.argument("new")
@reporting
@click.pass_obj
def diff(settings: Settings, /, old: str, new: str, output: Output) -> None:
    """Show what changed between two targets (names, files, digests)."""
    from bundler.image import difference, target

    targets = [target.load(name, settings.root) for name in (old, new)]
    output.report(difference.between(*targets))


@target.command()
@click.option("--name", required=True, help="The target's name.")
@click.option(
    "--base",
    type=FILE,
    required=True,
    help="The `pip freeze` of the image that Kaggle's begins with (googlecolab/backend-info).",
)
@click.option(
    "--layer",
    type=FOLDER,
    required=True,
    help="A checkout of Kaggle/docker-python, which adds to it.",
)
@click.option(
    "--like",
    multiple=True,
    metavar="TARGET",
    help="Take the machine, and what is known of packages at the same version, from this target; "
    "repeatable, for what others know of packages (default: from the settings).",
)
@click.option("--python", metavar="X.Y.Z", help="The image's Python (default: as --like).")
@click.option("--image", metavar="REFERENCE", help="The image, such as NAME@sha256:….")
@click.option(
    "--seen",
    multiple=True,
    metavar="NAME==VERSION",
    help="A version that was seen in the image; repeatable.",
)
@click.option("--out", type=FILE, required=True, help="The file to write.")
@reporting
@click.pass_obj
def make(
    settings: Settings,
    /,
    name: str,
    base: Path,
    layer: Path,
    like: tuple[str, ...],
    python: str | None,
    image: str | None,
    seen: tuple[str, ...],
    out: Path,
    output: Output,
) -> None:
    """Make a target of public lists, without the image."""
    from bundler.image import making

    options = making.MakeOptions(
        name=name,
        base=base,
        layer=layer,
        like=like or settings.target,
        root=settings.root,
        python=python,
        image=image,
        seen=seen,
        out=out,
    )
    output.report(making.make(options))
