"""Which checkpoints to export: a folder's, best per fold, and what lies beside the chosen."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bundler.errors import InputError, UsageError
from bundler.model import checkpoint, naming
from bundler.model.checkpoint import SUFFIXES, Checkpoint
from bundler.model.options import Choice
from bundler.model.table import align, text
from bundler.result import Json

LAST = "last"
USUAL = "pfbeta"  # the competition's metric: taken without asking where all record it
NO_FOLD = -1


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The checkpoints of the named folders, those that were chosen, and notes for the user."""

    candidates: Sequence[Checkpoint]
    chosen: Sequence[Checkpoint]
    notes: Sequence[str]
    by: str | None

    def summary(self) -> str:
        """Return all candidates as a table, the chosen ones marked, and the notes."""
        recorded = dict.fromkeys(name for one in self.candidates for name in one.metrics)
        names = naming.most_telling(list(recorded), self.by)
        marked = {one.path for one in self.chosen}
        rows = [["", "file", "fold", "epoch", *names, "when (UTC)", "run"]]
        for one in sorted(self.candidates, key=lambda one: (_fold(one), _age(one), one.path.name)):
            when = datetime.fromtimestamp(one.when, UTC).strftime("%Y-%m-%d %H:%M")
            values = [text(one.fold), text(one.epoch)]
            values += [text(one.metrics.get(name)) for name in names]
            mark = "→" if one.path in marked else ""
            rows.append([mark, one.path.name, *values, when, (one.run_id or "")[:12]])
        return "\n".join([*align(rows), *self.notes])

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--dry-run --json` prints."""
        return {
            "chosen": [
                {
                    "file": str(one.path),
                    "fold": one.fold,
                    "epoch": one.epoch,
                    "run_id": one.run_id,
                    "metrics": one.metrics,
                }
                for one in self.chosen
            ],
            "notes": list(self.notes),
        }


def select(choice: Choice) -> Selection:
    """Choose among the files and folders that were named. Raises InputError, UsageError."""
    candidates: list[Checkpoint] = []
    chosen: list[Checkpoint] = []
    notes: list[str] = []
    for path in choice.checkpoints:
        if path.is_dir():
            some, unread = _read_folder(path)
            notes += unread
            some = _of_folds(some, choice)
            picked = best_per_fold(some, choice.by)
        else:
            picked, some = _of_folds([checkpoint.read(path)], choice), _read_beside(path)
        candidates += picked if path.is_file() else some
        chosen += picked
        for one in picked:
            notes += look_beside(one, some, choice.by)
    if not chosen:
        which = f" of fold {', '.join(map(str, choice.folds))}" if choice.folds else ""
        listed = ", ".join(str(path) for path in choice.checkpoints)
        raise InputError("\n".join([f"There is no checkpoint{which} in {listed}.", *notes]))
    notes += _note_runs(chosen)
    whole = [checkpoint.read(one.path) for one in chosen]
    return Selection(
        candidates=candidates, chosen=whole, notes=list(dict.fromkeys(notes)), by=choice.by
    )


def best_per_fold(candidates: Sequence[Checkpoint], by: str | None) -> list[Checkpoint]:
    """Return the best checkpoint of each fold by a metric, or the last."""
    folds: dict[int, list[Checkpoint]] = {}
    for one in candidates:
        folds.setdefault(_fold(one), []).append(one)
    by = by or _usual_metric(candidates)
    chosen = []
    for fold, some in sorted(folds.items()):
        if by == LAST:
            chosen.append(max(some, key=_age))
            continue
        measured = [one for one in some if naming.find_metric(one.metrics, by) is not None]
        if not measured:
            raise _unmeasured(by, fold, candidates)
        chosen.append(max(measured, key=lambda one: (_goodness(one, by), _age(one))))
    return chosen


def look_beside(chosen: Checkpoint, others: Sequence[Checkpoint], by: str | None) -> list[str]:
    """Say whether a better or a later checkpoint of the same run lies beside the chosen one."""
    same = [one for one in others if one.path != chosen.path and _is_same_run(one, chosen)]
    notes = []
    metric = by if by not in (None, LAST) else _usual(chosen)
    if metric and naming.find_metric(chosen.metrics, metric) is not None:
        best = max([chosen, *same], key=lambda one: _goodness(one, metric))
        if _goodness(best, metric) > _goodness(chosen, metric):
            values = [text(naming.find_metric(one.metrics, metric)) for one in (best, chosen)]
            notes.append(
                f"note: {best.path.name} of the same run has a better {metric} ({values[0]}) "
                f"than {chosen.path.name} ({values[1]})."
            )
    last = max([chosen, *same], key=lambda one: -1 if one.epoch is None else one.epoch)
    if chosen.epoch is not None and last.epoch is not None and last.epoch > chosen.epoch:
        notes.append(
            f"note: {last.path.name} of the same run is later (epoch {last.epoch}) than "
            f"{chosen.path.name} (epoch {chosen.epoch})."
        )
    return notes


def _of_folds(some: Sequence[Checkpoint], choice: Choice) -> list[Checkpoint]:
    return [one for one in some if not choice.folds or one.fold in choice.folds]


def _note_runs(chosen: Sequence[Checkpoint]) -> list[str]:
    """Say that the chosen are of several runs: the best of each fold may lie in any of them."""
    runs = dict.fromkeys(one.run_id for one in chosen if one.run_id)
    if len(runs) < 2:
        return []
    listed = ", ".join(run[:12] for run in runs)
    return [
        f"note: what was chosen is of {len(runs)} runs ({listed}), whose folds may hold out other "
        "patients. Name the files of one run with --ckpt, or the run with --run, to have it alone."
    ]


def _read_folder(folder: Path) -> tuple[list[Checkpoint], list[str]]:
    """Return a folder's checkpoints, and a note on each file that is none."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    checkpoints, notes = [], []
    for path in paths:
        try:
            checkpoints.append(checkpoint.read(path, mapped=True))
        except InputError as error:
            notes.append(f"left out: {error}")
    return checkpoints, notes


def _read_beside(path: Path) -> list[Checkpoint]:
    return _read_folder(path.parent)[0]


def _usual_metric(candidates: Sequence[Checkpoint]) -> str:
    """Return the metric to choose by where none was named: what all of them record, if clear."""
    names = {_usual(one) for one in candidates}
    if len(names) <= 1 and None not in names:
        return str(next(iter(names), LAST))
    if all(
        len([1 for other in candidates if _fold(other) == _fold(one)]) == 1 for one in candidates
    ):
        return LAST  # there is nothing to choose
    listed = sorted({name for one in candidates for name in one.metrics})
    raise UsageError(
        "Which checkpoint is the best? They record "
        f"{', '.join(listed) or 'no metric, neither inside nor in their names'}. "
        "Say it with --by METRIC, or --by last."
    )


def _usual(one: Checkpoint) -> str | None:
    """Return the competition's metric where it is recorded, else the only one that is."""
    if naming.find_metric(one.metrics, USUAL) is not None:
        return USUAL
    return next(iter(one.metrics)) if len(one.metrics) == 1 else None


def _unmeasured(by: str, fold: int, candidates: Sequence[Checkpoint]) -> UsageError:
    names = sorted({name for one in candidates for name in one.metrics})
    where = "" if fold == NO_FOLD else f" of fold {fold}"
    return UsageError(
        f"No checkpoint{where} records {by}, neither inside nor in its name; they record "
        f"{', '.join(names) or 'no metric'}. Choose with --by METRIC, --by last or --fold."
    )


def _is_same_run(one: Checkpoint, other: Checkpoint) -> bool:
    """Say whether two checkpoints are of one fold of one training, as far as they tell."""
    if _fold(one) != _fold(other):
        return False
    if one.run_id or other.run_id:
        return one.run_id == other.run_id
    skeletons = {re.sub(r"[\d.]+", "#", each.path.stem) for each in (one, other)}
    return len(skeletons) == 1


def _fold(one: Checkpoint) -> int:
    return NO_FOLD if one.fold is None else one.fold


def _age(one: Checkpoint) -> tuple[int, float]:
    return (-1 if one.epoch is None else one.epoch, one.when)


def _goodness(one: Checkpoint, metric: str) -> float:
    value = naming.find_metric(one.metrics, metric)
    if value is None or math.isnan(value):
        return -math.inf
    return -value if naming.is_lower_better(metric) else value
