"""`rsna-bundle rehearse`: run the notebook here as Kaggle will."""

import sys
from pathlib import Path

import click

from bundler import settings as settings_module
from bundler.cli.options import (
    EXISTING_FILE,
    FOLDER,
    competition_dir_option,
    competition_option,
    reporting,
    run_option,
    time_limit_option,
)
from bundler.cli.reports import Output
from bundler.sandbox import backends
from bundler.settings import Settings


@click.command()
@click.option(
    "--units",
    "--patients",
    "units",
    type=click.IntRange(min=0),  # 0: the awkward cases alone
    metavar="N",
    help="The size of the hidden test set made here: rows, studies or, for mammography, patients "
    "(default: 6, or fewer where each takes long).",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long all runs together should take (default: 40): larger hidden tests show growth "
    "better.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Run the notebook once. Growth with the test set is then not known.",
)
@competition_dir_option
@click.option(
    "--target",
    metavar="NAME",
    help="The notebook's image: a name, a JSON file, or `host` (default: from the settings).",
)
@competition_option
@run_option
@click.option(
    "--hidden-units",
    type=click.IntRange(min=1),
    metavar="N",
    help="The size of Kaggle's hidden test set, to project the time to "
    "(default: from the settings).",
)
@click.option("--hidden-images", "hidden_units", type=click.IntRange(min=1), hidden=True)
@time_limit_option
@click.option(
    "--backend",
    type=click.Choice(backends.NAMES),
    help="How the sandbox is made (default: the first of the last three that works). With docker "
    "or podman the notebook runs in its very image.",
)
@click.option(
    "--image",
    metavar="REFERENCE",
    help="With --backend docker or podman: the notebook's image, such as NAME@sha256:…, or the "
    "folder of a root file system (default: the target's).",
)
@click.option(
    "--stall-minutes",
    type=click.FloatRange(min=0.1),
    default=5,
    show_default=True,
    metavar="N",
    help="End a run that does nothing for so long, and say where its threads stand.",
)
@click.option(
    "--layout",
    "layouts",
    multiple=True,
    type=click.Choice(["new", "legacy"]),
    help="How Kaggle mounts datasets; repeatable (default: both).",
)
@click.option(
    "--python",
    type=EXISTING_FILE,
    help="A Python with pip and ipykernel to run the notebook (default: one made for the target).",
)
@click.option("--dist", type=FOLDER, help="The folder with bundles and notebook (default: dist).")
@click.option("--out", type=FOLDER, help="The folder for the report (default: dist/rehearsal).")
@reporting
@click.pass_obj
def rehearse(
    settings: Settings,
    /,
    units: int | None,
    budget: float | None,
    quick: bool,
    competition_dir: Path | None,
    target: str | None,
    competition: str | None,
    run: str | None,
    hidden_units: int | None,
    time_limit_hours: float | None,
    backend: str | None,
    image: str | None,
    stall_minutes: float,
    layouts: tuple[str, ...],
    python: Path | None,
    dist: Path | None,
    out: Path | None,
    output: Output,
) -> None:
    """Run the notebook here the way Kaggle will.

    The network is cut, inputs are read-only, and damaged and unusual files are among the hidden
    test set. It is dealt from the competition's files; for mammography without them, from made-up
    images. Exits with 1 if a check fails.
    """
    from bundler.rehearse import rehearsal
    from bundler.rehearse.options import RehearseOptions

    folder = dist or settings.dist
    options = RehearseOptions(
        settings=settings_module.override(
            settings,
            target=(target,) if target else (),
            competition=competition,
            run=run,
            hidden_units=hidden_units,
            time_limit_hours=time_limit_hours,
        ),
        dist=folder,
        out=out or folder / "rehearsal",
        units=units,
        budget=RehearseOptions.budget if budget is None else budget,
        quick=quick,
        competition_dir=competition_dir or settings.competition_folder,
        python=python,
        backend=backend,
        image=image,
        stall_seconds=60 * stall_minutes,
        layouts=layouts or RehearseOptions.layouts,
        progress=output.progress,
    )
    result = rehearsal.run(options)
    output.report(result)
    if not result.passed:
        sys.exit(1)
