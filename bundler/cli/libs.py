"""`rsna-bundle libs`: wheelhouse.txt → lock → wheels → a bundle."""

from pathlib import Path
from typing import Any

import click

from bundler.cli.options import common, publish_option
from bundler.cli.reports import report_built
from bundler.progress import to_stderr
from bundler.settings import Settings


@click.command()
@common
@click.option("--requirements", type=click.Path(path_type=Path), help="The list of packages.")
@click.option("--target", help="The machine: a name, a file, or `host`.")
@click.option("--resolver", type=click.Choice(["uv", "pip-tools"]), default="uv", show_default=True)
@click.option("--no-delta", is_flag=True, help="Ship what the image has, too.")
@click.option("--allow-sdist", is_flag=True, help="Ship what compiles, to be built there.")
@click.option("--audit", type=click.Path(path_type=Path), help="Advisories in the OSV format.")
@click.option("--no-proof", is_flag=True, help="Do not install and import the bundle here.")
@click.option("--check", is_flag=True, help="Exit with 1 where the lock is stale; write nothing.")
@click.option("--upgrade", is_flag=False, flag_value="", metavar="[PKG]", help="Resolve anew.")
@publish_option
@click.pass_obj
def libs(settings: Settings, /, **given: Any) -> None:
    """Bundle the packages that the notebook's image lacks, with their hashes."""
    from bundler.libs.build import build
    from bundler.libs.options import LibsOptions

    if given["check"] and given["publish"]:
        raise click.UsageError("--check writes nothing, so there is nothing to --publish.")
    upgrade = given["upgrade"]
    options = LibsOptions(
        requirements=given["requirements"] or settings.root / settings.requirements,
        target=given["target"] or settings.target,
        out=given["out"] or settings.dist / "libs",
        resolver=given["resolver"],
        delta=not given["no_delta"],
        allow_sdist=given["allow_sdist"],
        install_test=not given["no_proof"],
        audit=given["audit"],
        check=given["check"],
        upgrade=None if upgrade is None else tuple(upgrade.split(",")) if upgrade else (),
        progress=to_stderr(quiet=given["quiet"] or given["as_json"]),
    )
    report_built(settings, build(options), options.out, **given)
