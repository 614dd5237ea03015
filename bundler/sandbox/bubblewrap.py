"""A sandbox by bubblewrap, the program that Flatpak uses for its own."""

import os
import shutil
import sys
from pathlib import Path

from bundler.sandbox import system
from bundler.sandbox.sandbox import Sandbox

PROGRAM = "bwrap"


def why_not() -> str | None:
    """Return what is missing for it, or None."""
    if sys.platform != "linux":
        return "this is not Linux"
    if not shutil.which(PROGRAM):
        return f"the program {PROGRAM} is missing: install the package bubblewrap"
    return None


def command(sandbox: Sandbox, scratch: Path) -> list[str]:
    """Return the words before a command that put it into the sandbox."""
    apart = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    if os.geteuid() != 0:
        apart += ["--unshare-user", "--uid", "0", "--gid", "0"]  # root inside, as on Kaggle
    # Its name server, which refuses and notes every question, listens on port 53.
    allowed = ["--cap-add", "CAP_NET_BIND_SERVICE"]
    return [PROGRAM, "--die-with-parent", *apart, *allowed, *_mounts(sandbox), "--"]


def _mounts(sandbox: Sandbox) -> list[str]:
    words, mounts = ["--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"], sandbox.mounts
    for path, target in system.links().items():
        words += ["--symlink", target, path]
    for mount in mounts:
        if mount.kind == "limited":
            words += ["--size", str(mount.size), "--tmpfs", mount.path]
        else:
            bind = "--ro-bind" if mount.kind == "read_only" else "--bind"
            words += [bind, mount.source, mount.path]
    for device in system.gpu_devices():
        words += ["--dev-bind", device, device]
    # Last: the mount points above had to be made in the root.
    return [*words, "--remount-ro", "/"]
