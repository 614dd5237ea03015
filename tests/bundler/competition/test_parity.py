"""Answers that depend on order, neighbours, ids or nothing: planted, and caught."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.competition import parity, profile, tables
from bundler.competition.check import listed
from bundler.competition.parity import Answers
from bundler.competition.tables import Plan, TableSet
from tests.bundler.competition import folders

Model = Callable[[list[dict[str, str]]], list[float]]


def content(row: dict[str, str]) -> float:
    """A model: what it answers depends on the row alone."""
    return float(row["area"]) * 2 + float(row["rooms"] or 0)


def padded(rows: list[dict[str, str]]) -> list[float]:
    """Batches of four, normalised together: what a model in training mode does."""
    values = [content(row) for row in rows]
    batches = [values[n : n + 4] for n in range(0, len(values), 4)]
    return [value - sum(batch) / len(batch) for batch in batches for value in batch]


def by_position(rows: list[dict[str, str]]) -> list[float]:
    """Answers in the order of sorted areas, written to ids in the order of the table."""
    return sorted(map(content, rows))


MODELS: dict[str, Model] = {
    "right": lambda rows: [content(row) for row in rows],
    "padded": padded,
    "by position": by_position,
    "first rows only": lambda rows: [content(r) if n < 4 else 7.5 for n, r in enumerate(rows)],
    "by id": lambda rows: [float(row["id"]) % 97 for row in rows],
    "row number": lambda rows: [float(n) for n in range(len(rows))],
    "constant": lambda rows: [1.0 for _ in rows],
}


def run(made: TableSet, model: Model) -> Answers:
    rows = folders.read_csv(made.folder / "test.csv")
    return {r["id"]: (str(value),) for r, value in zip(rows, model(rows), strict=True)}


def two(tmp_path: Path) -> tuple[TableSet, TableSet]:
    """Return the plan of a rehearsal: a small set, and a superset the other way round."""
    found = profile.read(folders.tabular(tmp_path / "c"))
    first = tables.write(tmp_path / "a", found, Plan(units=8, awkward=False))
    plan = Plan(units=14, order=1, twins=4, awkward=False)
    return first, tables.write(tmp_path / "b", found, plan)


@pytest.mark.parametrize(
    ("name", "order", "twins", "matters"),
    [
        ("right", "passed", "passed", "passed"),
        ("padded", "failed", "failed", "passed"),
        ("by position", "failed", "failed", "passed"),
        ("first rows only", "failed", "failed", "passed"),
        ("by id", "passed", "failed", "passed"),
        ("row number", "failed", "failed", "passed"),
        ("constant", "unproven", "passed", "unproven"),
    ],
)
def test_planted(tmp_path: Path, name: str, order: str, twins: str, matters: str) -> None:
    small, large = two(tmp_path)
    first, second = run(small, MODELS[name]), run(large, MODELS[name])
    assert parity.same_answers(first, second, 1e-3).status == order
    assert parity.twins(large.dealt, second, 1e-3).status == twins
    assert parity.input_matters(first, 1e-3).status == matters


def test_swapped_rows_are_named_for_what_they_are(tmp_path: Path) -> None:
    first = {f"i{n}": (str(n / 7),) for n in range(6)}
    second = dict(zip(first, [*list(first.values())[1:], first["i0"]], strict=True))
    check = parity.same_answers(first, second, 1e-3)
    assert check.status == "failed"
    assert "by position, not by id" in check.message


def test_two_swapped_among_many_are_seen() -> None:
    first = {f"i{n}": (str(n / 7),) for n in range(6)}
    second = first | {"i0": first["i1"], "i1": first["i0"]}
    assert parity.same_answers(first, second, 1e-3).status == "failed"


def test_within_the_tolerance_is_the_same() -> None:
    first = {"a": ("0.5000",), "b": ("0.1",), "c": ("0.9",), "d": ("0.3",)}
    moved = {name: (str(float(v) + 2e-4),) for name, (v,) in first.items()}
    assert parity.same_answers(first, moved, 1e-3).status == "passed"
    assert parity.same_answers(first, moved, 1e-5).status == "failed"


def test_answers_too_alike_prove_nothing_and_say_so() -> None:
    """Five of six are 0: a swap would be seen by chance only."""
    first = {f"i{n}": ("1" if n == 0 else "0",) for n in range(6)}
    check = parity.same_answers(first, first, 1e-3)
    assert check.status == "unproven"
    assert "Rehearse with more --units" in check.message


def test_a_missing_answer_is_another() -> None:
    first = {f"i{n}": (str(n / 7),) for n in range(6)}
    second = first | {"i3": ("",)}
    assert parity.same_answers(first, second, 1e-3).status == "failed"


def test_text_answers() -> None:
    first = {"a": ("yes",), "b": ("no",), "c": ("1 3 7 2",), "d": ("maybe",)}
    assert parity.same_answers(first, dict(first), 1e-3).status == "passed"
    assert parity.same_answers(first, first | {"c": ("1 3 7 3",)}, 1e-3).status == "failed"


def test_shows_the_values_that_differ_whole() -> None:
    """Of ten columns the last may be the one, and half a number is another number."""
    values = tuple(f"0.123456789012345{n}" for n in range(10))
    first = {f"i{n}": (str(n / 7), *values) for n in range(6)}
    second = first | {"i3": (first["i3"][0], *values[:9], "0.75")}
    message = parity.same_answers(first, second, 1e-3).message
    assert "(i3: 0.1234567890123459 and 0.75)" in message


def test_long_answers_are_cut_between_values() -> None:
    values = tuple(f"0.{n}23456789" for n in range(10))
    assert listed(values) == f"{', '.join(values[:5])} and 5 more"
    mask = " ".join(str(n) for n in range(100))
    assert listed([mask]).endswith("20 21 22 …")
    assert len(listed(["x" * 100])) < 65
