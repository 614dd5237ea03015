"""model.toml: the members of an ensemble, as tables of option names without their dashes.

`bundler.cli.model_config` hands the tables to the command line's own options, so that types,
choices and messages are the same.
"""

import glob
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler import atomic
from bundler.errors import InputError, UsageError
from bundler.result import Json
from inference.boot.fields import Plain

MEMBER = "member"


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of the file: its name in messages, and its values by key."""

    name: str
    file: Path
    values: Mapping[str, Plain]

    @property
    def where(self) -> str:
        """Return what a message on the table begins with."""
        return f"{self.file}: {self.name}"

    def find(self, key: str, patterns: Sequence[str]) -> list[Path]:
        """Return the files and folders that patterns name, relative to the file. InputError."""
        return [path for pattern in patterns for path in self._match(key, pattern)]

    def _match(self, key: str, pattern: str) -> list[Path]:
        folder = self.file.parent
        if (folder / pattern).exists():  # as it is: a name may hold brackets
            return [folder / pattern]
        matches = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
        if not matches:
            raise InputError(
                f"{self.where}: {key} {pattern!r} matches no file or folder in "
                f"{folder.resolve()}. Patterns are relative to {self.file.name}."
            )
        return [folder / match for match in matches]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the file says of the whole bundle, and of each member."""

    whole: Table
    members: Sequence[Table]


def read(path: Path) -> Config:
    """Read a file of members. Raises InputError where it is no TOML, UsageError for no members."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    members = content.pop(MEMBER, None)
    if not isinstance(members, list) or not all(isinstance(one, Mapping) for one in members):
        raise UsageError(
            f"{path} has no [[{MEMBER}]] table. Write one for each part of the ensemble, with "
            'two pairs of brackets: [[member]], and below it ckpt = ["folds/*.pth"].'
        )
    if not members:
        raise UsageError(f"{path} has an empty list of members. Write a [[{MEMBER}]] table.")
    return Config(
        whole=Table(name="the top level", file=path, values=content),
        members=[
            Table(name=f"{MEMBER} {number}", file=path, values=values)
            for number, values in enumerate(members, start=1)
        ],
    )


def write(path: Path, whole: Mapping[str, Json], member: Mapping[str, Json]) -> None:
    """Write a file with one member, in one rename. Raises UsageError where another lies there."""
    import tomlkit

    document = tomlkit.document()
    for key, value in whole.items():
        document[key] = value
    members = tomlkit.aot()
    members.append(tomlkit.item(dict(member)))
    document[MEMBER] = members
    text = tomlkit.dumps(document)
    try:
        if path.exists() and path.read_bytes() != text.encode():
            raise UsageError(
                f"{path} exists and holds something else, which would be lost. Name another file, "
                "or remove it first."
            )
        atomic.write_text(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
