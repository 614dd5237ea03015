"""What checkpoints are ranked by: a metric and its better end, or the epoch."""

import math
from dataclasses import dataclass

from bundler.errors import UsageError
from bundler.model import metrics
from bundler.model.checkpoint import Checkpoint

LAST = "last"
BY_NAME = "best"  # the only one that is named so
USUAL = "pfbeta"  # the competition's metric: taken without asking where all record it


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What checkpoints are ranked by: a metric and its better end, or LAST or BY_NAME."""

    metric: str
    higher: bool = True

    @classmethod
    def of(cls, text: str) -> "Criterion":
        """Return what a text of --by names: METRIC, METRIC:max, METRIC:min or last. UsageError."""
        if text == LAST:
            return cls(metric=LAST)
        metric, _, end = text.rpartition(":") if text.endswith((":min", ":max")) else (text, "", "")
        if metrics.is_setting(metric):
            raise UsageError(
                f"{metric} is a setting or a count, no measure of quality: no checkpoint is better "
                "for it. Choose another metric in --by, or --by last."
            )
        direction = metrics.direction(metric)
        if direction is None and not end:
            raise UsageError(
                f"Is a high or a low {metric} better? Say --by {metric}:max or --by {metric}:min."
            )
        return cls(metric=metric, higher=end == "max" if end else direction == "higher")

    def value(self, one: Checkpoint) -> float | None:
        """Return a checkpoint's value of the metric, where it records one."""
        return metrics.find(one.metrics, self.metric)

    def goodness(self, one: Checkpoint) -> float:
        """Return what is higher for the better checkpoint."""
        value = self.value(one)
        if value is None or math.isnan(value):
            return -math.inf
        return value if self.higher else -value
