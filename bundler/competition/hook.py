"""A hidden test that the user's own function writes, and what is understood of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bundler.competition import profile, submission_file, user_code
from bundler.competition.dealing import JOINED, Dealt
from bundler.competition.tables import Plan, TableSet
from bundler.errors import InputError
from bundler.hidden import Hidden


def write(
    folder: Path, hidden: Hidden, competition: Path | None, root: Path, plan: Plan
) -> TableSet:
    """Let the user's function write the new folder `folder`; read its sample submission.

    Raises InputError where the function fails, or wrote no sample submission.
    """
    folder.mkdir(parents=True)
    solution = user_code.write_hidden(
        hidden.hook,
        folder,
        root=root,
        competition=competition,
        units=plan.units,
        seed=plan.seed,
    )
    # The labels lie in what the function returned, never in the folder.
    own = profile.read(folder, replace(hidden, label_table="", train="", labels=()))
    if not own.hidden.sample:
        raise InputError(f"{hidden.hook} wrote no sample submission into its folder.")
    found = submission_file.read(folder / own.hidden.sample, own.hidden.id)
    ids = tuple(dict.fromkeys(found.ids(own.hidden.id or found.columns[:1])))
    name = hidden.hook
    return TableSet(
        folder=folder,
        profile=replace(own, questions=()),
        dealt=(_labelled(ids, solution or (), own.hidden.id),),
        ids=ids,
        source=f"{len(ids)} rows by {name}",
    )


def _labelled(
    ids: Sequence[str], solution: Sequence[Mapping[str, str]], names: Sequence[str]
) -> Dealt:
    """Return all rows as one unit, with the answers that the function returned."""
    known = {}
    for row in solution:
        if missing := [name for name in names if name not in row]:
            raise InputError(f"The solution that the hook returned lacks the column {missing[0]}.")
        known[JOINED.join(row[name] for name in names)] = {
            name: value for name, value in row.items() if name not in names
        }
    return Dealt(
        name="",
        source="",
        rows=(),
        files=(),
        ids=tuple((identity,) for identity in ids),
        labels={name: answer for name, answer in known.items() if name in set(ids)},
    )
