"""The submit.py of a new repository whose competition has a gateway: a server that answers at once.

Its answers are the first training row's, which the host's checks take, until they are the user's.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bundler.competition.columns import EMPTY, Kind
from bundler.competition.gateway.batches import Batch
from bundler.competition.gateway.package import NAME, Package
from bundler.competition.table import Cell, text

if TYPE_CHECKING:
    from bundler.competition.profile import Profile

WIDTH = 100  # of a line

SUBMIT = '''\
"""Serve predictions to the competition's gateway: {competition}.

On the laptop: RSNA_BUNDLE_COMPETITION=data RSNA_BUNDLE_MODEL=. python submit.py
"""

import os
import sys
{modules}from pathlib import Path
{polars}
COMPETITION = Path(os.environ["RSNA_BUNDLE_COMPETITION"])  # the competition's files
MODEL = Path(os.environ.get("RSNA_BUNDLE_MODEL", "."))  # `--files weights` is MODEL / "weights"
DATA = {data}  # what the gateway reads, in its order
sys.path.append(str(COMPETITION))  # the package lies among the competition's files

{imports}


{predict}

{server}def main() -> None:
    """Serve the hidden test on the rerun; elsewhere answer the public one here."""
    server = {made}(predict)
    if os.getenv("KAGGLE_IS_COMPETITION_RERUN"):
        server.serve()  # which does not return
        return
{local}

if __name__ == "__main__":
    main()
'''

MARK = "# Yours to write: so far every row gets "
PREDICT = '''\
def predict({arguments}):
    """Return the answer to one call of the gateway, which calls this function by its name.

    Load models in the first call, which has no deadline. An exception in any call ends the whole
    submission.
    """
    {mark}{whose}.
    answer = {answer}
{answered}
'''
SINGLE = "    return answer[{target}]"
TABLE = """\
    rows = {rows}
    return pl.DataFrame({{name: [value] * rows for name, value in answer.items()}})"""
# As long as the line that answers is the skeleton's own, all rows get the same.
UNTOUCHED = re.compile(
    rf"^    {re.escape(MARK)}.*^    return (answer\[|pl\.DataFrame\(\{{name: \[value\])",
    re.MULTILINE | re.DOTALL,
)

# For a competition whose package has a gateway alone.
SERVER = '''\
class Server(kaggle_evaluation.core.templates.InferenceServer):
    """Serves functions; the competition has no server of its own."""

    def _get_gateway_for_test(self, data_paths=None, file_share_dir=None):
        return {gateway}({arguments})


'''
PATHS = "    paths = tuple(str(COMPETITION / name) for name in DATA)\n"
LOCAL = f"{PATHS}    server.run_local_gateway(paths)\n"
SHARED = f"""\
{PATHS}    # What is shared needs an empty folder; on the rerun it is /kaggle/shared.
    with tempfile.TemporaryDirectory() as shared:
        server.run_local_gateway(paths, file_share_dir=shared)
"""


def is_untouched(script: str) -> bool:
    """Say whether the text of a submit.py still answers all rows alike, as it was written."""
    return bool(UNTOUCHED.search(script))


def submit(competition: str, profile: "Profile") -> str:
    """Return the text of a submit.py that serves; "" where the gateway does not show what it calls.

    A game does not, for instance, since its gateway yields no batches.
    """
    package = profile.gateway
    if package is None or package.batch is None:
        return ""
    answer, whose = _answer(profile, package)
    # A gateway that names the column itself takes a value alone.
    single = package.batch.rows_of == "" and list(answer) == [package.target]
    own = package.server
    imports = [f"import {own.module}"] if own else [f"import {NAME}.core.templates"]
    imports += [] if own else [f"import {package.gateway.module}"]
    shared = "data_paths, file_share_dir" if package.shares_files else "data_paths"
    return SUBMIT.format(
        competition=competition,
        modules="import tempfile\n" if package.shares_files else "",
        polars="" if single else "\nimport polars as pl\n",
        data=_tuple(package.data_paths or package.reads),
        imports="\n".join(imports),
        predict=_predict(package.batch, answer, whose, single=single),
        server="" if own else SERVER.format(gateway=package.gateway, arguments=shared),
        made=own or "Server",
        local=SHARED if package.shares_files else LOCAL,
    )


def _tuple(names: Sequence[str]) -> str:
    return f"({', '.join(map(json.dumps, names))}{',' if len(names) == 1 else ''})"


def _predict(batch: Batch, answer: Mapping[str, str], whose: str, *, single: bool) -> str:
    """Return the function that answers; `single`: by a value, else by a table."""
    first = batch.arguments[0] if batch.arguments else "data[0]"
    # Where the host's code does not show it: a table is answered row by row, all else once.
    unknown = f'len({first}) if hasattr({first}, "columns") else 1'
    rows = {"": "1", None: unknown}.get(batch.rows_of, f"len({batch.rows_of})")
    return PREDICT.format(
        arguments=", ".join(batch.arguments) or "*data",
        mark=MARK,
        whose=whose,
        answer=_literal(answer),
        answered=SINGLE.format(target=json.dumps(next(iter(answer)), ensure_ascii=False))
        if single
        else TABLE.format(rows=rows),
    )


def _literal(answer: Mapping[str, str]) -> str:
    """Return a dict as Python's formatters write it: on one line, or one for each item."""
    pairs = [f"{json.dumps(name, ensure_ascii=False)}: {value}" for name, value in answer.items()]
    line = f"{{{', '.join(pairs)}}}"
    if len(line) <= WIDTH - len("    answer = "):
        return line
    return "{\n" + "".join(f"        {pair},\n" for pair in pairs) + "    }"


def _answer(profile: "Profile", package: Package) -> tuple[dict[str, str], str]:
    """Return target → value as Python writes it, and whose answer it is, for people."""
    targets = profile.hidden.targets
    for table in (profile.sample, profile.answers, profile.train):
        if table is None or not targets or not all(table.has(name) for name in targets):
            continue
        for row in table.examples:
            if not any(text(row[name]) in EMPTY for name in targets):
                values = {name: _written(row[name], table.column(name).kind) for name in targets}
                return values, f"the answer of a row of {table.table.path.name}"
    return {package.target or "answer": "0.0"}, "a number, since no table shows an answer"


def _written(value: Cell, kind: Kind) -> str:
    """Return a table's value as Python writes it; in a csv file all are text."""
    if isinstance(value, bool | int | float):
        return repr(value)
    word = text(value)
    if kind == "integer":
        return str(int(word))
    if kind == "number":
        return repr(float(word))
    if kind == "boolean" and word.lower() in ("true", "false"):
        return repr(word.lower() == "true")
    return json.dumps(word, ensure_ascii=False)
