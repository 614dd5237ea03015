"""What the names of a checkpoint's file and of its folders say: fold, epoch and metrics.

The names seen in the field: `model_fold1_epoch49_vacc0.545_vpfbeta0.504.pth`,
`fold0_epoch02_vpfbeta0.504.pt`, `epoch=12-val_loss=0.123.ckpt`, `b3_f0_pf1_0.451.pth`,
`fold_0/best.pth`, `kfold=0/last.pth`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from bundler.model import metrics

_FOLD = re.compile(r"(?:^|[^a-z])k?-?folds?[=_-]?(\d+)", re.IGNORECASE)
# A lone f and a number is a fold, but neither `f0.45` nor `f1_0.45`, which are scores.
_SHORT_FOLD = re.compile(
    r"(?:^|[_\-. ])f(?![12][_\- ]?\d*\.\d)(0|[1-9]\d?)(?=$|[_\- ]|\.(?!\d))", re.IGNORECASE
)
_EPOCH = re.compile(r"(?:^|[^a-z])(?:epoch|ep)[=_-]?(\d+)", re.IGNORECASE)
_METRIC = re.compile(  # the 1 of f1 is the name's where the number follows
    r"(?:^|[_\- ])((?:f1_(?=m[ai]cro))?[A-Za-z][A-Za-z_]*?(?:(?<=[fF])1)?)"
    r"[_=:-]?(\d*\.\d+)(?=$|[_\- ])"
)
_LAST = re.compile(r"(?:^|[_\-. ])(?:last|latest|final|resume)(?=$|[_\-. \d])", re.IGNORECASE)
_BEST = re.compile(r"(?:^|[_\-. ])best(?=$|[_\-. \d=])", re.IGNORECASE)
F1 = 1  # `_f1` may be fold 1 or the name of a score: only its neighbours tell


@dataclass(frozen=True, kw_only=True)
class Named:
    """What was read from a name; None where the name does not hold it."""

    fold: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def parse(stem: str) -> Named:
    """Read fold, epoch and metrics from a file name without its extension."""
    epoch = _EPOCH.search(stem)
    pairs = ((match[1].strip("_"), float(match[2])) for match in _METRIC.finditer(stem))
    return Named(
        fold=fold_in(stem),
        epoch=int(epoch[1]) if epoch else None,
        metrics={name: value for name, value in pairs if name and not metrics.is_setting(name)},
    )


def fold_in(name: str) -> int | None:
    """Return the fold that one name tells: fold_0, kfold=0 or f0; f1 alone may be a score."""
    if fold := _FOLD.search(name):
        return int(fold[1])
    short = short_fold(name)
    return None if short == F1 else short


def short_fold(name: str) -> int | None:
    """Return the number after a lone f: a fold where names beside it count on (f0, f2)."""
    match = _SHORT_FOLD.search(name)
    return int(match[1]) if match else None


def fold_of_folders(path: PurePath, depth: int = 2) -> int | None:
    """Return the fold that the nearest folders above a file tell."""
    for folder in list(path.parents)[:depth]:
        fold = fold_in(folder.name)
        # No folder is named for a score alone: f1/ is fold 1.
        if fold is not None or _SHORT_FOLD.fullmatch(folder.name):
            return short_fold(folder.name) if fold is None else fold
    return None


def is_last(stem: str) -> bool:
    """Say whether a name is that of a run's last state (last.pth), which goes beside its best."""
    return bool(_LAST.search(stem)) and not is_best(stem)


def is_best(stem: str) -> bool:
    """Say whether a name claims to be its run's best (best.pth, best_auc0.9.pth)."""
    return bool(_BEST.search(stem))
