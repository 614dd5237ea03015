"""A sandbox by bubblewrap, the program that Flatpak uses for its own.

`sandbox_init` makes the network before it, so that the name server's port can be opened to all; a
user namespace inside that one's is bubblewrap's, and there no right is left.
"""

import os
import shutil
import sys
from pathlib import Path

from bundler import process
from bundler.sandbox import namespaces, new_root, system
from bundler.sandbox.sandbox import Sandbox

PROGRAM = "bwrap"
NEEDED = "--disable-userns"  # new in 0.8: without it, a command could make namespaces and mount


def why_not() -> str | None:
    """Return what is missing for it, or None."""
    if sys.platform != "linux":
        return "this is not Linux"
    if not shutil.which(PROGRAM):
        return f"the program {PROGRAM} is missing: install the package bubblewrap"
    if NEEDED not in process.run([PROGRAM, "--help"], check=False).stdout:
        return f"{PROGRAM} is older than 0.8 and cannot forbid new namespaces"
    return None


def command(sandbox: Sandbox, scratch: Path) -> list[str]:
    """Return the command line, before the command, that puts it into the sandbox."""
    program = shutil.which(PROGRAM) or PROGRAM  # by our PATH, not by the sandbox's
    user = ["--unshare-user", NEEDED, "--uid", "0", "--gid", "0"]  # root inside, as on Kaggle
    apart = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--new-session"]
    words = [program, "--die-with-parent", *user, *apart, "--cap-drop", "ALL"]
    words += [*_mounts(sandbox, scratch / "etc"), "--"]
    return namespaces.initialize(namespaces.spec(sandbox, program=words), scratch)


def _mounts(sandbox: Sandbox, etc: Path) -> list[str]:
    words = ["--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"]
    # Bubblewrap covers these for users; where root starts it, they are root's own to write.
    for path in (f"/proc/{name}" for name in new_root.PROC_READ_ONLY):
        words += ["--ro-bind-try", path, path]
    for path in (f"/proc/{name}" for name in new_root.PROC_HIDDEN):
        words += ["--ro-bind", os.devnull, path] if os.path.isfile(path) else []
    for path, target in system.links().items():
        words += ["--symlink", target, path]
    for mount in sandbox.mounts(etc):
        words += ["--bind" if mount.writable else "--ro-bind", mount.source, mount.path]
    for device in system.gpu_devices():
        words += ["--dev-bind", device, device]
    # Last: the mount points above had to be made in the root.
    return [*words, "--remount-ro", "/"]
