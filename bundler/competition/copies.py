"""Copies of whole tables: some units taken out, or only some of them, under new names."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.competition import table as tables
from bundler.competition.dealing import Dealt
from bundler.competition.table import Cell, Row, Table, text

if TYPE_CHECKING:
    import pyarrow


def cells(table: Table, columns: Sequence[str]) -> Iterator[tuple[str, Cell]]:
    """Yield (column, cell) of all cells that could be an id; each value of a parquet batch once.

    A file of parquet may have a hundred million rows: their values are made unique where they lie.
    """
    if not table.is_parquet:
        for row in table.rows() if columns else ():
            for name in columns:
                yield name, row[name]
        return
    known = [name for name in columns if name in table.schema.names]
    able = [name for name in known if _may_be_id(table.schema.field(name).type)]
    for batch in table.batches(able) if able else ():
        for name in able:
            for cell in batch.column(name).unique().to_pylist():
                yield name, cell


def without(
    table: Table, path: Path, columns: Sequence[str], hides: Callable[[Cell], bool]
) -> None:
    """Write a parquet table without the rows that have a hidden value in one of the columns."""
    import pyarrow
    from pyarrow import compute, parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    with parquet.ParquetWriter(path, table.schema) as writer:
        for batch in table.batches():
            keep = pyarrow.array([True] * batch.num_rows)
            for name in columns:
                column = batch.column(name)
                bad = [cell for cell in column.unique().to_pylist() if hides(cell)]
                found = compute.is_in(column, pyarrow.array(bad, type=column.type))
                keep = compute.and_(keep, compute.invert(found))
            writer.write_batch(batch.filter(keep))


def of_units(source: Table, path: Path, column: str, units: Sequence[Dealt], like: Table) -> None:
    """Write the rows of a further table that belong to the units, under their new names.

    The rows of a unit stay together and in order, as a time series needs them.
    """
    if source.is_parquet:
        _parquet_of_units(source, path, column, units, like)
        return
    rows: dict[str, list[Row]] = {unit.source: [] for unit in units}
    for row in source.rows():
        if (own := rows.get(text(row[column]))) is not None:
            own.append(row)
    renamed = (_renamed(row, unit) for unit in units for row in rows[unit.source])
    tables.write(path, renamed, like)


def _renamed(row: Row, unit: Dealt) -> Row:
    return {n: unit.renamed.get(n, {}).get(text(cell), cell) for n, cell in row.items()}


def _parquet_of_units(
    source: Table, path: Path, column: str, units: Sequence[Dealt], like: Table
) -> None:
    import pyarrow
    from pyarrow import compute, parquet

    wanted = {unit.source for unit in units}
    found: dict[str, list[pyarrow.RecordBatch]] = {name: [] for name in wanted}
    for batch in source.batches():
        own = batch.column(source.schema.names.index(column))
        for value in own.unique().to_pylist():
            if text(value) in wanted:
                same = compute.equal(own, pyarrow.scalar(value, type=own.type))
                found[text(value)].append(batch.filter(same))
    names = like.schema.names
    with parquet.ParquetWriter(path, like.schema) as writer:
        for unit in units:
            for batch in found[unit.source]:
                shown = pyarrow.Table.from_batches([batch]).select(names)
                for name in set(unit.renamed) & set(names):
                    shown = _replaced(shown, name, unit, path)
                writer.write_table(shown.cast(like.schema))


def _replaced(shown: "pyarrow.Table", name: str, unit: Dealt, path: Path) -> "pyarrow.Table":
    """Return a table with the values of one column replaced by the unit's new ones."""
    import pyarrow

    field = shown.schema.field(name)
    values = [
        tables.typed(unit.renamed[name].get(text(cell), cell), field, path)
        for cell in shown.column(name).to_pylist()
    ]
    at = shown.schema.names.index(name)
    return shown.set_column(at, field, pyarrow.array(values, type=field.type))


def _may_be_id(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind))
