"""The command line of the mammography runner: the standard library only."""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inference.boot import mount_options
from inference.boot.prepare import Request
from inference.errors import UsageError
from inference.output import IMAGES

RERUN = "KAGGLE_IS_COMPETITION_RERUN"
STRICT = 0.01  # of the images may fail
FINISH_ANYWAY = 0.2  # where a submission should be finished all the same


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    input: Path
    competition: str | None
    output: Path
    scratch: Path
    workers: int | None
    device: str
    flip: bool
    time_limit: float | None
    at_deadline: Literal["stop", "coarse"]
    on_failures: Literal["stop", "finish"]
    max_failures: float | None
    seed: bool
    expected_ids: Mapping[str, str]

    @property
    def request(self) -> Request:
        """Return which bundles are wanted, and from where."""
        return Request(
            input=self.input,
            scratch=self.scratch,
            expected_ids=self.expected_ids,
            needs_model=True,
        )


def is_rerun() -> bool:
    """Say whether this is the competition's own run, whose result counts."""
    return bool(os.environ.get(RERUN))


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line. Raises UsageError, or ends with exit code 2."""
    values = mount_options.parsed(vars(_parser().parse_args(arguments)))
    output = values["output"]
    if output.suffix == ".json" or output.name == IMAGES:
        raise UsageError(f"--output {output}: a file of that name goes beside it; use another.")
    return Options(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.run",
        description="The mammography submission: find → verify → install → predict → write.",
        parents=[mount_options.parser()],
    )
    rerun = is_rerun()
    add: Any = parser.add_argument
    add(
        "--output",
        type=Path,
        metavar="FILE",
        default=Path("submission.csv"),
        help="the submission; submission.json goes beside it (default: %(default)s)",
    )
    add(
        "--no-seed",
        action="store_false",
        dest="seed",
        help="write the submission at the end only, and only where the run succeeds; otherwise "
        "there is one from the start, with the fallback for every row",
    )
    add("--workers", type=_positive, metavar="N", help="decoding workers (default: the CPUs)")
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="cuda stops where there is none; auto then warns (default: %(default)s)",
    )
    add("--flip", action="store_true", help="average each image with its mirror image")
    add("--time-limit", type=_seconds, metavar="SECONDS", help="after which the run has ended")
    add(
        "--at-deadline",
        choices=("stop", "coarse"),
        default="coarse" if rerun else "stop",
        help="where time is short: stop with an error, or finish with the fastest settings "
        f"(default: stop, but coarse where {RERUN} is set)",
    )
    add(
        "--on-failures",
        choices=("stop", "finish"),
        default="finish" if rerun else "stop",
        help="how many images may fail: 1 %%, or with finish 20 %%; on a competition's rerun "
        "finish counts the breasts without a prediction of their own instead "
        f"(default: stop, but finish where {RERUN} is set)",
    )
    add(
        "--max-failures",
        type=_share,
        metavar="FRACTION",
        help="share of the images that may fail, be left out or be suspicious, whatever "
        "--on-failures says",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:  # NaN is not, either
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share between 0 and 1")
    return share
