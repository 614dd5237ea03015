"""What a checkpoint records, what the command line gives, and what neither of them does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from bundler.errors import UsageError
from inference.pixels.preprocess import PreprocessConfig

T = TypeVar("T")


@dataclass(kw_only=True)
class Questions:
    """The answers of a checkpoint and of the command line, and what neither of them gives.

    What is missing is collected, so that one error names all of it, not option by option.
    """

    path: Path
    missing: list[str] = field(default_factory=list)

    def settle(self, option: str, recorded: T | None, given: T | None, question: str) -> T:
        """Return what the file or the command line gives; refuse two answers that differ.

        What neither gives is None until `ask` raises for it: nothing is computed before.
        """
        if recorded is None and given is None:
            self.missing.append(f"  {option}: {question}")
        if recorded is not None and given is not None and not _same(recorded, given):
            raise UsageError(
                f"{option} is {show(given)}, but {self.path} was trained with {show(recorded)}. "
                f"Leave {option} out, or choose the checkpoint that was trained that way."
            )
        return cast(T, given if recorded is None else recorded)

    def ask(self) -> None:
        """Raise UsageError with all that is missing, at once."""
        if self.missing:
            raise UsageError(
                f"{self.path} does not record how it was trained, and a wrong guess would only "
                "show in the score. Give these options:\n" + "\n".join(self.missing)
            )


def _same(one: object, other: object) -> bool:
    """Return whether two answers agree; numbers may differ by how many digits were typed."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) <= 1e-6 * max(abs(one), abs(other), 1e-6)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


def show(value: object) -> str:
    """Return an answer as text."""
    if isinstance(value, PreprocessConfig):
        return ", ".join(f"{name} {item}" for name, item in value.as_dict().items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
