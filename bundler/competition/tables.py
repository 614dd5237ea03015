"""A hidden test for any competition: dealt from the rows of its own tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bundler.atomic import link_or_copy
from bundler.competition import copies, dealing, numbered, planting, row_number, sample_file, units
from bundler.competition import table as tables
from bundler.competition.columns import EMPTY
from bundler.competition.dealing import JOINED, Dealer, Dealt, File
from bundler.competition.handover import HandOver, Secret
from bundler.competition.profile import Profile
from bundler.competition.row_number import ROW
from bundler.competition.table import Row, open_table, text
from bundler.competition.units import Unit
from bundler.errors import InputError

DRAWN = 8  # times at most that new ids are drawn for a twin


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which hidden test is made: equal plans make equal ones, a larger count a larger one.

    `order` 1 turns the rows round, and the sample where it follows them; `seed` chooses other
    units; `twins` is how many units come a second time under other ids, for the same answers.
    `withheld` is how many units the training table lacks, if more than are dealt.
    """

    units: int
    withheld: int = 0
    seed: int = 0
    order: int = 0
    twins: int = 0
    awkward: bool = True


@dataclass(frozen=True, kw_only=True)
class TableSet:
    """A hidden test that was written, and all that is known of it."""

    folder: Path
    profile: Profile
    dealt: tuple[Dealt, ...]
    ids: tuple[str, ...]  # in the sample's order; the values of several columns are joined
    source: str
    left_out: tuple[str, ...] = ()  # public files that the notebook does not get, and why
    copied_bytes: int = 0  # of files that could not be linked
    not_planted: tuple[str, ...] = ()  # awkward cases that this competition cannot have
    # Of ids that count rows: what a row is called in every run. Empty where ids last by themselves.
    lasting: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Return the right answers where they are known: id → target → value."""
        return {name: own for unit in self.dealt for name, own in unit.labels.items()}

    @property
    def ordinary(self) -> tuple[Dealt, ...]:
        """Return the units as they really come: neither planted nor twins."""
        return tuple(unit for unit in self.dealt if not unit.case and not unit.twin)


def write(folder: Path, profile: Profile, plan: Plan) -> TableSet:
    """Write a hidden test into the new folder `folder`. Raises InputError where data do not serve.

    Units are rows of the training table, or clones of public test rows where there is none. The
    notebook gets test rows without labels, their files, and of all other tables and files what
    does not name a hidden row.
    """
    profile.require_certain()
    dealer, chosen, withheld = _choose(profile, plan)
    plain = [dealer.deal(unit, seed=_clone_seed(dealer, number)) for number, unit in chosen]
    twins = _twins(dealer, chosen, plain, plan)
    cases = profile.hidden.awkward if plan.awkward else ()
    planted = planting.plant(dealer, [unit for _, unit in chosen], cases)
    ordered = _ordered([*plain, *twins, *planted], profile, plan)
    dealt: Sequence[Dealt] = [replace(unit, rows=tuple(_rows(unit, plan))) for unit in ordered]
    names: Mapping[str, str] = {}
    if profile.sample is not None and profile.hidden.row_id == (f"{{{ROW}}}",):
        first = row_number.first_number(profile.sample, profile.hidden.id[0])
        columns = [name for name, made in profile.hidden.derived if made == f"{{{ROW}}}"]
        positions = numbered.renumber(dealt, first, columns)
        dealt, names = positions.dealt, positions.names
    folder.mkdir(parents=True)
    ids = _write_tables(folder, dealer, dealt)
    copied = sum(_place(folder, file) for unit in dealt for file in unit.files)
    secret = _secret(profile, withheld)
    over = HandOver(profile=profile, secret=secret, folder=folder, written=written(profile))
    made = {unit.case for unit in planted}
    return TableSet(
        folder=folder,
        profile=profile,
        dealt=tuple(dealt),
        ids=ids,
        source=_source(profile, len(plain), dealer),
        left_out=over.write(),
        copied_bytes=copied,
        not_planted=tuple(case for case in cases if case not in made),
        lasting=names,
    )


def _twins(dealer: Dealer, chosen: "Numbered", plain: Sequence[Dealt], plan: Plan) -> list[Dealt]:
    """Return units that repeat the chosen ones under other ids, again and again, as many as asked.

    Where ids are short, two may be given the same new one: of these the later is drawn again.
    """
    taken = {name for unit in plain for name in (unit.name, *map(JOINED.join, unit.ids))}
    twins: list[Dealt] = []
    for number in range(plan.twins if chosen else 0):
        (clone, unit), original = chosen[number % len(chosen)], plain[number % len(chosen)]
        for attempt in range(DRAWN):
            seed = f"twin {plan.seed} {clone} {number} {attempt}"
            twin = dealer.deal(unit, seed=seed, twin=original.name)
            names = {twin.name, *map(JOINED.join, twin.ids)}
            if not names & taken:
                taken |= names
                twins.append(twin)
                break
    return twins


# --- which units ---


Numbered = list[tuple[int, Unit]]


def _choose(profile: Profile, plan: Plan) -> tuple[Dealer, Numbered, list[Unit]]:
    """Return the dealer, the units that it will deal, each with its clone's number, and the hidden.

    The hidden units are those that the training table must not have; clones hide none.
    """
    source, hidden = profile.train, profile.hidden
    clones = source is None or (bool(hidden.files) and not any(t for _, t in hidden.files))
    if clones:
        return *_clones(profile, plan), []
    assert source is not None
    if not source.has(hidden.unit):
        raise InputError(
            f"{source.table.path} has no column {hidden.unit!r}, by which rows stay together. Set "
            "`unit` in [tool.rsna-bundle.hidden], or write the hidden test by a hook."
        )
    dealer = Dealer(profile=profile, clones=False, words=dealing.ids_tell_labels(profile))
    withheld = units.choose(
        source.table,
        hidden.unit,
        max(plan.units, plan.withheld),
        categories=units.categories(source, dealing.naming_columns(profile)),
        seed=plan.seed,
        usable=dealer.has_files,
    )
    chosen = withheld[: plan.units]  # a larger count would have begun with the same units
    if not chosen and plan.units:
        example = next((train for _, train in hidden.files if train), "")
        raise InputError(
            f"No row of {source.table.path} has its files in {profile.folder} (by {example}). "
            "Download some, or correct `files` in [tool.rsna-bundle.hidden]."
        )
    dealer = replace(dealer, answers=_answers(profile, chosen))
    return dealer, [(0, unit) for unit in chosen], withheld


def _clones(profile: Profile, plan: Plan) -> tuple[Dealer, Numbered]:
    source = profile.test or profile.sample
    hidden = profile.hidden
    dealer = Dealer(profile=profile, clones=True)
    if source is None or not source.has(hidden.unit):
        raise InputError(
            f"{profile.folder} has no training rows and no test rows to deal a hidden test from. "
            'Write it yourself: hidden = "package.module:function" in [tool.rsna-bundle].'
        )
    few = units.choose(source.table, hidden.unit, max(plan.units, 1), usable=dealer.has_files)
    if not few and plan.units:
        raise InputError(f"No row of {source.table.path} has its files in {profile.folder}.")
    shift = 1 + plan.seed * plan.units  # another seed clones the rows under other ids
    return dealer, [(shift + n // len(few), few[n % len(few)]) for n in range(plan.units)]


def _clone_seed(dealer: Dealer, number: int) -> str:
    """Return the seed of new ids; "" keeps the training rows' own."""
    if dealer.clones:
        return f"clone {number}"
    return "renamed" if dealer.words else ""


