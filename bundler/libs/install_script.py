"""Install a libs bundle as the notebook does, and import what it brought.

Run in the sandbox, by the target's Python: `python install_script.py BUNDLE SCRATCH MODULES.json`.
It needs the standard library and `inference.boot`, as the notebook does, and writes its outcome
to SCRATCH.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from inference.boot import bundle as reader
from inference.boot import install as installer
from inference.errors import RunError

IMPORT = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
OUTCOME = "outcome.json"
IMPORT_TIMEOUT = 300  # seconds for one package's import


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the script leaves behind: why nothing installed, or each package's import."""

    error: str | None = None
    imports: Mapping[str, str | None] = field(default_factory=dict)  # package → reason, or None


def main(arguments: list[str]) -> None:
    """Install, import, and write the outcome."""
    folder, scratch, modules = (Path(argument) for argument in arguments)
    os.chdir(scratch)
    # Not printed: a package may print when it is imported.
    text = json.dumps(asdict(install(folder, scratch, modules)))
    (scratch / OUTCOME).write_text(text, encoding="utf-8")


def install(folder: Path, scratch: Path, modules: Path) -> Outcome:
    """Install the bundle in a folder, and import its packages."""
    try:
        bundle = reader.read(folder)  # each file is verified when it is restored
        installer.activate(installer.install(bundle, scratch))
    except RunError as error:
        return Outcome(error=str(error))
    wanted = json.loads(modules.read_text(encoding="utf-8"))
    return Outcome(imports={name: failure(wanted[name]) for name in sorted(wanted)})


def failure(modules: list[str]) -> str | None:
    """Return why modules cannot be imported, in a process of their own, or None if they can.

    Of their own: a crash of one package's native code must not hide the others' results.
    """
    if not modules:
        return "it has no module"
    command = [sys.executable, "-W", "ignore", "-c", IMPORT, *modules]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"importing it took longer than {IMPORT_TIMEOUT} s"
    if result.returncode < 0:
        return f"importing it crashed (signal {-result.returncode})"
    return (result.stderr.strip().splitlines() or ["it failed"])[-1] if result.returncode else None


if __name__ == "__main__":
    main(sys.argv[1:])
