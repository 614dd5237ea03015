"""`rsna-bundle libs`: wheelhouse.txt → lock → wheels → a bundle."""

from pathlib import Path

import click

from bundler.cli.options import ANY_PATH, out_option, publish_option, reporting
from bundler.cli.reports import Output
from bundler.settings import Settings


@click.command()
@click.option(
    "--requirements",
    type=ANY_PATH,
    metavar="FILE[[EXTRA]][:GROUP]",
    help="The list of packages, or pyproject.toml, uv.lock or pylock.toml, of which EXTRA or GROUP "
    "(default: from the settings).",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="The notebook's image: a name, a JSON file, a digest, or `host` for this machine; "
    "repeatable, for one bundle that serves several (default: from the settings).",
)
@click.option(
    "--resolver",
    type=click.Choice(["uv", "pip-tools"]),
    default="uv",
    show_default=True,
    help="The program that resolves the requirements.",
)
@click.option("--no-delta", is_flag=True, help="Include packages that the image already has.")
@click.option("--allow-sdist", is_flag=True, help="Ship an sdist where a wheel cannot be built.")
@click.option("--audit", type=ANY_PATH, help="Report known vulnerabilities (a file of OSV data).")
@click.option("--no-install-test", is_flag=True, help="Do not install and import the result here.")
@click.option(
    "--allow-import-failure",
    multiple=True,
    metavar="NAME",
    help="Accept that this package cannot be imported here (a GPU library); repeatable.",
)
@click.option("--no-proof", "no_install_test", is_flag=True, hidden=True)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the lock is stale.")
@click.option(
    "--upgrade",
    multiple=True,
    is_flag=False,
    flag_value="",
    metavar="[PKG[,PKG...]]",
    help="Upgrade these locked packages, or all if none is named; repeatable.",
)
@out_option("dist/libs; dist/libs-host for `host`")
@publish_option
@reporting
@click.pass_obj
def libs(
    settings: Settings,
    /,
    requirements: Path | None,
    targets: tuple[str, ...],
    resolver: str,
    no_delta: bool,
    allow_sdist: bool,
    audit: Path | None,
    no_install_test: bool,
    allow_import_failure: tuple[str, ...],
    check: bool,
    upgrade: tuple[str, ...],
    out: Path | None,
    publish: bool,
    output: Output,
) -> None:
    """Bundle the packages that the notebook's image lacks.

    Resolves the requirements for the image, writes a lock with hashes beside them, fetches the
    wheels, and tests that they install and import.
    """
    from bundler.libs.build import build
    from bundler.libs.options import LibsOptions
    from bundler.notebook import folders

    if check and publish:
        raise click.UsageError("--check writes nothing, so there is nothing to --publish.")
    names = tuple(dict.fromkeys(targets)) or settings.target
    options = LibsOptions(
        requirements=requirements or settings.root / settings.requirements,
        targets=names,
        out=out or folders.new_libs(settings.dist, names),
        resolver=resolver,
        delta=not no_delta,
        allow_sdist=allow_sdist,
        install_test=not no_install_test,
        allow_import_failure=allow_import_failure,
        audit=audit,
        check=check,
        upgrade=_packages(upgrade),
        progress=output.progress,
    )
    output.report_built(settings, build(options), options.out, publish=publish)


def _packages(upgrade: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return what to upgrade: None for nothing, () for everything, else these packages."""
    if not upgrade:
        return None
    if "" in upgrade:  # --upgrade without a name
        return ()
    packages = [name.strip() for text in upgrade for name in text.split(",")]
    if not all(packages):
        raise click.UsageError(f"--upgrade {' '.join(upgrade)} has an empty package name.")
    return tuple(packages)
