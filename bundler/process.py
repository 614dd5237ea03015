"""Run other programs: every subprocess of the bundler goes through `run`."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from bundler import redaction
from bundler.errors import CommandError

TAIL = 25  # lines of a failed command's output that an error repeats


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    echo: bool = False,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return its result, standard output and error apart.

    `echo` shows the command and lets its output through; raises CommandError where it cannot be
    started, and where it fails unless `check` is off.
    """
    arguments = [str(argument) for argument in command]
    if echo:
        print("+", shlex.join(arguments), file=sys.stderr, flush=True)
    pipe = None if echo else subprocess.PIPE
    try:
        result = subprocess.run(
            arguments,
            cwd=cwd,
            env=None if env is None else dict(env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=pipe,
            stderr=pipe,
            text=True,
            check=False,
        )
    except OSError as error:
        raise CommandError(f"Cannot start {arguments[0]}: {error.strerror}.") from error
    if check and result.returncode:
        raise CommandError(explain(arguments, result))
    return result


def own_module(name: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs a module of ours, also where the user has one of its name.

    `-P` alone would keep the working folder off the path, but not what PYTHONPATH names.
    """
    script = Path(__file__).resolve().parents[1] / "rsna_bundle.py"
    return [sys.executable, "-P", str(script), "-m", name, *map(str, arguments)]


def become(command: Sequence[str]) -> NoReturn:
    """Replace this process by a command that finds the working folder's modules, after ours.

    Not a child: Ctrl-C and a scheduler's SIGTERM must reach a training that then saves its state.
    """
    path = [os.getcwd(), os.environ.get("PYTHONPATH")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], list(command), environment)
    # Windows has no exec that keeps the console: its caller would go on at once.
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def program(name: str) -> Path | None:
    """Return where a program lies: beside this interpreter, else on the path; None if nowhere."""
    beside = Path(sys.executable).with_name(f"{name}.exe" if sys.platform == "win32" else name)
    path = str(beside) if beside.is_file() else shutil.which(name)
    return Path(path) if path else None


def explain(arguments: Sequence[str], result: subprocess.CompletedProcess[str]) -> str:
    """Return what is worth reading of a failed command: how it was called, how it ended."""
    lines = ((result.stderr or "") + (result.stdout or "")).strip().splitlines()
    output = "\n".join(f"  {line}" for line in lines[-TAIL:])
    command = f"`{shlex.join(arguments)}` failed with exit code {result.returncode}"
    # pip, uv and git repeat addresses, and an address may hold a password.
    return redaction.redacted(f"{command}:\n{output}")
