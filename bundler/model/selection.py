"""Which checkpoints to export: a folder's, best per fold, and what lies beside the chosen."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bundler.errors import InputError, UsageError
from bundler.model import checkpoint, metrics, naming
from bundler.model.candidates import read_file, read_folder
from bundler.model.checkpoint import Checkpoint
from bundler.model.criterion import BY_NAME, LAST, USUAL, Criterion
from bundler.model.options import Choice, WeightsKind
from bundler.model.table import align, text
from bundler.result import Json

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
        names = metrics.most_telling(list(recorded), self.by)
        marked = {one.path for one in self.chosen}
        rows = [["", "file", "fold", "epoch", *names, "weights", "when (UTC)", "run"]]
        for one in sorted(self.candidates, key=lambda one: (_fold(one), _age(one), one.path.name)):
            when = datetime.fromtimestamp(one.when, UTC).strftime("%Y-%m-%d %H:%M")
            values = [text(one.fold), text(one.epoch)]
            values += [text(one.metrics.get(name)) for name in names]
            values += [one.weights if one.other_weights is None else f"{one.weights} of both", when]
            mark = "→" if one.path in marked else ""
            rows.append([mark, self._name(one), *values, (one.run_id or "")[:12]])
        return "\n".join([*align(rows), *self.notes])

    def _name(self, one: Checkpoint) -> str:
        """Return a file's name, with its folder's where the candidates are of several."""
        several = len({each.path.parent for each in self.candidates}) > 1
        return str(Path(one.path.parent.name) / one.path.name) if several else one.path.name

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--dry-run --json` prints."""
        return {
            "chosen": [
                {
                    "file": str(one.path),
                    "fold": one.fold,
                    "epoch": one.epoch,
                    "weights": one.weights,
                    "other_weights": one.other_weights,
                    "run_id": one.run_id,
                    "metrics": one.metrics,
                }
                for one in self.chosen
            ],
            "notes": list(self.notes),
        }


def select(choice: Choice, weights: WeightsKind | None = None) -> Selection:
    """Choose among the files and folders that were named. Raises InputError, UsageError."""
    candidates: list[Checkpoint] = []
    chosen: list[Checkpoint] = []
    notes: list[str] = []
    beside: list[tuple[Sequence[Checkpoint], Sequence[Checkpoint]]] = []
    some: Sequence[Checkpoint]
    neighbours = functools.cache(lambda folder: read_folder(folder, deep=False).checkpoints)
    for path in choice.checkpoints:
        if path.is_dir():
            read = read_folder(path, weights)
            some = _of_folds(read.checkpoints, choice)
            picked, more = best_per_fold(some, choice.by)
            notes += [*read.notes, *more]
            candidates += some
        else:
            some = neighbours(path.parent)
            picked = _of_folds([read_file(path, weights)], choice)
            candidates += picked
        chosen += picked
        beside.append((picked, some))
    chosen, more = _without_lasts(chosen)
    notes += more
    for mine, others in beside:
        kept = [one for one in mine if one in chosen]
        notes += [note for one in kept for note in look_beside(one, others, choice.by)]
    if not chosen:
        which = f" of fold {', '.join(map(str, choice.folds))}" if choice.folds else ""
        listed = ", ".join(str(path) for path in choice.checkpoints)
        raise InputError("\n".join([f"There is no checkpoint{which} in {listed}.", *notes]))
    notes += _note_runs(chosen)
    # Listed without their weights; the fold may be known by the folder.
    whole = [replace(checkpoint.read(one.path, weights=weights), fold=one.fold) for one in chosen]
    return Selection(
        candidates=candidates, chosen=whole, notes=list(dict.fromkeys(notes)), by=choice.by
    )


def joined(selections: Sequence[Selection]) -> Selection:
    """Return what several members select, as one."""
    return Selection(
        candidates=[one for each in selections for one in each.candidates],
        chosen=[one for each in selections for one in each.chosen],
        notes=list(dict.fromkeys(note for each in selections for note in each.notes)),
        by=selections[0].by,
    )


def best_per_fold(
    candidates: Sequence[Checkpoint], by: str | None
) -> tuple[list[Checkpoint], list[str]]:
    """Return the best checkpoint of each fold by a metric, or the last, and notes for the user."""
    candidates, notes = _without_foldless(candidates)
    folds: dict[int, list[Checkpoint]] = {}
    for one in candidates:
        folds.setdefault(_fold(one), []).append(one)
    criterion = Criterion.of(by) if by else _usual_criterion(folds)
    chosen = []
    for fold, some in sorted(folds.items()):
        if criterion.metric == LAST:
            chosen.append(max(some, key=_age))
            continue
        if criterion.metric == BY_NAME:
            chosen.append(next(one for one in some if naming.is_best(one.path.stem)))
            notes.append(
                f"note: {chosen[-1].path.name} was chosen by its name: none records a metric."
            )
            continue
        measured = [one for one in some if criterion.value(one) is not None]
        if not measured:
            raise _unmeasured(criterion.metric, fold, candidates)
        # A last.pth often carries the best score of its run, not its own: the best goes first.
        chosen.append(
            max(
                measured,
                key=lambda one: (
                    criterion.goodness(one),
                    not naming.is_last(one.path.stem),
                    _age(one),
                ),
            )
        )
    return chosen, notes


