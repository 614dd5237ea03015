"""Tables: csv and parquet, streamed; what a broken one says; what is written again."""

import sys
from pathlib import Path

import pytest

from bundler.competition import table
from bundler.competition.columns import survey
from bundler.competition.table import Table, open_table
from bundler.errors import InputError


def csv_table(tmp_path: Path, content: bytes) -> Table:
    (tmp_path / "t.csv").write_bytes(content)
    return open_table(tmp_path / "t.csv")


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert csv_table(tmp_path, b"\xef\xbb\xbfid,x\r\n1,2\r\n").columns == ("id", "x")


def test_reads_semicolons_tabs_quotes_and_lines_within_quotes(tmp_path: Path) -> None:
    rows = list(csv_table(tmp_path, b'id;text\n007;"a;b\nsecond ""line"""\n').rows())
    assert rows == [{"id": "007", "text": 'a;b\nsecond "line"'}]


def test_bytes_that_are_no_utf8_survive(tmp_path: Path) -> None:
    original = csv_table(tmp_path, b"id,name\n1,caf\xe9\n")
    table.write(tmp_path / "copy.csv", original.rows(), original)
    assert (tmp_path / "copy.csv").read_bytes() == b"id,name\n1,caf\xe9\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no header line"),
        (b"id,id\n1,2\n", "the column 'id' twice"),
        (b"id,x\n1,2\n3\n", "row 3 has 1 cells, its header 2"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        survey(csv_table(tmp_path, content))


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"t\.parquet cannot be read as parquet"):
        survey(open_table(tmp_path / "t.parquet"))


def test_without_pyarrow_the_line_that_installs_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="python -m pip install pyarrow"):
        open_table(tmp_path / "t.parquet")


def test_parquet_is_written_with_the_types_it_had(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema(
        [
            ("id", pyarrow.int32()),
            ("name", pyarrow.large_string()),
            ("value", pyarrow.float32()),
            ("flag", pyarrow.bool_()),
            ("embedding", pyarrow.list_(pyarrow.float32())),
        ]
    )
    rows = [{"id": 1, "name": "a", "value": 0.5, "flag": True, "embedding": [1.0, 2.0]}]
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), tmp_path / "t.parquet")
    original = open_table(tmp_path / "t.parquet")
    changed = [dict(row) | {"id": "42", "value": "", "flag": "False"} for row in original.rows()]
    table.write(tmp_path / "copy.parquet", changed, original)
    copy = open_table(tmp_path / "copy.parquet")
    assert copy.schema == schema
    expected = {"id": 42, "name": "a", "value": None, "flag": False, "embedding": [1.0, 2.0]}
    assert list(copy.rows()) == [expected]


def test_kinds_of_columns(tmp_path: Path) -> None:
    content = b"id,n,x,b,rle,t,e\n007,1,0.5,True,1 3 7 2,red,\n008,2,,False,4 4,blue,\n"
    found = survey(csv_table(tmp_path, content))
    kinds = {column.name: column.kind for column in found.columns}
    assert kinds == {
        "id": "integer",
        "n": "integer",
        "x": "number",
        "b": "boolean",
        "rle": "run lengths",
        "t": "text",
        "e": "empty",
    }
    assert found.column("id").leading_zeros
    assert not found.column("n").leading_zeros
    assert found.column("x").missing == 1
    assert (found.column("n").low, found.column("n").high) == (1, 2)


def test_counts_rows_up_to_the_limit_and_estimates_beyond(tmp_path: Path) -> None:
    content = b"id,x\n" + b"".join(b"%06d,1\n" % n for n in range(1000))
    whole, part = survey(csv_table(tmp_path, content)), survey(csv_table(tmp_path, content), 100)
    assert (whole.rows, whole.exact) == (1000, True)
    assert not part.exact
    assert 950 < part.rows < 1050
    assert survey(csv_table(tmp_path, content), 1000).exact
