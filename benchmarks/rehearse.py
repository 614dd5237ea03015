"""`python -m benchmarks rehearse --dist DIR`: what a rehearsal costs, and how true it projects.

Overhead: the rehearsal's wall time less that of the bare run, which is the same notebook on the
same images without a sandbox. Projection: a competition of phantoms is rehearsed on a share of its
patients, then run whole in the same sandbox; the projected wall time is compared with the true one.
Two rehearsals, before and after the whole run, are averaged: another program's load drifts.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bundler import process, settings
from bundler.competition.screening import hidden_test
from bundler.notebook import execute
from bundler.notebook.submission import NAME
from bundler.rehearse import RehearseOptions, run
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
        said = measure(options, competition, Path(folder))
    print(json.dumps(said, indent=2) if options.as_json else text(said))
    return 0


def measure(options: argparse.Namespace, competition: Path, scratch: Path) -> dict[str, Any]:
    """Rehearse a share, run it bare, and run the whole."""
    few = max(round(options.patients * options.share), 1)
    images = sum(1 for _ in (competition / "train.csv").open()) - 1
    bare = bare_run(options, competition, few, scratch)
    both = rehearse(options, competition, few, images, ("new", "legacy"))
    one = rehearse(options, competition, few, images, ("new",))
    whole = rehearse(options, competition, options.patients, images, ("new",))
    again = rehearse(options, competition, few, images, ("new",))
    assert one.projection is not None
    assert again.projection is not None
    truth = whole.timeline[-1].end
    projected = (one.projection.seconds + again.projection.seconds) / 2
    return {
        "images": images,
        "rehearsed_patients": few,
        "bare_seconds": bare,
        "one_layout_seconds": one.seconds,
        "both_layouts_seconds": both.seconds,
        "overhead_one_layout": one.seconds - bare,
        "overhead_both_layouts": both.seconds - bare,
        "projected_before": one.projection.seconds,
        "projected_after": again.projection.seconds,
        "projected_low": min(one.projection.seconds_low, again.projection.seconds_low),
        "projected_high": max(one.projection.seconds_high, again.projection.seconds_high),
        "projected_seconds": projected,
        "true_seconds": truth,
        "projected_to_true": projected / truth,
        "load": os.getloadavg()[1],
        "passed": [one.passed, both.passed, whole.passed],
    }


def rehearse(
    options: argparse.Namespace,
    competition: Path,
    patients: int,
    images: int,
    layouts: tuple[str, ...],
) -> Rehearsal:
    """Rehearse some patients of the competition; the hidden test has all its images."""
    chosen = replace(settings.load(), target=options.target, hidden_units=images)
    return run(
        RehearseOptions(
            settings=chosen,
            dist=options.dist,
            out=options.dist / "rehearsal",
            units=patients,
            competition_dir=competition,
            layouts=layouts,
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
    for kind in ("libs", "model", "code"):
        place = mounted / "datasets" / "owner" / kind
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to((options.dist / kind).resolve())
    working = scratch / "working"
    working.mkdir()
    (scratch / "tmp").mkdir()
    notebooks = [options.dist.resolve() / "notebook" / NAME, working / "executed.ipynb"]
    python = options.python or Path(sys.executable)
    words = [sys.executable, execute.__file__, *notebooks, "--python", python]
    environment = os.environ | {
        "RSNA_BUNDLE_INPUT": str(mounted),
        "TMPDIR": str(scratch / "tmp"),
        "KAGGLE_IS_COMPETITION_RERUN": "1",
    }
    start = time.perf_counter()
    process.run(words, cwd=working, env=environment)
    return time.perf_counter() - start


def text(said: dict[str, Any]) -> str:
    """Return the figures for people."""
    return (
        f"{said['rehearsed_patients']} patients rehearsed: bare run {said['bare_seconds']:.1f} s, "
        f"overhead {said['overhead_one_layout']:.1f} s with one layout, "
        f"{said['overhead_both_layouts']:.1f} s with both\n"
        f"{said['images']} images: projected {said['projected_before']:.1f} s before and "
        f"{said['projected_after']:.1f} s after (90 %: {said['projected_low']:.1f} to "
        f"{said['projected_high']:.1f}), took "
        f"{said['true_seconds']:.1f} s: {said['projected_to_true']:.2f} ×\n"
        f"passed: {said['passed']}; load of the last five minutes {said['load']:.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
