"""Call the user's own functions: a hook that writes the hidden test, a metric.

They run in a process of their own, with the folders of their repository first on the path: they
are never imported into ours, and may be named as anything of ours is.
"""

import csv
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler import process
from bundler.errors import CommandError, InputError
from bundler.result import Json

CHILD = Path(__file__).with_name("user_code_child.py")
TAIL = 12  # lines of a traceback that a message repeats


def write_hidden(
    function: str, folder: Path, *, root: Path, competition: Path | None, units: int, seed: int
) -> list[dict[str, str]] | None:
    """Let the user's function write a hidden test into `folder`; return its solution, if any.

    It is called as `function(folder, competition=…, units=…, seed=…)`, with as many of the named
    arguments as it takes, and may return the right answers (rows, or a data frame with the columns
    of the submission). Raises InputError with its traceback's end.
    """
    request: dict[str, Json] = {
        "kind": "hidden",
        "folder": str(folder),
        "competition": str(competition) if competition else "",
        "units": units,
        "seed": seed,
    }
    answer = _call(function, request, root)
    if answer is None:
        return None
    if not isinstance(answer, list):
        raise InputError(f"{function} returned no rows.")
    return [{str(k): str(v) for k, v in row.items()} for row in answer if isinstance(row, dict)]


def metric(
    function: str,
    solution: Sequence[Mapping[str, str]],
    submission: Sequence[Mapping[str, str]],
    identity: str,
    *,
    root: Path,
) -> float:
    """Return the user's metric, called as Kaggle calls its own, with two data frames.

    Raises InputError where it fails, with its traceback's end.
    """
    with tempfile.TemporaryDirectory() as scratch:
        paths = {}
        for name, rows in (("solution", solution), ("submission", submission)):
            path = Path(scratch) / f"{name}.csv"
            with path.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            paths[name] = str(path)
        value = _call(function, {"kind": "metric", "id": identity, **paths}, root)
    if not isinstance(value, float | int):
        raise InputError(f"{function} returned no number.")
    return float(value)


def _call(function: str, request: Mapping[str, Json], root: Path) -> Json:
    with tempfile.TemporaryDirectory() as scratch:
        spec, answer = Path(scratch) / "request.json", Path(scratch) / "answer.json"
        own = [str(root), *([str(root / "src")] if (root / "src").is_dir() else [])]
        content = {**request, "function": function, "path": own, "answer": str(answer)}
        spec.write_text(json.dumps(content), encoding="utf-8")
        # Child processes of theirs find their modules, too.
        folders = [*own, *filter(None, [os.environ.get("PYTHONPATH", "")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
        try:
            process.run([sys.executable, "-P", CHILD, spec], cwd=root, env=env)
            result: Json = json.loads(answer.read_text(encoding="utf-8"))
        except CommandError as error:
            lines = str(error).splitlines()
            raise InputError(
                f"{function} failed, called in {root} by {sys.executable}:\n"
                + "\n".join(lines[-TAIL:])
            ) from error
        except (OSError, ValueError) as error:
            raise InputError(f"{function} ended without a result ({error}).") from error
    return result