def _answers(profile: Profile, chosen: Sequence[Unit]) -> dict[str, list[Row]]:
    """Return the rows of the label table for the units, where it is a table of its own."""
    source, column = profile.answers, profile.hidden.unit
    if source is None or source is profile.train or not source.has(column):
        return {}
    found: dict[str, list[Row]] = {unit.value: [] for unit in chosen}
    for row in source.table.rows():
        if (own := found.get(text(row[column]))) is not None:
            own.append(row)
    return found


def _source(profile: Profile, count: int, dealer: Dealer) -> str:
    """Say what the hidden test is made of, for people."""
    name = profile.hidden.unit or "row"
    if dealer.clones:
        table = profile.test or profile.sample
        label = table.table.path.name if table else "the sample"
        return f"{count} clones of rows of {label}, under new ids"
    assert profile.train is not None
    renamed = " under new ids, since their own tell the label" if dealer.words else ""
    return f"{count} of {name} from {profile.train.table.path.name}{renamed}"


# --- the folder ---


def _ordered(dealt: Sequence[Dealt], profile: Profile, plan: Plan) -> list[Dealt]:
    """Return the units in their order: the public test's, or turned round."""
    alike = profile.test is None or _is_sorted(profile.test.values(profile.hidden.unit))
    result = sorted(dealt, key=lambda unit: _natural(unit.name) if alike else _by_rank(unit))
    # The other way round, so that no two units keep their order, as some would when shuffled.
    return result[::-1] if plan.order else result


