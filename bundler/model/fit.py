"""Which tensors of a file fill a network: every one is used, or named and refused.

A tensor that is dropped without a word is how a head goes missing: the file then predicts
something else than its author's model did, and nothing about it looks wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor

from bundler.errors import InputError, UsageError
from bundler.model.table import printable

SHOWN = 4  # names of tensors that a message lists
NOT_NEEDED = ("num_batches_tracked",)  # counts training steps; nothing predicts with it
# What an average of weights over the training need not hold: it may be of parameters alone.
BUFFERS = ("running_mean", "running_var", *NOT_NEEDED)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The tensors under the network's own names, and the names of those that it has no use for."""

    weights: Mapping[str, Tensor]
    left_over: tuple[str, ...]


def select(
    state: Mapping[str, Tensor],
    others: Mapping[str, Tensor],
    expected: Sequence[str],
    ignore: Sequence[str] = (),
) -> Fit:
    """Return a file's tensors under the names that a network has, whatever they are nested in.

    Where several copies lie in one file, the averaged one is taken, and the others are no rest.
    """
    wanted = set(expected)
    bare = {
        name: value
        for name, value in without_wrappers(without_ignored(state, ignore)).items()
        if not _is_ignored(name, ignore)
    }
    beside = tuple(sorted(without_ignored(others, ignore)))
    prefixes = _find_prefixes(bare, expected)
    if not prefixes:
        return Fit(weights=bare, left_over=beside)

    def rank(prefix: str) -> tuple[int, bool]:
        return sum(prefix + key in bare for key in wanted), "ema" in prefix

    prefix = max(prefixes, key=rank)
    copies = tuple(
        one for one in prefixes if one != prefix and is_copy(_names_under(one, bare), wanted)
    )
    kept = {key: value for key, value in bare.items() if not (copies and key.startswith(copies))}
    weights = {key.removeprefix(prefix): kept[key] for key in kept if key.startswith(prefix)}
    outside = tuple(sorted(key for key in kept if not key.startswith(prefix)))
    return Fit(weights=weights, left_over=(*outside, *beside))


def check_ignore(names: Iterable[str], ignore: Sequence[str], path: Path) -> None:
    """Raise UsageError for a pattern that matches no tensor: it is misspelt, or does nothing."""
    listed = list(names)
    for pattern in ignore:
        if not any(_is_ignored(name, [pattern]) for name in listed):
            raise UsageError(
                f"--ignore {pattern!r} matches no tensor in {path}. Its tensors are "
                f"{some(listed)}; quote the pattern, and check its spelling."
            )


def without_ignored(state: Mapping[str, Tensor], ignore: Sequence[str]) -> dict[str, Tensor]:
    """Return the tensors whose names match none of the patterns."""
    return {name: value for name, value in state.items() if not _is_ignored(name, ignore)}


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo what DataParallel, torch.compile and averaging add to the names."""
    bare = {}
    for key, value in state.items():
        name = key.replace("_orig_mod.", "")
        while name.startswith("module."):
            name = name.removeprefix("module.")
        if name != "n_averaged":  # AveragedModel counts its updates in it
            bare[name] = value
    return bare


def without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo wrappers, and any prefix that all names share."""
    bare = without_wrappers(state)
    while bare and len({key.partition(".")[0] for key in bare}) == 1:
        shorter = {key.partition(".")[2]: value for key, value in bare.items()}
        if not all(shorter):
            break
        bare = shorter
    return bare


def check_numbers(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path
) -> None:
    """Refuse tensors that hold no usable numbers: none at all, quantised, complex, NaN.

    Their names and shapes are the network's already, so that nothing of a size that a file merely
    declares is ever made.
    """
    problems: dict[str, list[str]] = {}
    for key, value in weights.items():
        if key in expected and (problem := _problem(value, expected[key])):
            problems.setdefault(problem, []).append(key)
    for problem, keys in problems.items():
        raise InputError(
            f"{len(keys)} of {len(weights)} tensors in {path} {problem.format(some(keys))}"
        )


def dense(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights that were saved as sparse tensors as ordinary ones."""
    return {
        key: value.to_dense() if value.layout != torch.strided else value
        for key, value in weights.items()
    }


def is_copy(names: AbstractSet[str], wanted: AbstractSet[str]) -> bool:
    """Say whether tensors of these names are the very same network once more."""
    needed = {name for name in wanted if not name.endswith(BUFFERS)}
    return bool(names) and needed <= names <= wanted


def some(names: Iterable[str]) -> str:
    """Return the first few names, in order, safe to print."""
    listed = sorted(names)
    return ", ".join(map(printable, listed[:SHOWN])) + (", …" if len(listed) > SHOWN else "")


def suggest_ignore(names: Iterable[str]) -> str:
    """Return the options that would leave these tensors out, by what they are nested in."""
    patterns = {
        f"{name.partition('.')[0]}.*" if "." in name else name: None for name in sorted(names)
    }
    return " ".join(f"--ignore '{printable(pattern)}'" for pattern in list(patterns)[:SHOWN])


def _find_prefixes(bare: Mapping[str, Tensor], expected: Sequence[str]) -> list[str]:
    """Return what stands before the network's names, for each copy of it in a file."""
    first = expected[0]  # of a stem: deeper blocks seldom have a tensor of that name
    return [key.removesuffix(first) for key in bare if key == first or key.endswith("." + first)]


def _names_under(prefix: str, bare: Mapping[str, Tensor]) -> set[str]:
    return {key.removeprefix(prefix) for key in bare if prefix and key.startswith(prefix)}


def _is_ignored(name: str, ignore: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in ignore)


def _problem(value: Tensor, expected: Tensor) -> str | None:
    """Return what makes a tensor unusable; {} stands for the names."""
    if value.is_meta:
        return (
            "hold no numbers ({}): they were saved from the device `meta`. Save the weights after "
            "they were loaded."
        )
    if value.is_quantized or (expected.is_floating_point() and not value.is_floating_point()):
        if value.is_complex():
            return "are complex numbers ({}), and the network's are real. Save them as trained."
        return (
            f"are {str(value.dtype).removeprefix('torch.')} ({{}}): quantised weights, whose scale "
            "is not in them. Save the weights in float32 before they are quantised."
        )
    numbers = value.coalesce() if value.layout == torch.sparse_coo else value
    numbers = numbers if numbers.layout == torch.strided else numbers.values()
    # float8 has no isfinite of its own.
    if numbers.is_floating_point() and not bool(torch.isfinite(numbers.float()).all()):
        return "hold NaN or infinity ({}): the training had diverged. Use an earlier epoch."
    whole = not (expected.is_floating_point() or expected.is_complex())
    if whole and numbers.is_floating_point() and not torch.equal(numbers, numbers.round()):
        return "are no whole numbers ({}), which the network needs there. Save them as trained."
    return None
