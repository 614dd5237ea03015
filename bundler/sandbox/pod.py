"""What several sandboxes share: a loopback, and a folder in which what one mounts shows in all.

As the containers of a Kubernetes pod do, and as Kaggle's gateway and the notebook's server do.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bundler.errors import BundlerError
from bundler.sandbox import disk, kernel
from bundler.sandbox.disk import SizedFolder
from bundler.sandbox.pod_init import PodSpec

INIT = Path(__file__).with_name("pod_init.py")
SHARED = "/kaggle/shared"
BACKEND = "namespaces"  # the only one whose sandboxes can share what one of them mounts


class PodError(BundlerError):
    """This machine cannot make what several sandboxes would share."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class Pod:
    """Namespaces that sandboxes of `namespaces` join, by the process that holds them."""

    pid: int
    shared: Path  # on this machine; it is empty there, since its content is the pod's alone
    path: str = SHARED  # where each sandbox finds it


@contextlib.contextmanager
def start(folder: Path, *, path: str = SHARED, sized: Iterable[SizedFolder] = ()) -> Iterator[Pod]:
    """Make a pod whose sandboxes may write below `folder` alone; end it, and them, at the end.

    Everything of its sandboxes that is writable must lie in `folder`, their scratch too: all else
    of this machine is read-only in it for good, also for a sandbox that may mount. What such a one
    must not change therefore lies elsewhere. `sized` are those folders of its sandboxes, below
    `folder`, that hold no more than so many bytes. Raises PodError.
    """
    shared = folder.resolve() / "shared"
    shared.mkdir()
    spec = PodSpec(writable=str(folder.resolve()), shared=str(shared), images=disk.images(sized))
    parent = os.getpid()

    def prepare() -> None:
        kernel.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)  # it ended before the kernel could be asked

    process = subprocess.Popen(
        [sys.executable, "-I", str(INIT), json.dumps(asdict(spec))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        preexec_fn=prepare,
    )
    assert process.stdout
    try:
        line = process.stdout.readline().strip()
        if line != "ready":
            raise PodError(f"The sandboxes of a gateway cannot be made here: {line}")
        yield Pod(pid=process.pid, shared=shared, path=path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
