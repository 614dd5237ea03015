"""What is rehearsed, and on what: read once, before anything is checked or run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler import bundle
from bundler.errors import InputError
from bundler.image import target as targets
from bundler.image.target import Target
from bundler.notebook import folders, submission
from bundler.notebook.submission import NAME
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.run import limits
from bundler.rehearse.run.limits import Limits
from bundler.sandbox import backends
from inference.boot.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The bundles and the notebook, the target that they were made for, and this machine."""

    options: RehearseOptions
    target: Target  # that is emulated: the first of the settings
    targets: tuple[Target, ...]  # all that the bundles must fit
    bundles: Mapping[str, Bundle]  # by kind
    notebook: Path
    backend: str  # of the sandbox
    limits: Limits


def read(options: RehearseOptions) -> Inputs:
    """Read bundles and target, and find out how to make a sandbox. Raises BundlerError."""
    bundles, notebook = _bundles(options), _notebook(options.dist)
    settings = options.settings
    loaded = tuple(targets.load(name, settings.root) for name in settings.target)
    return Inputs(
        options=options,
        target=loaded[0],
        targets=loaded,
        bundles=bundles,
        notebook=notebook,
        backend=backends.require(options.backend),
        limits=limits.read(options, loaded[0]),
    )


def _bundles(options: RehearseOptions) -> dict[str, Bundle]:
    """Read the bundles that the notebook needs: a command of one's own may do without a model."""
    plan = submission.plan(options.settings)
    return {
        kind: bundle.read(folders.folder(options.dist, kind, plan.targets), kind)
        for kind in submission.kinds(options.dist, plan)
    }


def _notebook(dist: Path) -> Path:
    path = dist / "notebook" / NAME
    if not path.is_file():
        raise InputError(f"{path} does not exist. Write it with `rsna-bundle notebook`.")
    return path
