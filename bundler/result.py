"""What every command returns: text for people and, for scripts, JSON."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

# For what is written. What is read is parsed into dataclasses instead.
Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None


class Result(Protocol):
    """The result of a command."""

    def summary(self) -> str:
        """Return the text for people, without a newline at its end."""
        ...

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        ...
