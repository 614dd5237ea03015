"""Run a command without a network, and with folders that it cannot change.

On Linux, by namespaces of its own: a network namespace that has loopback alone, and a mount
namespace in which the given folders are read-only. Root is not needed where the kernel lets
users make namespaces. On macOS, by `sandbox-exec`, which is untested.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler import process
from bundler.errors import BundlerError
from bundler.sandbox import seatbelt

MEND = (
    "Allow namespaces with `sysctl kernel.unprivileged_userns_clone=1` (Debian) or "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), start the container with "
    "--security-opt seccomp=unconfined, or run as root."
)
INSIDE = Path(__file__).with_name("sandbox_init.py")


class SandboxError(BundlerError):
    """This machine cannot cut a command off from the network."""

    exit_code = 1


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
    words = [*_before(read_only, network), *command]
    return process.run(words, cwd=cwd, env=env, echo=echo, check=check)


def _before(read_only: Sequence[Path], network: bool) -> list[str | Path]:
    if sys.platform == "darwin":
        return [*seatbelt.words(read_only, network)]
    folders = [word for folder in read_only for word in ("--read-only", str(folder.resolve()))]
    return [*_unshare(network), sys.executable, "-I", INSIDE, *folders, "--"]


@functools.cache
def why_not() -> str | None:
    """Return why this machine has no sandbox and how to mend it, or None where it has one."""
    if sys.platform == "darwin":
        return seatbelt.why_not()
    if sys.platform != "linux":
        return (
            "Cutting the network off needs Linux or macOS, and this is another system. Run the "
            "same command in a Linux container or virtual machine."
        )
    if not shutil.which("unshare"):
        return "The program `unshare` is missing; install the package util-linux."
    tried = process.run([*_unshare(False), sys.executable, "-I", INSIDE, "--", "true"], check=False)
    if tried.returncode:
        return f"The kernel refuses to make namespaces ({tried.stderr.strip()}). {MEND}"
    return None


def _unshare(network: bool) -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", *([] if network else ["--net"]), "--"]
