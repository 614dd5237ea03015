"""What is public of a gateway competition: what the notebook finds, and the rows it may see."""

from pathlib import Path

from bundler.competition import tables
from bundler.competition.dealing import JOINED
from bundler.competition.general import TableTest
from bundler.competition.profile import Profile
from bundler.competition.table import text


def in_place_of(hidden: TableTest, own: Path) -> dict[str, Path]:
    """Return what the notebook finds at the hidden test's names: what `own`, the data, has there.

    Nothing public there: an empty file or folder, since the notebook must not see the hidden one.
    """
    found = {}
    for name in sorted(tables.written(hidden.data.profile)):
        if not (hidden.folder / name).exists():
            continue
        found[name] = own / name
        if not (own / name).exists():
            nothing = hidden.folder.with_name(f"{hidden.folder.name}-nothing") / name
            nothing.parent.mkdir(parents=True, exist_ok=True)
            nothing.mkdir() if (hidden.folder / name).is_dir() else nothing.touch()
            found[name] = nothing
    return found


def ids(own: Profile) -> tuple[str, ...]:
    """Return the ids of the public test's rows, as its gateway names them."""
    if own.test is None or not all(own.test.has(name) for name in own.hidden.id):
        return ()
    rows = own.test.table.rows()
    names = (JOINED.join(text(row[name]) for name in own.hidden.id) for row in rows)
    return tuple(dict.fromkeys(names))
