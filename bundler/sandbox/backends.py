"""The ways to make a sandbox: which of them work on this machine, and how one is started."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bundler.errors import BundlerError, CommandError
from bundler.process import explain
from bundler.sandbox import bubblewrap, container, disk, kernel, namespaces, seatbelt
from bundler.sandbox.container import Engine
from bundler.sandbox.sandbox import Sandbox


class SandboxError(BundlerError):
    """This machine cannot cut a command off from the network."""

    exit_code = 1


class Backend(Protocol):
    """A module that knows one way to make a sandbox."""

    def why_not(self) -> str | None:
        """Return what is missing for it on this machine, or None."""

    def command(self, sandbox: Sandbox, scratch: Path) -> list[str]:
        """Return the command line, before a command, that puts it into the sandbox."""


# The first that works is taken: bubblewrap was made for the purpose, and many have tried it.
BACKENDS: Mapping[str, Backend] = {
    "bubblewrap": bubblewrap,
    "namespaces": namespaces,
    seatbelt.PROGRAM: seatbelt,
}


# These are asked for: only the user knows which image is the notebook's.
ENGINES: Mapping[str, Engine] = container.ENGINES
NAMES = (*ENGINES, *BACKENDS)


def reasons() -> dict[str, str | None]:
    """Return for each way to make a sandbox why it does not work here, or None."""
    return {name: _why_not(name) for name in BACKENDS}


def choose() -> str | None:
    """Return the first way to make a sandbox that works here; None where none does."""
    return next((name for name in BACKENDS if _why_not(name) is None), None)


def require(name: str | None = None) -> str:
    """Return the way to make a sandbox that works here, or `name`, if that does.

    Raises SandboxError where none does.
    """
    if name:
        reason = ENGINES[name].why_not() if name in ENGINES else _why_not(name)
        if reason:
            raise SandboxError(f"The sandbox {name} cannot be made on this machine: {reason}.")
        return name
    if name := choose():
        return name
    why = "; ".join(f"{name}: {reason}" for name, reason in reasons().items())
    raise SandboxError(f"No sandbox can be made on this machine ({why}). {namespaces.ALLOW}")


def start(
    command: Sequence[str | Path],
    sandbox: Sandbox,
    *,
    backend: str,
    env: Mapping[str, str],
    log: Path,
    scratch: Path,
) -> "subprocess.Popen[bytes]":
    """Start a command in a sandbox, without a network; its output is appended to `log`.

    `backend` is one of `BACKENDS`, `scratch` a folder for what it needs to build. The sandbox ends
    with the command, and both end with this process, however it ends; with `sandbox-exec` they
    end when `end` is called. A container's command must end when its standard input does.
    """
    engine = ENGINES.get(backend)
    maker: Backend = engine or BACKENDS[backend]
    before = maker.command(sandbox, scratch)
    if engine:
        engine.write_environment(env, scratch)
    parent = os.getpid()

    def prepare() -> None:
        kernel.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)  # it ended before the kernel could be asked

    with log.open("ab") as sink:
        return subprocess.Popen(
            [*before, *map(str, command)],
            env=None if engine else dict(env),
            stdin=subprocess.PIPE if engine else subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=prepare if sys.platform == "linux" else None,
        )


def run(command: Sequence[str | Path], sandbox: Sandbox, *, env: Mapping[str, str]) -> str:
    """Run a command in a sandbox to its end, and return what it printed.

    Raises SandboxError where there is no sandbox, CommandError where the command fails.
    """
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-sandbox-") as folder:
        log = Path(folder) / "log"
        started = start(command, sandbox, backend=require(), env=env, log=log, scratch=Path(folder))
        try:
            code = started.wait()
        finally:  # an interruption, too, leaves nothing running
            end(started)
        output = log.read_text(encoding="utf-8", errors="replace")
    if code:
        arguments = list(map(str, command))
        result = subprocess.CompletedProcess(arguments, code, output, "")
        raise CommandError(explain(arguments, result))
    return output


def root(process: "subprocess.Popen[bytes]", backend: str) -> int:
    """Return the process below which all of a sandbox are, by its id on this machine."""
    return ENGINES[backend].root(process) if backend in ENGINES else process.pid


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a command that was started in a sandbox, and all that it started."""
    engine = ENGINES.get(str(process.args[0])) if isinstance(process.args, list) else None
    if engine:
        engine.remove(process)
    if process.stdin:
        process.stdin.close()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _why_not(name: str) -> str | None:
    reason = BACKENDS[name].why_not()
    if reason or name == seatbelt.PROGRAM:
        return reason
    # Only a trial tells whether the kernel, a container or its security profile allows it.
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        limited = {"/limited": disk.make(scratch / "limited", 1 << 20)}
        sandbox = Sandbox(writable={"/trial": scratch}, limited=limited)
        env = {"PATH": os.environ.get("PATH", os.defpath)}
        log = scratch / "log"
        process = start(["/bin/true"], sandbox, backend=name, env=env, log=log, scratch=scratch)
        if process.wait() == 0:
            return None
        return log.read_text(errors="replace").strip() or "it fails and prints nothing"
