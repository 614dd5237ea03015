"""What the command is given: this Python, its variables, the tree and the wheels on its path."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.boot.mounted import SCRATCH
from inference.boot.prepare import PREPARED, STARTED, Prepared


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where everything is that the command uses."""

    prepared: Prepared
    code: Path  # holds `tree` and `runner`
    competition: Path
    input: Path
    scratch: Path

    def mounts(self) -> dict[str, str]:
        """Return where the datasets and the competition are mounted."""
        folders = {kind: str(bundle.folder) for kind, bundle in self.prepared.bundles.items()}
        return {**folders, "competition": str(self.competition)}


def resolve(command: Sequence[str], tree: Path, working: Path) -> list[str]:
    """Return the command as it is run: this Python, and files of the tree by their whole path.

    `python predict.py` so works in the working folder, where nothing is mounted.
    """
    resolved = [
        str(tree / word) if (tree / word).is_file() and not (working / word).exists() else word
        for word in command
    ]
    if command[0] in ("python", "python3"):
        resolved[0] = sys.executable
    return resolved


def variables(around: Surroundings, *, start: float, runner_first: bool) -> dict[str, str]:
    """Return the variables of the command: ours, and all that the notebook has.

    The tree comes first on the path, then the wheels, then the runner, which stays importable.
    Only where the runner itself is the command it comes first (`runner_first`): the tree may have
    an `inference`, too. `start` is when the launch began, on the clock of `time.monotonic`.
    """
    tree, runner = around.code / "tree", around.code / "runner"
    own = [tree, *([tree / "src"] if (tree / "src").is_dir() else [])]
    site = around.prepared.site
    order = [runner, site, *own] if runner_first else [*own, site, runner]
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths = [*map(str, order), *(path for path in inherited if Path(path) != runner)]
    result = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        # What `bash run.sh` calls python is this one, too.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",  # through a pipe, output would come in blocks of 8 KB
        "RSNA_BUNDLE_CODE": str(tree),
        "RSNA_BUNDLE_COMPETITION": str(around.competition),
        "RSNA_BUNDLE_INPUT": str(around.input.absolute()),
        SCRATCH: str(around.scratch),
        PREPARED: around.prepared.token,
        STARTED: repr(start),
    }
    if around.prepared.model_folder:
        result["RSNA_BUNDLE_MODEL"] = str(around.prepared.model_folder)
    if runner_first:
        result["PYTHONSAFEPATH"] = "1"  # nor does an `inference` in the working folder win
    return result
