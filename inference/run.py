"""The mammography submission: find → verify → install → predict → write.

`inference.launch` runs it where no other command is set; alone, it does the same steps. Until the
wheels are installed only the standard library is imported; everything else after that, inside
functions.
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inference.boot import competition, install, mounted, prepare
from inference.boot.prepare import Request
from inference.errors import RunError

FAULT_OF_OURS = 70
RERUN = "KAGGLE_IS_COMPETITION_RERUN"
FINISH_ANYWAY = 0.2  # of the images may fail where a submission should be finished all the same


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
    on_failures: str
    max_failures: float
    expected_ids: dict[str, str]

    @property
    def request(self) -> Request:
        """Return which bundles are wanted, and from where."""
        return Request(
            input=self.input,
            scratch=self.scratch,
            expected_ids=self.expected_ids,
            needs_model=True,
        )

    @property
    def most_failures(self) -> float:
        """Return the share of images that may fail."""
        return FINISH_ANYWAY if self.on_failures == "finish" else self.max_failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the submission and return its exit code; expected errors become one message."""
    try:
        run(parse(arguments))
    except RunError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except Exception:  # noqa: BLE001 - a fault of ours, the one case with a traceback
        traceback.print_exc()
        return FAULT_OF_OURS
    return 0


def run(options: Options) -> None:
    """Find the bundles, install the wheels, predict the test set, write the submission."""
    start = prepare.started()
    prepared = prepare.prepare(options.request)
    install.activate(prepared.site)
    installed = time.monotonic() - start
    # From here on what was installed may be imported.
    from inference import console, golden, pipeline, predict, report, submission, workers
    from inference.deadline import Deadline

    images = submission.read_test(competition.find(options.input, options.competition))
    deadline = Deadline(limit=options.time_limit, at=options.at_deadline, start=start)
    with workers.Workers(options.workers or workers.default_count()) as decoding:
        replicas = predict.load(prepared.require_model(), options.device)
        models = replicas[0]
        opened = time.monotonic()
        golden.replay(prepared.require_model(), models)
        replayed = time.monotonic() - opened
        print(console.banner(prepared, replicas, images), flush=True)
        outcome = pipeline.run(
            images,
            replicas,
            decoding,
            batch_size=models[0].batch_size,
            flip=options.flip,
            deadline=deadline,
            progress=console.Progress(deadline),
        )
    outcome.seconds |= {"install": installed, "replay": replayed}
    report.check_failures(outcome, options.most_failures)
    report.check_deadline(outcome, deadline)
    card = predict.agreed(models)
    breasts = submission.aggregate(images, outcome.probabilities, card.aggregation)
    predictions, fallbacks = submission.decide(
        breasts, output=card.output, threshold=card.threshold, prevalence=card.prevalence
    )
    outcome.seconds["total"] = time.monotonic() - start
    summary = report.build(prepared, replicas, images, outcome, predictions, fallbacks, deadline)
    submission.write_json(options.output.with_suffix(".json"), summary)
    submission.write_csv(options.output, predictions)
    print(report.closing(summary, options.output), flush=True)


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line."""
    values = vars(_parser().parse_args(arguments))
    scratch = values["scratch"] or mounted.scratch_folder()
    scratch.mkdir(parents=True, exist_ok=True)
    values["scratch"] = scratch.resolve()
    values["expected_ids"] = dict(prepare.parse_expected(one) for one in values.pop("expect_id"))
    return Options(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference.run", description=__doc__)
    rerun = bool(os.environ.get(RERUN))
    add: Any = parser.add_argument
    add(
        "--input",
        type=Path,
        metavar="DIR",
        default=mounted.input_folder(),
        help="where the datasets are mounted (default: $RSNA_BUNDLE_INPUT, then /kaggle/input)",
    )
    add("--competition", metavar="SLUG", help="which folder with a test.csv, where there are more")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        default=Path("submission.csv"),
        help="the submission; submission.json goes beside it (default: %(default)s)",
    )
    add("--scratch", type=Path, metavar="DIR", help="where wheels are unpacked and installed")
    add("--workers", type=_positive, metavar="N", help="decoding workers (default: the CPUs)")
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="cuda stops where there is none; auto then warns (default: %(default)s)",
    )
    add("--flip", action="store_true", help="average each image with its mirror image")
    add("--time-limit", type=float, metavar="SECONDS", help="after which the run has ended")
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
        help="what to do with more failed images than --max-failures; finish goes on up to 20 %% "
        f"(default: stop, but finish where {RERUN} is set)",
    )
    add(
        "--max-failures",
        type=float,
        metavar="FRACTION",
        default=0.01,
        help="failed images that are accepted (default: %(default)s)",
    )
    add(
        "--expect-id",
        action="append",
        default=[],
        metavar="KIND=ID",
        help="stop unless this bundle is the one that is mounted (repeatable)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
