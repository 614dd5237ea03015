"""The console script `rsna-bundle`: our own packages first, whatever lies in the way.

A user's repository may have an `inference`, `train`, `bundler` or `benchmarks` of its own, and the
working folder and PYTHONPATH come before the installed packages. So the script imports this module,
whose name is nobody else's, and it puts the path in order before anything else is imported.

    python -m rsna_bundle …                 the command line, without its script
    python rsna_bundle.py -m MODULE …       a module of ours, for child processes
"""

import contextlib
import os
import runpy
import site
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent  # where our packages lie
SITES = ("site-packages", "dist-packages")


def main() -> None:
    """Run the command line."""
    put_own_packages_first()
    with missing_packages_explained():
        from bundler.cli import main as run

        run()


@contextlib.contextmanager
def missing_packages_explained() -> Iterator[None]:
    """Exit with one line, not with a traceback, where an optional package is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        from bundler import extras

        extras.refuse(error)
        raise


def put_own_packages_first() -> None:
    """Order sys.path: the standard library, ours, what is installed, then the user's.

    The user's stay importable, for what is nowhere else. Reordered is sys.path itself, since
    multiprocessing hands it on to its children.
    """
    sites = [*site.getsitepackages(), site.getusersitepackages()]
    foreign = {os.path.realpath(entry) for entry in _given_by_user()}
    foreign -= {os.path.realpath(folder) for folder in sites}
    first: list[str] = []
    last: list[str] = []
    for entry in sys.path:
        real = os.path.realpath(entry)
        if real != str(ROOT):  # it is put where it belongs below
            (last if real in foreign else first).append(entry)
    # Before what is installed, and after the standard library, which nothing may replace.
    numbers = (number for number, entry in enumerate(first) if Path(entry).name in SITES)
    first.insert(next(numbers, len(first)), str(ROOT))
    sys.path[:] = first + last


def _given_by_user() -> list[str]:
    """Return the working folder, the script's folder, and PYTHONPATH's entries."""
    script = os.path.dirname(sys.argv[0])
    return ["", script, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["-m"] and len(sys.argv) > 2:
        put_own_packages_first()
        del sys.argv[:2]  # what is left is as `python -m MODULE …` has it
        with missing_packages_explained():
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        main()
