"""Write one table of pyproject.toml, and leave the rest of the file byte for byte."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bundler import atomic
from bundler.errors import UsageError
from bundler.result import Json

if TYPE_CHECKING:
    from tomlkit.items import Table

ON_ONE_LINE = 4  # items of a list


def write_table(path: Path, name: str, values: Mapping[str, Json]) -> None:
    """Write `[tool.rsna-bundle.NAME]`, replacing such a table and creating the file if need be.

    Raises UsageError where the file is no TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        # newline="": a file with Windows line ends keeps them.
        with path.open(encoding="utf-8", newline="") as stream:
            document = tomlkit.parse(stream.read())
    except FileNotFoundError:
        document = tomlkit.document()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    own = document
    for key in ("tool", "rsna-bundle"):
        if key not in own:
            own[key] = tomlkit.table(is_super_table=key == "tool")
        own = own[key]
    if name in own:
        del own[name]
    table = _table(values)
    own[name] = table
    if not tomlkit.dumps(document).endswith(table.as_string()):
        _last(table).add(tomlkit.nl())  # a blank line before the user's next table
    atomic.write_text(path, tomlkit.dumps(document))


def _table(values: Mapping[str, Json]) -> "Table":
    """Return a TOML table: lists of more than a few on lines of their own, tables last."""
    import tomlkit

    table = tomlkit.table()
    for key, value in values.items():
        if isinstance(value, list):
            table[key] = tomlkit.array()
            table[key].extend(value)
            table[key].multiline(len(value) > ON_ONE_LINE)
        elif not isinstance(value, Mapping):
            table[key] = value
    for key, value in values.items():
        if isinstance(value, Mapping):
            table[key] = _table(value)
    return table


def _last(table: "Table") -> "Table":
    from tomlkit.items import Table

    inner = [value for value in table.values() if isinstance(value, Table)]
    return _last(inner[-1]) if inner else table
