"""Install a libs bundle as the notebook does, and import what it brought.

Run in the sandbox, by the target's Python: `python install_script.py BUNDLE SCRATCH MODULES.json`.
It needs the standard library and `inference.boot`, as the notebook does, and prints JSON.
"""

import json
import subprocess
import sys
from pathlib import Path

from inference.boot import bundle as reader
from inference.boot import install as installer
from inference.errors import RunError

IMPORT = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
IMPORT_TIMEOUT = 300  # seconds for one package's import


def main(arguments: list[str]) -> None:
    """Print {"error": …} or {"imports": {package: reason or null}}."""
    folder, scratch, modules = (Path(argument) for argument in arguments)
    try:
        bundle = reader.read(folder)  # each file is verified when it is restored
        installer.activate(installer.install(bundle, scratch))
    except RunError as error:
        print(json.dumps({"error": str(error)}))
        return
    wanted = json.loads(modules.read_text(encoding="utf-8"))
    print(json.dumps({"imports": {name: failure(wanted[name]) for name in sorted(wanted)}}))


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
