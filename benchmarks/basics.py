"""`python -m benchmarks basics`: start-up time, sizes of the demo's bundles, early imports."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import inference
from bundler import bundle
from inference.boot.card import Golden
from inference.boot.manifest import Code, Libs, LibsTarget, Model

RUNS = 21
KINDS = ("libs", "model", "code")

# Runs the submission up to the install, and prints every module that was imported by then.
BEFORE_INSTALL = """
import sys
before = set(sys.modules)
from inference import run
from inference.boot import install
def stop(bundle, scratch):
    print(*sorted(set(sys.modules) - before))
    raise SystemExit(0)
install.install = stop
run.main(["--input", sys.argv[1], "--scratch", sys.argv[2]])
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks basics", description=__doc__)
    parser.add_argument(
        "--dist", type=Path, default=Path("dist/demo"), help="what `make demo` made"
    )
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        outside = packages_before_install(Path(folder))
    figures = {
        "help_seconds": help_seconds(),
        "bytes": {kind: folder_size(options.dist / kind) for kind in KINDS},
        "packages_before_install": sorted(outside),
    }
    if options.as_json:
        print(json.dumps(figures, indent=2))
        return 0
    print(f"rsna-bundle --help: {figures['help_seconds']:.3f} s (median of {RUNS})")
    for kind, size in figures["bytes"].items():
        print(f"{options.dist / kind}: {size / 1e6:.2f} MB")
    print(f"packages outside the standard library before the install: {len(outside)}")
    return 0


def help_seconds() -> float:
    """Return the median wall time of `rsna-bundle --help`, in seconds."""
    command = [Path(sys.executable).with_name("rsna-bundle"), "--help"]
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def folder_size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.glob("*"))


def packages_before_install(folder: Path) -> set[str]:
    """Return the packages outside the standard library that the runner imports too early.

    `folder` is an empty one to work in. The runner itself does not count.
    """
    target = LibsTarget(name="host", digest="", python="3", lock=(), excluded=(), shadowed=())
    bundle.write(folder / "libs", {}, Libs(targets=(target,)))
    golden = Golden(dicoms=(), predictions=())
    bundle.write(folder / "model", {}, Model(models=(), golden=golden))
    bundle.write(folder / "code", {}, Code(commit="c", dirty=False, branch=None, runner=""))
    result = subprocess.run(
        [sys.executable, "-S", "-c", BEFORE_INSTALL, folder, folder / "scratch"],
        env={"PYTHONPATH": str(Path(inference.__file__).parents[1]), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {name.partition(".")[0] for name in result.stdout.split()}
    if "inference" not in imported:
        raise AssertionError(f"the runner did not start: {result.stderr}")
    return imported - {"inference"} - set(sys.stdlib_module_names)
