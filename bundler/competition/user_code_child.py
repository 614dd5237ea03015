"""Run one function of the user's, in a process of its own: the script, standard library only.

`python -P user_code_child.py request.json` reads what to call from the request and writes what
came of it to the answer's path, which the request names. Nothing of this project is imported, so
that a module of theirs with one of our names is theirs.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rows = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to call, and with what."""

    kind: str  # hidden or metric
    function: str
    path: list[str]  # folders that come first
    answer: str
    folder: str = ""
    competition: str = ""
    units: int = 0
    seed: int = 0
    solution: str = ""
    submission: str = ""
    id: str = ""


def main(path: str) -> None:
    """Do what a request asks for."""
    request = Request(**json.loads(Path(path).read_text(encoding="utf-8")))
    # Their folders come before everything that is installed beside this script.
    sys.path[:0] = request.path
    module, _, name = request.function.partition(":")
    function = getattr(importlib.import_module(module), name)
    answer = (
        write_hidden(function, request) if request.kind == "hidden" else score(function, request)
    )
    Path(request.answer).write_text(json.dumps(answer), encoding="utf-8")


def write_hidden(function: Callable[..., Any], request: Request) -> Rows | None:
    """Let the user's function write the folder; return its solution as rows of text, or None."""
    options = {
        "competition": Path(request.competition) if request.competition else None,
        "units": request.units,
        "seed": request.seed,
    }
    parameters = inspect.signature(function).parameters.values()
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}
    given = {key: value for key, value in options.items() if anything or key in names}
    solution = function(Path(request.folder), **given)
    if hasattr(solution, "to_dict"):  # a data frame
        solution = solution.to_dict("records")
    if solution is None:
        return None
    return [{str(key): str(value) for key, value in row.items()} for row in solution]


def score(function: Callable[..., Any], request: Request) -> float:
    """Compute a metric as Kaggle calls its own: (solution, submission, name of the id's column)."""
    import pandas

    name = request.id
    solution = pandas.read_csv(request.solution, dtype={name: str})
    submission = pandas.read_csv(request.submission, dtype={name: str})
    # Both in the solution's order, as on Kaggle.
    submission = submission.set_index(name).loc[solution[name]].reset_index()
    three = len(inspect.signature(function).parameters) > 2
    value = function(solution, submission, name) if three else function(solution, submission)
    return float(value)


if __name__ == "__main__":
    main(sys.argv[1])
