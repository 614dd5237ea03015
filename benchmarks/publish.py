"""Faults of Kaggle: what its client alone says, and what rsna-bundle does about them.

    python -m benchmarks publish

Each fault is armed twice, each time in a world of its own (a Kaggle on loopback): once for the
unmodified `kaggle` command line, once for rsna-bundle. What is true afterwards is read from the
server's memory. Needs the repository, whose `tests` hold the server; nothing leaves the machine.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kaggle.cases import CASES, TAKEN, Case
from tests.kaggle.world import World, begin, write_bundle

PATIENCE = 12.0  # seconds after which the client alone counts as hanging


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault and both outcomes."""

    case: Case
    alone: str
    deceived: bool  # the client reports success, and it is none
    ours: str
    false: bool  # rsna-bundle reports success, and it is none
    lost: bool  # running it again, the fault gone, does not get there


def main(arguments: Sequence[str]) -> int:
    """Print the table, or only how many of each there are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks publish", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", metavar="TEXT", default="", help="faults whose name has it")
    parser.add_argument("--summary", action="store_true", help="without the table")
    options = parser.parse_args(arguments)
    rows = []
    if not options.summary:
        print("| fault | the client alone | rsna-bundle | lost |\n|---|---|---|---|")
    for case in CASES:
        if options.only in case.name:
            rows.append(row := measure(case))
            if not options.summary:
                print(render(row), flush=True)
    print()
    print(f"{len(rows)} faults")
    print(f"the client alone: false success {sum(row.deceived for row in rows)}")
    print(f"rsna-bundle: false success {sum(row.false for row in rows)}", end="; ")
    print(f"overcome {sum(row.ours == 'done' for row in rows)}", end="; ")
    print(f"named {sum(row.ours != 'done' for row in rows)}", end="; ")
    print(f"lost {sum(row.lost for row in rows)}")
    unchanged()
    return int(any(row.false or row.lost for row in rows))


def measure(case: Case) -> Row:
    """Try a fault on both."""
    with tempfile.TemporaryDirectory() as name, prepared(case, Path(name)) as world:
        alone, deceived = try_alone(case, world)
    with tempfile.TemporaryDirectory() as name, prepared(case, Path(name)) as world:
        case.arm(world)
        error = world.attempt(case.action)
        false = not error and not world.is_done(case.action)
        world.heal()
        again = world.attempt(case.action)
        # A title that is taken stays taken: there the remedy is another slug.
        lost = bool(again) and "already in use" not in again
    ours = error.replace("\n", " ") if error else "done"
    return Row(case=case, alone=alone, deceived=deceived, ours=ours, false=false, lost=lost)


@contextlib.contextmanager
def prepared(case: Case, root: Path) -> Iterator[World]:
    """Yield a world in which the case's action has something to do."""
    with begin(root) as world:
        if case.action == "publish":
            write_bundle(root, "libs", b"two")
        yield world


def try_alone(case: Case, world: World) -> tuple[str, bool]:
    """Return what the client says of a fault, and whether it calls a failure a success."""
    if case.action == "submit":
        world.push()  # the client submits a version that is there
    case.arm(world)
    arguments = world.arguments(case.action)
    if case.name == TAKEN:
        arguments = ["datasets", "create", "-p", arguments[3]]
    code, line = world.client_alone(arguments, PATIENCE)
    world.settle()
    done = world.is_done(case.action)
    outcome = "waits forever" if code is None else f"exit {code}: {line}"
    return outcome, code == 0 and not done


def render(row: Row) -> str:
    """Return a line of the table."""
    alone = f"**{short(row.alone)}**" if row.deceived else short(row.alone)
    return f"| {row.case.name} | {alone} | {short(row.ours)} | {'yes' if row.lost else 'no'} |"


def short(text: str, most: int = 110) -> str:
    """Return the beginning of a text, fit for a table's cell."""
    text = text.replace("|", "/")
    return text if len(text) <= most else text[: most - 1] + "…"


def unchanged() -> None:
    """Count what publishing an unchanged bundle costs."""
    with tempfile.TemporaryDirectory() as name, begin(Path(name)) as world:
        world.kaggle.calls.clear()
        before = world.kaggle.datasets.bytes_received
        start = time.perf_counter()
        world.publish()
        seconds = time.perf_counter() - start
        calls = [call for call in world.kaggle.calls if not call.startswith("GET storage")]
        sent = world.kaggle.datasets.bytes_received - before
    print(f"publishing an unchanged bundle: {len(calls)} call, {sent} bytes, {seconds:.2f} s")
