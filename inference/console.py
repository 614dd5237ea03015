"""What the run says while it goes on: what it is made of, and how far it is."""

import sys
import time
from collections.abc import Sequence

from inference.boot import install
from inference.boot.card import Checkpoint
from inference.boot.prepare import Prepared
from inference.deadline import Deadline
from inference.log import say
from inference.outcome import Outcome
from inference.predict import Replica
from inference.report import METRICS, device_warnings
from inference.submission import Table

EVERY = 10.0  # seconds between lines of progress in a log; a terminal's bar moves faster


def banner(prepared: Prepared, replicas: Sequence[Replica], table: Table) -> str:
    """Return what this run is made of: commit, checkpoint, wheels, images, device."""
    code, libs, model = prepared.code, prepared.libs, prepared.require_model()
    dirty = " with uncommitted changes" if code.code.dirty else ""
    target = install.fitting(libs.libs)
    breasts = len({image.prediction_id for image in table.images})
    twice = f"; {table.duplicates} rows were there before" if table.duplicates else ""
    lines = [
        f"code   {code.id[:12]}  commit {code.code.commit[:12]}{dirty}",
        *(
            f"model  {model.id[:12]}  {entry.arch}  {describe(checkpoint)}"
            for entry in model.model.models
            for checkpoint in entry.checkpoints
        ),
        *(f"       {entry.file}  {entry.proof_line}" for entry in model.model.models),
        f"libs   {libs.id[:12]}  {len(target.lock)} wheels for Python "
        f"{target.python}: {_pins(target.lock)}",
        f"test   {len(table.images)} images, {breasts} breasts{twice}",
        f"device {', '.join(replicas[0][0].providers)}"
        + (f", on {len(replicas)} devices" if len(replicas) > 1 else ""),
        *(f"warning: {warning}" for warning in device_warnings(replicas[0])),
    ]
    return "\n".join(lines)


def describe(checkpoint: Checkpoint) -> str:
    """Return one line about a checkpoint: its name, fold, epoch and metrics."""
    numbers = (("fold", checkpoint.fold), ("epoch", checkpoint.epoch))
    known = [f"{name} {number}" for name, number in numbers if number is not None]
    metrics = checkpoint.metrics
    shown = [name for name in METRICS if name in metrics] or list(metrics)[:3]
    return "  ".join([checkpoint.name, *known, *(f"{name} {metrics[name]:.3f}" for name in shown)])


def _pins(lock: Sequence[str]) -> str:
    pins = [line.split()[0] for line in lock]
    return ", ".join(pins[:8]) + (f" and {len(pins) - 8} more" if len(pins) > 8 else "")


class Progress:
    """A callback that prints how far the run is: a bar in a terminal, else a line now and then."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._terminal = sys.stdout.isatty()
        self._every = 0.2 if self._terminal else EVERY
        self._last = time.monotonic()
        self._line_is_open = False

    def __call__(self, outcome: Outcome) -> None:
        """Print where it is time to."""
        finished = outcome.done == outcome.total
        if time.monotonic() - self._last < self._every and not finished:
            return
        self._last = time.monotonic()
        text = self.line(outcome)
        if self._terminal:
            filled = 30 * outcome.done // outcome.total
            say(f"\r[{'#' * filled:30}] {text}\x1b[K", end="\n" if finished else "")
            self._line_is_open = not finished
        else:
            say(text)

    def close(self) -> None:
        """End the bar's line where the run ended before its last image."""
        if self._line_is_open:
            say("")
            self._line_is_open = False

    def line(self, outcome: Outcome) -> str:
        """Return how many images are done, how fast, and when the run will have ended."""
        line = f"{outcome.done}/{outcome.total} images"
        rate = self._deadline.rate(outcome.seen)  # what was skipped took no time
        end = self._deadline.projected(outcome.seen, outcome.total - len(outcome.skipped))
        if rate is None or end is None:
            return line
        line += f", {rate:.1f} images/s, {self._deadline.elapsed() / 60:.1f} of {end / 60:.1f} min"
        limit = self._deadline.limit
        if limit is not None and end > limit:
            line += f": beyond the limit of {limit / 60:.1f} min"
        return line
