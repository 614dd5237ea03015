"""Tables for people, as `model` prints them."""

from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows of a table as lines, its columns as wide as their widest cell."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = ([cell.ljust(w) for cell, w in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(row).rstrip() for row in cells]


def text(value: float | None) -> str:
    """Return a number for a table; nothing for what is not known."""
    return "" if value is None else f"{value:.4g}"


def printable(name: str) -> str:
    """Return a name from a stranger's file for a terminal: control characters are escaped."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in name)
