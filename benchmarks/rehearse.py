"""`python -m benchmarks rehearse --dist DIR`: what a rehearsal costs, and how true it projects.

Overhead: the rehearsal's wall time, by default and with `--quick`, less that of the bare run, which
is the same notebook on the same images without a sandbox. Projection: a competition of phantoms is
rehearsed on a share of its patients, then run whole in the same sandbox; the projected wall time is
compared with the true one. Two rehearsals, before and after the whole run, are averaged: another
program's load drifts.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bundler import process, settings
from bundler.competition.screening import hidden_test
from bundler.notebook import execute
from bundler.notebook.submission import NAME
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.rehearsal import run
from bundler.rehearse.result import Rehearsal
from train.phantom import write_competition


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rehearse", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--dist", type=Path, default=Path("dist/demo"))
    parser.add_argument("--target", default="host")
    parser.add_argument("--python", type=Path, help="the notebook's (default: made)")
    parser.add_argument("--patients", type=int, default=490, help="of the whole set; 4 images each")
    parser.add_argument("--competition-dir", type=Path, help="phantoms drawn before (else: drawn)")
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 832), metavar=("H", "W"))
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        competition = options.competition_dir or Path(folder) / "competition"
        if not competition.is_dir():
            write_competition(
                competition, patients=options.patients, size=tuple(options.size), workers=2
            )
        figures = measure(options, competition, Path(folder))
    print(json.dumps(asdict(figures), indent=2) if options.as_json else figures.summary())
    return 0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured; seconds."""

    images: int
    rehearsed_patients: int
    bare: float
    quick: float
    default: float
    projected_before: float
    projected_after: float
    projected_low: float
    projected_high: float
    truth: float
    load: float  # of the last five minutes
    passed: tuple[bool, ...]

    def summary(self) -> str:
        """Return the figures for people."""
        projected = (self.projected_before + self.projected_after) / 2
        return (
            f"{self.rehearsed_patients} patients rehearsed: bare run {self.bare:.1f} s, overhead "
            f"{self.default - self.bare:.1f} s, {self.quick - self.bare:.1f} s with --quick\n"
            f"{self.images} images: projected {self.projected_before:.1f} s before and "
            f"{self.projected_after:.1f} s after (90 %: {self.projected_low:.1f} to "
            f"{self.projected_high:.1f}), took {self.truth:.1f} s: {projected / self.truth:.2f} ×\n"
            f"passed: {list(self.passed)}; load of the last five minutes {self.load:.1f}"
        )


def measure(options: argparse.Namespace, competition: Path, scratch: Path) -> Figures:
    """Rehearse a share, run it bare, and run the whole."""
    few = max(round(options.patients * options.share), 1)
    images = sum(1 for _ in (competition / "train.csv").open()) - 1
    bare = bare_run(options, competition, few, scratch)
    quick = rehearse(options, competition, few, images, quick=True)
    one = rehearse(options, competition, few, images)
    whole = rehearse(options, competition, options.patients, images, quick=True)
    again = rehearse(options, competition, few, images)
    assert one.projection is not None
    assert again.projection is not None
    return Figures(
        images=images,
        rehearsed_patients=few,
        bare=bare,
        quick=quick.seconds,
        default=one.seconds,
        projected_before=one.projection.seconds,
        projected_after=again.projection.seconds,
        projected_low=min(one.projection.seconds_low, again.projection.seconds_low),
        projected_high=max(one.projection.seconds_high, again.projection.seconds_high),
        truth=whole.timeline[-1].end,
        load=os.getloadavg()[1],
        passed=(one.passed, quick.passed, whole.passed),
    )


def rehearse(
    options: argparse.Namespace,
    competition: Path,
    patients: int,
    images: int,
    *,
    quick: bool = False,
) -> Rehearsal:
    """Rehearse some patients of the competition; the hidden test has all its images."""
    chosen = replace(settings.load(), target=(options.target,), hidden_units=images)
    return run(
        RehearseOptions(
            settings=chosen,
            dist=options.dist,
            out=options.dist / "rehearsal",
            units=patients,
            competition_dir=competition,
            quick=quick,
            python=options.python,
        )
    )


def bare_run(options: argparse.Namespace, competition: Path, patients: int, scratch: Path) -> float:
    """Return the wall seconds of the notebook on the same images, without a rehearsal."""
    mounted = scratch / "input"
    slug = settings.load().competition
    hidden_test.write(
        mounted / "competitions" / slug,
        patients=patients,
        competition=competition,
        phantom_size=tuple(options.size),
    )
    datasets = mounted / "datasets" / "owner"
    datasets.mkdir(parents=True)
    for kind in ("libs", "model", "code"):
        (datasets / kind).symlink_to((options.dist / kind).resolve())
    working = scratch / "working"
    working.mkdir()
    (scratch / "tmp").mkdir()
    notebooks = [options.dist.resolve() / "notebook" / NAME, working / "executed.ipynb"]
    python = options.python or Path(sys.executable)
    command = [sys.executable, execute.__file__, *notebooks, "--python", python]
    environment = os.environ | {
        "RSNA_BUNDLE_INPUT": str(mounted),
        "TMPDIR": str(scratch / "tmp"),
        "KAGGLE_IS_COMPETITION_RERUN": "1",
    }
    start = time.perf_counter()
    process.run(command, cwd=working, env=environment)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
