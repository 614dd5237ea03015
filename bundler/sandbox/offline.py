"""Run a command without a network, and with folders that it cannot change.

Unlike a whole sandbox (`backends`), the command sees the rest of this machine. On Linux, by
namespaces of its own: a network namespace that has loopback alone, and a mount namespace in which
the given folders are read-only. Root is not needed where the kernel lets users make namespaces.
On macOS, by `sandbox-exec`, which is untested.
"""

import functools
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler import process
from bundler.sandbox import namespaces, seatbelt
from bundler.sandbox.backends import SandboxError
from bundler.sandbox.sandbox_init import Spec

__all__ = ["SandboxError", "run", "why_not"]


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    read_only: Sequence[Path] = (),
    network: bool = False,
    echo: bool = False,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command in the sandbox; like `process.run` otherwise.

    Raises SandboxError where the machine has no sandbox, rather than run with the network on.
    """
    if reason := why_not():
        raise SandboxError(reason)
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-offline-") as scratch:
        before = _before(read_only, network, Path(scratch))
        return process.run([*before, *command], cwd=cwd, env=env, echo=echo, check=check)


def _before(read_only: Sequence[Path], network: bool, scratch: Path) -> list[str]:
    if sys.platform == "darwin":
        return seatbelt.restrict(read_only, network)
    spec = Spec(
        read_only=[str(folder.resolve()) for folder in read_only],
        images=[],
        network=network,
        capabilities=[],
        program=[],
    )
    return namespaces.initialize(spec, scratch)


@functools.cache
def why_not() -> str | None:
    """Return why the network cannot be cut off here and what to do, or None where it can."""
    if sys.platform == "darwin":
        return seatbelt.why_not()
    if sys.platform != "linux":
        return (
            "Cutting the network off needs Linux or macOS, and this is another system. Run the "
            "same command in a Linux container or virtual machine."
        )
    if reason := namespaces.why_not():
        return f"The network cannot be cut off: {reason}."
    with tempfile.TemporaryDirectory() as scratch:
        trial = process.run([*_before((), False, Path(scratch)), "true"], check=False)
    if trial.returncode:
        return f"The kernel refuses to make namespaces ({trial.stderr.strip()}). {namespaces.ALLOW}"
    return None