def look_beside(chosen: Checkpoint, others: Sequence[Checkpoint], by: str | None) -> list[str]:
    """Say whether a better or a later checkpoint of the same run lies beside the chosen one."""
    same = [one for one in others if one.path != chosen.path and _is_same_run(one, chosen)]
    notes = []
    criterion = _usual(chosen) if by in (None, LAST) else Criterion.of(str(by))
    if criterion and criterion.value(chosen) is not None:
        best = max([chosen, *same], key=criterion.goodness)
        if criterion.goodness(best) > criterion.goodness(chosen):
            values = [text(criterion.value(one)) for one in (best, chosen)]
            notes.append(
                f"note: {best.path.name} of the same run has a better {criterion.metric} "
                f"({values[0]}) than {chosen.path.name} ({values[1]})."
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


def _without_foldless(candidates: Sequence[Checkpoint]) -> tuple[list[Checkpoint], list[str]]:
    """Return the candidates without a last.pth of no fold beside those of folds, and a note.

    Raises UsageError for others whose fold is not known beside those whose is, and where folders
    apart hold some each: the best of all would stand for all of them.
    """
    foldless = [one for one in candidates if one.fold is None]
    known = sorted({one.fold for one in candidates if one.fold is not None})
    lasts = [one for one in foldless if known and naming.is_last(one.path.stem)]
    unknown = [one for one in foldless if one not in lasts]
    folders = {one.path.parent for one in foldless}
    if unknown and (known or len(folders) > 1):
        listed = ", ".join(str(one.path) for one in unknown[:3])
        raise UsageError(
            f"Which fold is {listed}{' …' if len(unknown) > 3 else ''} of? Neither the file nor "
            "its name or folders (fold_0, f0, kfold=0) say. Rename it, choose folds with --fold, "
            "or name each file that counts with --ckpt."
        )
    notes = [_left_out(one, "it is the last state of a run whose folds are known") for one in lasts]
    return [one for one in candidates if one not in lasts], notes


def _without_lasts(chosen: Sequence[Checkpoint]) -> tuple[list[Checkpoint], list[str]]:
    """Return the chosen without a last.pth beside another of its run: it is no second fold."""
    kept, notes = [], []
    for one in chosen:
        others = [each for each in chosen if each is not one and _is_beside(each, one)]
        if naming.is_last(one.path.stem) and others:
            notes.append(
                _left_out(one, f"it is the last state of the run of {others[0].path.name}")
            )
        else:
            kept.append(one)
    return kept, notes


def _is_beside(one: Checkpoint, last: Checkpoint) -> bool:
    """Say whether a checkpoint is of the same run as a last.pth, and no last.pth itself."""
    same_fold = last.fold is None or one.fold == last.fold
    same_run = not (one.run_id and last.run_id) or one.run_id == last.run_id
    same_folder = one.path.parent == last.path.parent
    return same_fold and same_run and same_folder and not naming.is_last(one.path.stem)


def _left_out(one: Checkpoint, reason: str) -> str:
    return f"note: {one.path.name} is left out: {reason}. To take it, name it alone or --by last."


def _usual_criterion(folds: Mapping[int, Sequence[Checkpoint]]) -> Criterion:
    """Return what to choose by where nothing was named, if it is clear. Raises UsageError."""
    if all(len(some) == 1 for some in folds.values()):
        return Criterion(metric=LAST)  # there is nothing to choose
    candidates = [one for some in folds.values() for one in some]
    usual = {_usual(one) for one in candidates if not naming.is_last(one.path.stem)}
    criterion = next(iter(usual), None)
    if len(usual) == 1 and criterion is not None:
        return criterion
    if not any(one.metrics for one in candidates) and all(
        len(some) == 1 or sum(naming.is_best(one.path.stem) for one in some) == 1
        for some in folds.values()
    ):
        return Criterion(metric=BY_NAME)
    listed = sorted({name for one in candidates for name in one.metrics})
    raise UsageError(
        "Which checkpoint is the best? They record "
        f"{', '.join(listed) or 'no metric, neither inside nor in their names'}. "
        "Say it with --by METRIC, or --by last."
    )


def _usual(one: Checkpoint) -> Criterion | None:
    """Return the competition's metric where it is recorded, else the only one that is."""
    if metrics.find(one.metrics, USUAL) is not None:
        return Criterion.of(USUAL)
    names = [name for name in one.metrics if metrics.is_telling(name)]
    return Criterion.of(names[0]) if len(names) == 1 else None


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
