"""What is rehearsed, and on what: read once, before anything is checked or run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.errors import InputError
from bundler.image import target as targets
from bundler.image.target import Target
from bundler.notebook.submission import KINDS, NAME
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.run import limits
from bundler.rehearse.run.limits import Limits
from bundler.sandbox import backends, namespaces, offline
from bundler.sandbox.backends import SandboxError
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.errors import BundleError


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
    target = targets.load(options.settings.target, options.settings.root)
    return Inputs(
        options=options,
        target=target,
        bundles=_bundles(options.dist),
        notebook=_notebook(options.dist),
        backend=_backend(),
        limits=limits.read(options, target),
    )


def _bundles(dist: Path) -> dict[str, Bundle]:
    bundles: dict[str, Bundle] = {}
    for kind in KINDS:
        try:
            bundle = reader.read(dist / kind)
        except BundleError as error:
            raise InputError(f"{error} Build it with `rsna-bundle {kind}` first.") from error
        if bundle.kind != kind:
            raise InputError(
                f"{dist / kind} holds a {bundle.kind} bundle. Build the {kind} bundle with "
                f"`rsna-bundle {kind}`."
            )
        bundles[kind] = bundle
    return bundles


def _notebook(dist: Path) -> Path:
    path = dist / "notebook" / NAME
    if not path.is_file():
        raise InputError(f"{path} does not exist. Write it with `rsna-bundle notebook`.")
    return path


def _backend() -> str:
    chosen = backends.choose()
    if chosen is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in backends.reasons().items())
        raise SandboxError(f"{offline.why_not() or namespaces.ALLOW} ({reasons})")
    return chosen
