"""What is rehearsed, and on what: read once, before anything is checked or run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler import bundle
from bundler.errors import InputError
from bundler.image import target as targets
from bundler.image.target import Target
from bundler.notebook import submission
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
    target: Target
    bundles: Mapping[str, Bundle]  # by kind
    notebook: Path
    backend: str  # of the sandbox
    limits: Limits


def read(options: RehearseOptions) -> Inputs:
    """Read bundles and target, and find out how to make a sandbox. Raises BundlerError."""
    bundles, notebook = _bundles(options), _notebook(options.dist)
    target = targets.load(options.settings.target, options.settings.root)
    return Inputs(
        options=options,
        target=target,
        bundles=bundles,
        notebook=notebook,
        backend=backends.require(options.backend),
        limits=limits.read(options, target),
    )


def _bundles(options: RehearseOptions) -> dict[str, Bundle]:
    """Read the bundles that the notebook needs: a command of one's own may do without a model."""
    kinds = submission.kinds(options.dist, submission.plan(options.settings))
    return {kind: bundle.read(options.dist / kind, kind) for kind in kinds}


def _notebook(dist: Path) -> Path:
    path = dist / "notebook" / NAME
    if not path.is_file():
        raise InputError(f"{path} does not exist. Write it with `rsna-bundle notebook`.")
    return path
