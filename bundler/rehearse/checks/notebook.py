"""Was the notebook written by this tool, for these bundles and settings?"""

import ast
import difflib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bundler.errors import InputError
from bundler.notebook import submission
from bundler.settings import Settings
from inference.boot.bundle import Bundle
from inference.boot.manifest import Code, Model, ModelFiles

EXPECTED = re.compile(r"^EXPECTED = (\{.*?\})$", re.MULTILINE | re.DOTALL)
SHOWN = 20  # lines of a difference
NAMED = 3  # files of weights


def stale(notebook: Path, bundles: Mapping[str, Bundle]) -> Iterator[str]:
    """Yield which bundles are others than the notebook was made for. Raises InputError."""
    made_for = expected_ids(notebook)
    for kind, bundle in bundles.items():
        if made_for.get(kind) != bundle.id:
            yield (
                f"The notebook was made for the {kind} bundle {made_for.get(kind, 'none')[:12]}, "
                f"but {bundle.folder} is {bundle.id[:12]}{origin(bundle)}: a stale version. Run "
                "`rsna-bundle notebook` again, or rebuild the bundle that it was made for."
            )


def edited(notebook: Path, dist: Path, settings: Settings) -> Iterator[str]:
    """Yield how the notebook differs from what the tool writes for `dist` and the settings."""
    with tempfile.TemporaryDirectory() as folder:
        written = submission.write(dist, Path(folder), submission.plan(settings)).path
        lines = list(_difference(written.read_text("utf-8"), notebook.read_text("utf-8")))
    if not lines:
        return
    more = [f"  … and {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
    difference = "\n".join(lines[:SHOWN] + more)
    yield (
        f"{notebook} is not what `rsna-bundle notebook` writes for these settings: it was edited "
        f"by hand, or written by another version or with other options. The difference:\n"
        f"{difference}\nRun `rsna-bundle notebook` again, or change the settings in pyproject.toml."
    )


def expected_ids(notebook: Path) -> dict[str, str]:
    """Return the ids that a notebook was made for. Raises InputError."""
    try:
        sources = ["\n".join(cell) for cell in _cells(notebook.read_text("utf-8"))]
        match = next(match for source in sources if (match := EXPECTED.search(source)))
        ids = ast.literal_eval(match[1])
        return {str(kind): str(identity) for kind, identity in ids.items()}
    except (OSError, ValueError, LookupError, TypeError, StopIteration, SyntaxError) as error:
        raise InputError(
            f"{notebook} is no submission notebook of this tool ({type(error).__name__}). Write it "
            "with `rsna-bundle notebook`."
        ) from error


def origin(bundle: Bundle) -> str:
    """Return which checkpoint or commit a bundle is of, for people."""
    part = bundle.manifest.part
    if isinstance(part, Model):
        names = [one.name for model in part.models for one in model.checkpoints]
        return f" (of the checkpoint {', '.join(names)})" if names else ""
    if isinstance(part, ModelFiles):
        names = [one.name for one in part.weights]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f" (of {', '.join(names[:NAMED])}{more})" if names else ""
    return f" (of the commit {part.commit[:12]})" if isinstance(part, Code) else ""


def _difference(written: str, present: str) -> Iterator[str]:
    """Yield the lines by which two notebooks differ, all cells in one."""
    one, other = ([line for cell in _cells(text) for line in cell] for text in (written, present))
    lines = difflib.unified_diff(one, other, "as written", "as it is", lineterm="", n=1)
    yield from (f"  {line}" for line in lines)


def _cells(text: str) -> list[list[str]]:
    """Return the source lines of each cell."""
    return ["".join(cell["source"]).splitlines() for cell in json.loads(text)["cells"]]
