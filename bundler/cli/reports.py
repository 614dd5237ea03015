"""How a command answers: its result as JSON or text on standard output, progress beside it."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from bundler.progress import SILENT, LineProgress, Progress
from bundler.result import Json, Result
from bundler.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Published:
    """A bundle that was built, and then published."""

    built: Result
    published: Result

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {**self.built.as_dict(), "published": self.published.as_dict()}

    def summary(self) -> str:
        """Return the texts of both."""
        return f"{self.built.summary()}\n{self.published.summary()}"


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where one run of a command says what it does, and what came of it."""

    as_json: bool
    quiet: bool
    progress: Progress

    @classmethod
    def begin(cls, *, as_json: bool, quiet: bool) -> "Output":
        """Return the output that a command's options ask for."""
        return cls(as_json=as_json, quiet=quiet, progress=to_stderr(quiet=quiet))

    def report(self, result: Result) -> None:
        """Print a command's result: as JSON, as text, or not at all."""
        self.progress.close()
        if self.as_json:
            click.echo(json.dumps(result.as_dict(), indent=2, ensure_ascii=False))
        elif not self.quiet:
            click.echo(result.summary())

    def report_built(
        self, settings: Settings, built: Result, folder: Path, *, publish: bool
    ) -> None:
        """Report a bundle that was built, publishing it first where that was asked for."""
        if publish:
            from bundler.publish import bundles

            published = bundles.publish_folder(settings, folder, self.progress)
            built = Published(built=built, published=published)
        self.report(built)


def to_stderr(*, quiet: bool = False) -> Progress:
    """Return the progress that fits standard error: a terminal's, a pipe's, or none."""
    if quiet:
        return SILENT
    # A dumb terminal (an editor's shell, a CI log) cannot move its cursor: lines, then.
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from bundler.cli.terminal import TerminalProgress

        return TerminalProgress(sys.stderr)
    return LineProgress(sys.stderr)
