"""Do answers depend on what they should: the input, and neither its order nor its neighbours?"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bundler.competition import list_values
from bundler.competition.check import Check, listed, verdict
from bundler.competition.columns import NUMBER
from bundler.competition.dealing import JOINED, Dealt

Answers = Mapping[str, tuple[str, ...]]  # id → values of the targets
ORDER, TWINS = "order and neighbours", "same content, same answer"  # names of checks
SHOWN = 3
CHANCE = 0.05  # a check that a permutation would pass more often than this proves nothing


def same_answers(first: Answers, second: Answers, tolerance: float) -> Check:
    """Compare two runs on the same rows, the second in another order and with other neighbours.

    Fails where an id has another answer; "unproven" where answers are so alike that a permutation
    of them could hardly be told from the truth.
    """
    name = ORDER
    shared = [identity for identity in first if identity in second]
    if not shared:
        return Check(name=name, status="unproven", message="The two runs share no id.")
    problems = list(_differences(shared, first, second, tolerance))
    if problems:
        return verdict(name, problems, "")
    luck = chance([first[identity] for identity in shared], tolerance)
    if luck > CHANCE:
        message = (
            f"{len(shared)} rows were answered alike, but so alike among themselves that swapped "
            f"answers would pass, too (by a chance of {luck:.0%}). Rehearse with more --units."
        )
        return Check(name=name, status="unproven", message=message)
    fine = f"{len(shared)} rows are answered alike in another order, among other rows"
    return Check(name=name, status="passed", message=fine)


def _differences(
    shared: Sequence[str], first: Answers, second: Answers, tolerance: float
) -> Iterator[str]:
    off = [name for name in shared if not alike(first[name], second[name], tolerance)]
    if not off:
        return
    examples = "; ".join(
        f"{name}: {_contrast(first[name], second[name], tolerance)}" for name in off[:SHOWN]
    )
    moved = Counter(first[name] for name in shared) == Counter(second[name] for name in shared)
    reason = (
        "The same answers went to other ids: they are joined to the ids by position, not by id."
        if moved and len(off) > 1
        else "An answer depends on the order of the rows or on the rows beside it: batches are "
        "padded or normalised together, files are listed in another order, or the model is still "
        "in training mode."
    )
    yield f"{len(off)} of {len(shared)} ids have another answer in a second run ({examples})."
    yield reason


def twins(dealt: Sequence[Dealt], answers: Answers, tolerance: float) -> Check:
    """Compare units with their twins, which have the same rows and files under other ids.

    So answers depend on the content and on nothing else, such as the id or the position.
    """
    name, ids = TWINS, {unit.name: unit.ids for unit in dealt}
    pairs = [
        (JOINED.join(one), JOINED.join(other))
        for unit in dealt
        if unit.twin and unit.twin in ids
        for one, other in zip(unit.ids, ids[unit.twin], strict=True)
    ]
    known = [(one, other) for one, other in pairs if one in answers and other in answers]
    if not known:
        return Check(name=name, status="unproven", message="No unit was dealt twice.")
    off = [(a, b) for a, b in known if not alike(answers[a], answers[b], tolerance)]
    problems = [
        f"{b} and {a} are the same rows and files under other ids, and are answered "
        f"{_contrast(answers[b], answers[a], tolerance)}: the answer depends on the id or on the "
        "position."
        for a, b in off[:SHOWN]
    ]
    return verdict(name, problems, f"{len(known)} rows got it under other ids")


def input_matters(ordinary: Answers, tolerance: float) -> Check:
    """Say whether rows of different content get different answers at all."""
    name, values = "answers depend on the input", list(ordinary.values())
    if len(values) < 2:
        return Check(name=name, status="unproven", message="There are fewer than two rows.")
    if all(alike(values[0], other, tolerance) for other in values[1:]):
        message = f"All {len(values)} rows are answered {listed(values[0])}, whatever is in them."
        return Check(name=name, status="unproven", message=message)
    luck = chance(values, tolerance)
    if luck > CHANCE:
        message = f"Few of {len(values)} answers differ: a permutation passes by {luck:.0%}."
        return Check(name=name, status="unproven", message=message)
    return Check(name=name, status="passed", message=f"{len(values)} rows, answers that differ")


def alike(one: Sequence[str], other: Sequence[str], tolerance: float) -> bool:
    """Say whether two answers are the same: numbers within the tolerance, text to the letter."""
    return len(one) == len(other) and all(
        _same(a, b, tolerance) for a, b in zip(one, other, strict=True)
    )


def _contrast(one: Sequence[str], other: Sequence[str], tolerance: float) -> str:
    """Return the values in which two answers differ: of many targets it may be the last."""
    if len(one) == len(other):
        off = [n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        far = [n for n in off if not _same(one[n], other[n], tolerance)]
        one, other = [one[n] for n in far], [other[n] for n in far]
    return f"{listed(one)} and {listed(other)}"


def _same(one: str, other: str, tolerance: float) -> bool:
    if one == other:
        return True
    if NUMBER.fullmatch(one) and NUMBER.fullmatch(other):
        return _close(float(one), float(other), tolerance)
    first, second = list_values.parse(one), list_values.parse(other)
    if first is None or second is None or len(first) != len(second):
        return False
    return all(_close(a, b, tolerance) for a, b in zip(first, second, strict=True))


def _close(one: float, other: float, tolerance: float) -> bool:
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def chance(values: Sequence[tuple[str, ...]], tolerance: float) -> float:
    """Return how likely a random permutation of the answers would look like the answers."""
    # Answers within the tolerance of each other are as good as equal: rounded to it.
    rounded = Counter(tuple(_rounded(value, tolerance) for value in row) for row in values)
    ways = sum(math.lgamma(count + 1) for count in rounded.values())
    return math.exp(ways - math.lgamma(len(values) + 1))


def _rounded(value: str, tolerance: float) -> str:
    if tolerance and (numbers := list_values.parse(value)):
        return str([round(number / tolerance) for number in numbers if math.isfinite(number)])
    if not NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        return value
    return str(round(float(value) / tolerance)) if tolerance else value