def _by_rank(unit: Dealt) -> tuple[int, str]:
    return units.rank(unit.name, 0), unit.name


def _is_sorted(values: Sequence[str]) -> bool:
    return list(values) == sorted(values, key=_natural)


def _natural(value: str) -> tuple[int, str]:
    return (int(value), value) if value.isdecimal() else (0, value)


def _write_tables(folder: Path, dealer: Dealer, dealt: Sequence[Dealt]) -> tuple[str, ...]:
    """Write the test tables and the sample; return the ids in its order."""
    profile = dealer.profile
    hidden, root = profile.hidden, profile.folder
    rows = [(unit, row) for unit in dealt for row in unit.rows]
    if profile.test is not None:
        tables.write(folder / hidden.test, (row for _, row in rows), open_table(root / hidden.test))
    for test, train in hidden.tables:
        clones = not train or profile.train is None
        like = open_table(root / test)
        source = like if clones else open_table(root / train)
        copies.of_units(source, folder / test, hidden.unit, dealt, like)
    names = list(dict.fromkeys(name for _, row in rows for name in dealer.ids(row)))
    if hidden.order == "sorted":
        names.sort()
    elif hidden.order == "numeric":
        names.sort(key=lambda name: _natural(name[0]))
    if profile.sample is not None:
        example = profile.sample.examples[0] if profile.sample.examples else {}
        sample = [{**example, **dict(zip(hidden.id, name, strict=True))} for name in names]
        sample_file.write(folder / hidden.sample, sample, root / hidden.sample, hidden.id)
    return tuple(JOINED.join(name) for name in names)


def _rows(unit: Dealt, plan: Plan) -> list[Row]:
    """Return a unit's rows: in another order where each has a file of its own, else as they were.

    Rows without files of their own may be the steps of a time series, whose order means something.
    """
    rows = list(unit.rows)
    if plan.order and len(unit.files) >= len(rows) > 1:
        rows.reverse()
    return rows


def _place(folder: Path, file: File) -> int:
    """Link a file into the folder; return how many bytes had to be copied."""
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return 0  # a file that units share; never written to, as it may be the user's own by a link
    if file.source is None:
        path.touch()
        return 0
    link_or_copy(file.source, path)
    return 0 if path.stat().st_ino == file.source.stat().st_ino else path.stat().st_size


def _secret(profile: Profile, chosen: Sequence[Unit]) -> Secret:
    """Return the values that name hidden rows, by column."""
    found: dict[str, set[str]] = {}
    for name in dealing.naming_columns(profile):
        values = {text(row[name]) for unit in chosen for row in unit.rows if name in row}
        found[name] = values - EMPTY
    return Secret(values={name: frozenset(own) for name, own in found.items() if own})


def written(profile: Profile) -> frozenset[str]:
    """Return the names that the hidden test has itself: these are not taken from the folder."""
    hidden = profile.hidden
    trains = {train.partition("/")[0] for _, train in hidden.files}
    folders = {test.partition("/")[0] for test, _ in hidden.files} - trains
    further = {test for test, _ in hidden.tables}
    return frozenset({hidden.sample, hidden.test, *further, *folders} - {""})
