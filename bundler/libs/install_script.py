"""Install a libs bundle as the notebook does, and import what it brought.

Run in the sandbox, by the target's Python:
`python install_script.py BUNDLE SCRATCH MODULES.json TARGET`.
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

# Writes what went wrong (null if nothing did), and which modules were missing on the way: a library
# may turn a missing module into an error of its own.
IMPORT = """
import importlib, json, sys
reason, missing = None, []
try:
    for name in sys.argv[2:]:
        importlib.import_module(name)
except BaseException as error:
    reason = (f"{type(error).__name__}: {error}".splitlines() or [""])[0]
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            missing.append(error.name)
        error = error.__cause__ or error.__context__
with open(sys.argv[1], "w") as stream:
    json.dump({"reason": reason, "missing": missing}, stream)
"""
OUTCOME = "outcome.json"
IMPORT_TIMEOUT = 300  # seconds for one package's import


@dataclass(frozen=True, kw_only=True)
class Import:
    """What came of one package's import: no reason where it worked."""

    reason: str | None = None
    missing: tuple[str, ...] = ()  # modules


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the script leaves behind: why nothing installed, or each package's import."""

    error: str | None = None
    imports: Mapping[str, Import] = field(default_factory=dict)


def main(arguments: list[str]) -> None:
    """Install, import, and write the outcome."""
    folder, scratch, modules = (Path(argument) for argument in arguments[:3])
    os.chdir(scratch)
    # Not printed: a package may print when it is imported.
    text = json.dumps(asdict(install(folder, scratch, modules, arguments[3])))
    (scratch / OUTCOME).write_text(text, encoding="utf-8")


def install(folder: Path, scratch: Path, modules: Path, target: str) -> Outcome:
    """Install the bundle in a folder by the lock of a target, and import its packages."""
    try:
        bundle = reader.read(folder)  # each file is verified when it is restored
        # By its name: this machine may fit several, and each is to be tested.
        chosen = next(one for one in bundle.libs.targets if one.name == target)
        installer.activate(installer.install(bundle, scratch, chosen))
    except RunError as error:
        return Outcome(error=str(error))
    empty = scratch / "empty"  # Python looks for modules in the working folder, too
    empty.mkdir()
    wanted = json.loads(modules.read_text(encoding="utf-8"))
    return Outcome(imports={name: imported(wanted[name], empty) for name in sorted(wanted)})


def imported(modules: list[str], folder: Path) -> Import:
    """Import modules in a process of their own, and return why they cannot be, if they cannot.

    Of their own: a crash of one package's native code must not hide the others' results.
    """
    answer = folder.with_name("import.json")
    answer.unlink(missing_ok=True)
    command = [sys.executable, "-W", "ignore", "-c", IMPORT, str(answer), *modules]
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=IMPORT_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return Import(reason=f"importing it took longer than {IMPORT_TIMEOUT} s")
    if result.returncode < 0:
        return Import(reason=f"importing it crashed (signal {-result.returncode})")
    try:
        failed = json.loads(answer.read_text(encoding="utf-8"))
    except FileNotFoundError:
        lines = result.stderr.strip().splitlines() or ["it ended Python"]
        return Import(reason=lines[-1])
    return Import(reason=failed["reason"], missing=tuple(failed["missing"]))


if __name__ == "__main__":
    main(sys.argv[1:])
