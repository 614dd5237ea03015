"""A hidden test is dealt from tables larger than memory: they are streamed, never held."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundler.competition import folders

ROWS = 200_000
LONG = "red" * 500  # characters that make a row long: an essay, a mask
LIMIT = 256 << 20  # bytes of memory, less than the table has on the disk
DEAL = f"""
import resource, sys
from pathlib import Path
from bundler.competition import profile, tables
from bundler.competition.tables import Plan
resource.setrlimit(resource.RLIMIT_AS, ({LIMIT}, {LIMIT}))
root, out = map(Path, sys.argv[1:])
made = tables.write(out, profile.read(root), Plan(units=12, withheld=24))
print(len(made.ordinary), *(unit.source for unit in made.ordinary))
"""
HOLD = "rows = list(open_table(root / 'train.EXT').rows())\n"


def lines(kind: str) -> Iterator[str]:
    """Yield the lines of a training table."""
    if kind == "csv":
        yield "id,area,rooms,colour,price\n"
    for n in range(ROWS):
        row = {"id": n, "area": n % 977 + 0.5, "rooms": 1, "colour": LONG, "price": 5}
        yield ",".join(map(str, row.values())) + "\n" if kind == "csv" else json.dumps(row) + "\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by RLIMIT_AS")
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_is_dealt_in_less_memory_than_the_table_has(tmp_path: Path, kind: str) -> None:
    root = folders.tabular(tmp_path / "c")
    (root / "train.csv").unlink()
    table = root / f"train.{kind}"
    with table.open("w") as stream:
        stream.writelines(lines(kind))
    size = table.stat().st_size
    assert size > LIMIT

    def run(script: str, out: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", script, str(root), str(tmp_path / out)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run(DEAL, "hidden")
    assert done.returncode == 0, done.stderr[-2000:]
    count, *hidden = done.stdout.split()
    assert count == "12"
    # All other rows are there for a command that trains on the spot.
    copied = tmp_path / "hidden" / table.name
    assert 0.999 * size < copied.stat().st_size < size
    start = "made = "
    holding = DEAL.replace(
        start, f"from bundler.competition.table import open_table\n{HOLD}{start}"
    )
    assert "MemoryError" in run(holding.replace("EXT", kind), "never").stderr  # the limit is one
    with copied.open() as stream:
        names = [line.split(",", 1)[0] for line in stream] if kind == "csv" else []
    assert not set(names) & set(hidden)
