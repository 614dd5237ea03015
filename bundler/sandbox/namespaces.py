"""A sandbox by `unshare` of util-linux and a script that mounts what the command may see."""

import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from bundler.sandbox import system
from bundler.sandbox.sandbox import Sandbox
from bundler.sandbox.sandbox_init import Spec

PROGRAM = "unshare"
INIT = Path(__file__).with_name("sandbox_init.py")
ALLOW = (
    "Allow namespaces with `sysctl kernel.unprivileged_userns_clone=1` (Debian) or "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), start the container with "
    "--security-opt seccomp=unconfined, or run as root."
)


def why_not() -> str | None:
    """Return what is missing for it, or None."""
    if sys.platform != "linux":
        return "this is not Linux"
    if not shutil.which(PROGRAM):
        return f"the program {PROGRAM} is missing: install the package util-linux"
    return None


def command(sandbox: Sandbox, scratch: Path) -> list[str]:
    """Return the words before a command that put it into the sandbox, built in `scratch`."""
    root, path = scratch / "root", scratch / "sandbox.json"
    root.mkdir(exist_ok=True)
    spec = Spec(
        root=str(root),
        links=system.links(),
        mounts=sandbox.mounts,
        devices=system.gpu_devices(),
    )
    path.write_text(json.dumps(asdict(spec)), encoding="utf-8")
    # --kill-child: the first process of a process namespace takes all others with it.
    flags = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child"]
    return [*unshare(flags), *initialize("--sandbox", str(path))]


def unshare(flags: Iterable[str]) -> list[str]:
    """Return the words that give a command namespaces of its own."""
    # Without root, only the owner of a user namespace may make the others.
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [PROGRAM, *user, *flags, "--"]


def initialize(*options: str) -> list[str]:
    """Return the words that finish a sandbox from the inside before the command."""
    return [sys.executable, "-I", str(INIT), *options, "--"]
