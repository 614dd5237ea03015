"""The least that conflicts, of many things of which only whole sets can be tried."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def minimal(items: Sequence[Item], conflicts: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """Return items that conflict, of which none can be left out.

    Junker's QuickXplain (2004): of n items with a conflict of k it asks about 2 k log2(n/k) times.
    """

    def explain(background: list[Item], *, grown: bool, some: list[Item]) -> list[Item]:
        if grown and conflicts(background):
            return []
        if len(some) == 1:
            return some
        first, second = some[: len(some) // 2], some[len(some) // 2 :]
        of_second = explain([*background, *first], grown=True, some=second)
        of_first = explain([*background, *of_second], grown=bool(of_second), some=first)
        return [*of_first, *of_second]

    return explain([], grown=False, some=list(items)) if items else []
