"""A sandbox by namespaces of its own, made by `sandbox_init` without another program."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bundler.sandbox import disk, kernel, system
from bundler.sandbox.new_root import Root
from bundler.sandbox.sandbox import Sandbox
from bundler.sandbox.sandbox_init import Spec

INIT = Path(__file__).with_name("sandbox_init.py")
OLDEST = (5, 12)  # Linux: the first that makes mounts read-only with all that is mounted in them
ALLOW = (
    "Allow namespaces with `sysctl kernel.unprivileged_userns_clone=1` (Debian) or "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), start the container with "
    "--security-opt seccomp=unconfined --security-opt systempaths=unconfined, or run as root."
)


def why_not() -> str | None:
    """Return what is missing for it, or None."""
    if sys.platform != "linux":
        return "this is not Linux"
    version = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if version < OLDEST:
        return f"Linux {os.uname().release} is older than 5.12"
    return None


def command(sandbox: Sandbox, scratch: Path) -> list[str]:
    """Return the command line, before the command, that puts it into the sandbox.

    The sandbox is built in `scratch`.
    """
    folder = (scratch / "root").resolve()
    folder.mkdir()
    root = Root(
        folder=str(folder),
        links=system.links(),
        mounts=sandbox.mounts(scratch / "etc"),
        devices=system.gpu_devices(),
        read_only_proc=sandbox.pod is not None,
    )
    return initialize(spec(sandbox, root=root), scratch)


def spec(sandbox: Sandbox, *, root: Root | None = None, program: Sequence[str] = ()) -> Spec:
    """Return what `sandbox_init` makes for a sandbox, before a root or a program does the rest."""
    sized = sandbox.limited.values()
    return Spec(
        root=root,
        read_only=[],
        images=[] if sandbox.pod else disk.images(sized),  # a pod has mounted them
        pod=sandbox.pod.pid if sandbox.pod else None,
        capabilities=[kernel.CAP_SYS_ADMIN] if sandbox.may_mount else [],
        program=list(program),
    )


def initialize(spec: Spec, scratch: Path) -> list[str]:
    """Return the command line, before a command, that runs it in the sandbox of a spec."""
    path = scratch / "sandbox.json"
    path.write_text(json.dumps(asdict(spec)), encoding="utf-8")
    return [sys.executable, "-I", str(INIT), str(path), "--"]
