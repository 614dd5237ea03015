"""Make what several sandboxes share, and hold it until the end; the standard library only.

`python -I pod_init.py SPEC` prints `ready` and sleeps; sandboxes join its namespaces by its id.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # started by its path, it does not know the package it is of
    sys.path.insert(0, str(Path(__file__).parents[2]))

from bundler.sandbox import kernel, new_root, sandbox_init
from bundler.sandbox.kernel import MS_BIND, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC
from bundler.sandbox.sandbox_init import Image


@dataclass(frozen=True, kw_only=True)
class PodSpec:
    """Folders of the machine, as the pod has them."""

    writable: str  # all that is not below it becomes read-only
    shared: str  # below it; a file system in memory that holds mount points alone
    images: list[Image]  # file systems that lie in files, each mounted below it

    @classmethod
    def read(cls, text: str) -> "PodSpec":
        """Read what `json.dumps(asdict(spec))` returned."""
        content = json.loads(text)
        return cls(**content | {"images": [Image(**image) for image in content["images"]]})


def main(arguments: list[str]) -> None:
    """Make the namespaces and wait for a signal."""
    try:
        hold(PodSpec.read(arguments[0]))
    except OSError as error:
        sandbox_init.fail(error)


def hold(spec: PodSpec) -> None:
    """Make the namespaces, say so, and wait for a signal."""
    user, group = os.geteuid(), os.getegid()
    proc = os.open("/proc", os.O_PATH)  # of the machine's mounts, which stay writable
    # First of all, since a user namespace may mount none; those inside inherit them.
    sandbox_init.mount_images(spec.images)
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
    kernel.map_to_root(user, group)
    kernel.mount("none", "/", None, MS_REC | MS_PRIVATE)
    kernel.mount(spec.writable, spec.writable, None, MS_BIND | MS_REC)
    kernel.restrict("/", MS_RDONLY | MS_NOSUID)
    for folder in (spec.writable, *(image.folder for image in spec.images)):
        kernel.allow_writing(folder)
    # Once more: what is read-only where a user namespace begins stays so for all that is in it,
    # /proc included. So a sandbox with the right to mount cannot write to this machine.
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWNET)
    kernel.map_to_root(0, 0, proc)
    kernel.mount("none", "/", None, MS_REC | MS_PRIVATE)
    kernel.mount("tmpfs", spec.shared, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    kernel.mount("none", spec.shared, None, kernel.MS_SHARED)
    sandbox_init.open_network(proc)
    new_root.forbid_user_namespaces("sys", proc)
    kernel.die_with_parent()
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
