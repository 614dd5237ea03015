"""The checkpoints that may be meant: a folder's or its subfolders', each with the fold it is of.

A fold is what the file records, else what its name says, else the names of the folders above it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.errors import InputError
from bundler.model import checkpoint, naming
from bundler.model.checkpoint import SUFFIXES, Checkpoint
from bundler.model.options import WeightsKind

_DEEPEST = 3  # subfolders below a named folder that are looked through
_OUTER = 2  # folders above a named file whose names may tell its fold


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Checkpoints without their tensors in memory, and notes on what was left out or assumed."""

    checkpoints: Sequence[Checkpoint]
    notes: Sequence[str] = ()


def read_folder(
    folder: Path, weights: WeightsKind | None = None, *, deep: bool = True
) -> Candidates:
    """Return a folder's checkpoints, or with `deep` its subfolders' where it holds none itself.

    What cannot be read is named in a note. Raises InputError where the folder cannot be listed.
    """
    checkpoints: list[Checkpoint] = []
    notes: list[str] = []
    paths = _list(folder, _DEEPEST if deep else 0)
    for path in paths:
        try:
            one = checkpoint.read(path, weights=weights, mapped=True)
        except InputError as error:
            notes.append(f"left out: {error}")
            continue
        depth = len(path.relative_to(folder).parents)
        checkpoints.append(_of_folder(one, depth))
    checkpoints = settle_f1(checkpoints, paths)
    numbered = _numbered_folders(checkpoints)
    if numbered:
        listed = ", ".join(f"{one.name}/" for one in sorted(numbered))
        notes.append(f"note: the folders {listed} are taken for folds of those numbers.")
        checkpoints = [
            replace(one, fold=numbered.get(one.path.parent, one.fold)) for one in checkpoints
        ]
    return Candidates(checkpoints=checkpoints, notes=notes)


def read_file(path: Path, weights: WeightsKind | None = None) -> Checkpoint:
    """Return a checkpoint that was named itself. Raises InputError."""
    one = _of_folder(checkpoint.read(path, weights=weights, mapped=True), _OUTER)
    if one.fold is not None or naming.short_fold(path.stem) is None:
        return one
    return settle_f1([one], path.parent.iterdir())[0]


def settle_f1(some: Sequence[Checkpoint], paths: Iterable[Path]) -> list[Checkpoint]:
    """Return checkpoints whose `_f1` is fold 1 where names beside them count on: f0, f2, ….

    Alone it may as well be the name of a score.
    """
    counted = {
        path.parent for path in paths if naming.short_fold(path.stem) not in (None, naming.F1)
    }
    return [
        replace(one, fold=naming.short_fold(one.path.stem))
        if one.fold is None and one.path.parent in counted
        else one
        for one in some
    ]


def _of_folder(one: Checkpoint, depth: int) -> Checkpoint:
    if one.fold is not None:
        return one
    return replace(one, fold=naming.fold_of_folders(one.path, depth))


def _numbered_folders(some: Sequence[Checkpoint]) -> Mapping[Path, int]:
    """Return the folders that are plain numbers from 0 on without a gap, two or more: folds."""
    folders = {one.path.parent for one in some if one.fold is None}
    numbers = {one: int(one.name) for one in folders if re.fullmatch(r"\d{1,2}", one.name)}
    counts = len(numbers) >= 2 and sorted(numbers.values()) == list(range(len(numbers)))
    return numbers if counts and len({one.parent for one in numbers}) == 1 else {}


def _list(folder: Path, deepest: int) -> list[Path]:
    """Return the checkpoints' paths in a folder, else in the nearest subfolders that have any."""
    level = [folder]
    for _ in range(deepest + 1):
        entries = [entry for one in level for entry in _entries(one)]
        if paths := [path for path in entries if path.suffix in SUFFIXES and path.is_file()]:
            return sorted(paths)
        level = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
    return []


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read: {error.strerror}.") from error
