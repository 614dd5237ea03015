"""Metrics by their names: which numbers measure quality, and whether a high or a low one is good.

A number of another kind (a learning rate, a threshold, a seed) is never ranked, and a name that is
not known is never guessed at.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

Direction = Literal["higher", "lower"]

MOST_SHOWN = 4
_TELLING = ("pfbeta", "pf1", "best_f1", "pr_auc", "roc_auc", "auc", "acc", "loss")
# One of these words makes a number something else, whatever stands beside it: best_f1_threshold.
_SETTINGS = frozenset(
    (
        "lr",
        "learning",
        "thr",
        "thres",
        "thresh",
        "threshold",
        "th",
        "seed",
        "epoch",
        "epochs",
        "ep",
        "step",
        "steps",
        "iter",
        "size",
        "resolution",
        "batch",
        "bs",
        "wd",
        "decay",
        "dropout",
        "drop",
        "momentum",
        "version",
        "fold",
        "folds",
        "time",
        "seconds",
        "alpha",
        "gamma",
        "temperature",
        "temp",
        "warmup",
        "margin",
        "weight",
        "weights",
        "count",
        "num",
        "n",
        "patience",
        "width",
        "height",
        "params",
        "scale",
        "ratio",
    )
)
_LOWER = re.compile(
    r".*(?:loss|error|entropy|nll|bce|rmse|mae|mse|mape|brier|perplexity|divergence|distance)\d*"
    r"|err|ce|kld?|ppl|fpr|fnr|eer|wer|cer|ece|hd95|hausdorff"
)
_HIGHER = re.compile(
    r"(?:v|val|valid|test|oof|cv|m|macro|micro|mean|best|roc|pr)?"
    r"(?:auc|auroc|auprc|roc|acc|accuracy|p?f(?:1|2|05|beta)|dice|iou|ap|map|kappa|qwk|recall"
    r"|sens|sensitivity|spec|specificity|precision|pearson|spearman|corr|correlation|r2|mcc|ndcg"
    r"|psnr|ssim|tpr|tnr|gini)\d*"
)
_WEAK = frozenset(("score", "vscore", "cv", "lb"))  # good when high, if nothing else says
_OF_TRAINING = frozenset(("train", "training", "tr", "trn"))


def direction(name: str) -> Direction | None:
    """Return whether a higher or a lower value is better; None where the name does not say."""
    words = _words(name)
    if is_setting(name):
        return None
    decided: Direction | None = "higher" if _WEAK & set(words) else None
    for word in words:  # the last that decides: auc_loss is a loss
        if _LOWER.fullmatch(word):
            decided = "lower"
        elif _HIGHER.fullmatch(word):
            decided = "higher"
    if decided and ("neg" in words or "negative" in words):  # scikit-learn's neg_log_loss
        return "higher" if decided == "lower" else "lower"
    return decided


def is_setting(name: str) -> bool:
    """Say whether a number by this name measures no quality, such as a learning rate."""
    *first, last = _words(name) or [""]
    return bool(_SETTINGS & {last, *(word for word in first if word not in ("epoch", "step"))})


def is_telling(name: str) -> bool:
    """Say whether a metric may choose a checkpoint unasked: a validation's, of known direction."""
    return direction(name) is not None and not _OF_TRAINING & set(_words(name))


def find(metrics: Mapping[str, float], name: str) -> float | None:
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


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case: valLoss, val_loss and val/loss are the same."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^A-Za-z0-9]+", spaced.lower()) if word]


def _bare(name: str) -> str:
    bare = re.sub(r"^(val|valid|validation)[_/-]", "", name.lower())
    return bare.removeprefix("v") if bare == name.lower() else bare
