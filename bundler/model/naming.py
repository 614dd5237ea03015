"""What a checkpoint's file name says: fold, epoch and metrics.

The names seen in the field: `model_fold1_epoch49_vacc0.545_vpfbeta0.504.pth`,
`fold0_epoch02_vpfbeta0.504.pt`, `epoch=12-val_loss=0.123.ckpt`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_FOLD = re.compile(r"(?:^|[^a-z])fold[=_-]?(\d+)", re.IGNORECASE)
_EPOCH = re.compile(r"(?:^|[^a-z])(?:epoch|ep)[=_-]?(\d+)", re.IGNORECASE)
_METRIC = re.compile(r"(?:^|[_\- ])([A-Za-z][A-Za-z_]*?(?:(?<=f)1)?)[=-]?(\d*\.\d+)(?=$|[_\- ])")
MOST_SHOWN = 4
_TELLING = ("pfbeta", "pf1", "best_f1", "pr_auc", "roc_auc", "auc", "acc", "loss")
_LOWER_IS_BETTER = ("loss", "error", "mae", "rmse", "brier")


@dataclass(frozen=True, kw_only=True)
class Named:
    """What was read from a name; None where the name does not hold it."""

    fold: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def parse(stem: str) -> Named:
    """Read fold, epoch and metrics from a file name without its extension."""
    fold, epoch = _FOLD.search(stem), _EPOCH.search(stem)
    metrics = {match[1].strip("_"): float(match[2]) for match in _METRIC.finditer(stem)}
    return Named(
        fold=int(fold[1]) if fold else None,
        epoch=int(epoch[1]) if epoch else None,
        metrics={name: value for name, value in metrics.items() if name not in ("fold", "epoch")},
    )


def find_metric(metrics: Mapping[str, float], name: str) -> float | None:
    """Return a metric by its name, a leading `v`, `val_` or `val/` ignored; None without it."""
    if name in metrics:
        return metrics[name]
    for key, value in metrics.items():
        if _bare(key) == _bare(name):
            return value
    return None


def most_telling(names: Sequence[str], first: str | None = None) -> list[str]:
    """Return the few metrics that a table has room for; `first` leads where it is a metric."""
    order = [*([first] if first else []), *_TELLING]
    known = [name for wish in order for name in names if _bare(name) == _bare(wish)]
    return list(dict.fromkeys([*known, *names]))[:MOST_SHOWN]


def is_lower_better(name: str) -> bool:
    """Say whether a smaller value of the metric is the better one."""
    return any(word in name.lower() for word in _LOWER_IS_BETTER)


def _bare(name: str) -> str:
    bare = re.sub(r"^(val|valid|validation)[_/-]", "", name.lower())
    return bare.removeprefix("v") if bare == name.lower() else bare
