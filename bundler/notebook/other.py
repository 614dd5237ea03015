"""The notebooks besides the submission's: where each is written, and with which options."""

from collections.abc import Sequence
from pathlib import Path

from bundler import process
from bundler.errors import CommandError, UsageError
from bundler.notebook import libs, training
from bundler.settings import Settings


def folder(dist: Path, kind: str) -> Path:
    """Return where a notebook of a kind lies, beside its metadata and its outputs."""
    return dist / f"{kind}-notebook"


def write_training(
    settings: Settings,
    dist: Path,
    *,
    repository: str | None,
    branch: str,
    overrides: Sequence[str],
    bucket: str | None,
) -> training.Written:
    """Write the training notebook; the repository is git's `origin` by default."""
    return training.write(
        folder(dist, "training"),
        repository=repository or _origin(settings.root),
        branch=branch,
        overrides=overrides,
        bucket=bucket,
    )


def write_libs(dist: Path, *, packages: Sequence[str]) -> libs.Written:
    """Write the notebook that builds wheels."""
    return libs.write(folder(dist, "libs"), packages)


def _origin(root: Path) -> str:
    try:
        return process.run(["git", "remote", "get-url", "origin"], cwd=root).stdout.strip()
    except CommandError as error:
        raise UsageError(
            f"{root} has no git remote `origin` that the notebook could fetch. Name one with "
            "--repository URL."
        ) from error
