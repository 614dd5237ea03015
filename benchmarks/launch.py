"""`python -m benchmarks launch`: what `inference.launch` costs over running the command directly.

A repository's script is run three ways, in turn: by itself; by the launcher in a scratch folder
that an earlier launch has filled; and in an empty one, as in a new notebook. There are no wheels:
what an install takes is pip's.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import inference
from bundler import bundle
from inference.boot.manifest import Code, Libs, LibsTarget

RUNNER = Path(inference.__file__).parent
SUBMIT = "open('submission.csv', 'w').write('id,target\\n1,0.5\\n')\n"
FILES = 200  # of the tree: a repository of some size
COMPETITION = "phantoms"


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """A notebook's mounts, and a folder to work in."""

    root: Path

    def direct(self) -> float:
        """Return the seconds that the script takes by itself."""
        return self._timed([sys.executable, str(self.root / "tree" / "submit.py")])

    def launched(self, scratch: Path) -> float:
        """Return the seconds that it takes by the launcher."""
        options = ["--input", self.root / "input", "--competition", COMPETITION]
        options += ["--scratch", scratch, "--working", self.root / "working"]
        command = [sys.executable, "-m", "inference.launch", *map(str, options)]
        return self._timed([*command, "--", "python", "submit.py"])

    def _timed(self, command: Sequence[str]) -> float:
        (self.root / "working" / "submission.csv").unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(RUNNER.parent)}
        start = time.perf_counter()
        subprocess.run(
            command,
            cwd=self.root / "working",
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the overheads: median, least and most of the rounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks launch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-benchmark-") as folder:
        figures = measure(write(Path(folder)), options.rounds)
    for name, seconds in figures.items():
        low, high = min(seconds), max(seconds)
        print(f"{name}: {statistics.median(seconds):.2f} s ({low:.2f} to {high:.2f})")
    return 0


def measure(notebook: Notebook, rounds: int) -> Mapping[str, list[float]]:
    """Return seconds by what was measured; what is compared is run in turn, in each round."""
    figures: dict[str, list[float]] = {"direct": [], "overhead, warm": [], "overhead, cold": []}
    warm, cold = notebook.root / "warm", notebook.root / "cold"
    notebook.launched(warm)
    for _ in range(rounds):
        direct = notebook.direct()
        figures["direct"].append(direct)
        figures["overhead, warm"].append(notebook.launched(warm) - direct)
        figures["overhead, cold"].append(notebook.launched(cold) - direct)
        shutil.rmtree(cold)
    return figures


def write(root: Path) -> Notebook:
    """Write bundles, a competition and a tree below an empty folder."""
    tree = {"submit.py": SUBMIT, **{f"mine/module{n}.py": "x = 1\n" * 100 for n in range(FILES)}}
    for name, text in tree.items():
        (root / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "tree" / name).write_text(text)
    sources = {
        f"inference/{path.relative_to(RUNNER).as_posix()}": path.read_text()
        for path in sorted(RUNNER.rglob("*.py"))
    }
    archives = {
        "tree.zip": _zipped(root / "tree.zip", tree),
        "runner.zip": _zipped(root / "runner.zip", sources),
    }
    code = Code(commit="0" * 40, dirty=False, branch=None, runner=inference.__version__)
    python = platform.python_version()
    target = LibsTarget(name="host", digest="", python=python, lock=(), excluded=(), shadowed=())
    bundle.write(root / "input" / "code", archives, code)
    bundle.write(root / "input" / "libs", {}, Libs(targets=(target,)))
    competition = root / "input" / COMPETITION
    competition.mkdir()
    (competition / "test.csv").write_text("id\n1\n")
    (competition / "sample_submission.csv").write_text("id,target\n1,0\n")
    (root / "working").mkdir()
    return Notebook(root=root)


def _zipped(path: Path, files: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(f"{path.stem}/{name}"), text)
    return path


if __name__ == "__main__":
    sys.exit(main())
