"""Make a sandbox from the inside, then run the command in it; the standard library only.

`python -I sandbox_init.py SPEC.json -- COMMAND…`, by its path. Three processes come of it:

    outer    makes the namespaces; ends when the process that started it does
    init     the first of its process namespace: builds the root, gives up all rights, and reaps
    command  the only one whose end is waited for; with init all others die
"""

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

if __name__ == "__main__":  # started by its path, it does not know the package it is of
    sys.path.insert(0, str(Path(__file__).parents[2]))

from bundler.sandbox import kernel, new_root, seccomp
from bundler.sandbox.kernel import MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC
from bundler.sandbox.new_root import Mount, Root

PORTS = "sys/net/ipv4/ip_unprivileged_port_start"  # of /proc
FAILED = 125  # the exit code where there is no sandbox, as of `docker run`


@dataclass(frozen=True, kw_only=True)
class Image:
    """A file that holds a file system, and the folder at which it is mounted."""

    file: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a sandbox is made of."""

    root: Root | None = None  # None: the machine's own, or the one that `program` makes
    read_only: list[str]  # folders of the machine's own root
    images: list[Image]  # needs root
    network: bool = False  # keep the machine's
    pod: int | None = None  # the process whose user, network and mount namespaces are joined
    capabilities: list[int]  # that the command keeps, in its user namespace
    program: list[str]  # the command line of a program that does the rest; empty: this one does

    @classmethod
    def read(cls, path: str) -> "Spec":
        """Read what `json.dumps(asdict(spec))` wrote."""
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
        if root := content["root"]:
            mounts = [Mount(**mount) for mount in root["mounts"]]
            content["root"] = Root(**root | {"mounts": mounts})
        content["images"] = [Image(**image) for image in content["images"]]
        return cls(**content)


def main(arguments: list[str]) -> None:
    """Make the sandbox that a spec describes, and run the command that follows in it."""
    spec, command = Spec.read(arguments[0]), arguments[2:]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        mount_images(spec.images)
        _make_namespaces(spec)
        seccomp.forbid()
        _dump_no_core()
        if spec.program:
            os.execvp(spec.program[0], [*spec.program, *command])
        sys.exit(_run_init(spec, command))
    except OSError as error:
        fail(error)


def fail(error: OSError) -> NoReturn:
    """Say in one line why there is no sandbox, and end."""
    print(f"{error.filename}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(FAILED)


# --- the outer process ---


def _dump_no_core() -> None:
    """Let no crash be handed to a program of this machine."""
    with contextlib.suppress(ValueError):  # the limit is lower already, and cannot be raised
        # 1, since a limit of 0 does not keep the kernel from starting that program (core(5)).
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def mount_images(images: list[Image]) -> None:
    """Mount file systems that lie in files, for this process and its children alone."""
    if not images:
        return
    # In a mount namespace of its own: however this process ends, nothing stays mounted.
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", None, MS_REC | MS_PRIVATE)
    for image in images:
        command = ["mount", "-o", "loop,nosuid,nodev", image.file, image.folder]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise OSError(made.returncode, made.stderr.strip(), image.file)
        os.rmdir(f"{image.folder}/lost+found")  # mkfs makes it, Kaggle has none


def _make_namespaces(spec: Spec) -> None:
    """Enter new namespaces, as root of a new user namespace, or those of a pod."""
    user, group = os.geteuid(), os.getegid()
    if spec.pod is not None:
        kernel.join(spec.pod, "user", "net", "mnt")
        kernel.unshare(kernel.CLONE_NEWNS)
    else:
        network = 0 if spec.network else kernel.CLONE_NEWNET
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | network)
        kernel.map_to_root(user, group)
        kernel.mount("none", "/", None, MS_REC | MS_PRIVATE)
        if network:
            open_network(os.open("/proc", os.O_PATH))
    # Entering another namespace may have cleared what was asked for at the start.
    kernel.die_with_parent()
    if not spec.program:
        kernel.unshare(
            kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWCGROUP
        )


def open_network(proc: int) -> None:
    """Bring loopback up, and let programs without rights listen on its low ports, such as 53."""
    kernel.raise_loopback()
    # /proc may be read-only in a container; then nobody answers questions for names.
    with contextlib.suppress(OSError):
        file = os.open(PORTS, os.O_WRONLY, dir_fd=proc)
        os.write(file, b"0")
        os.close(file)


def _run_init(spec: Spec, command: list[str]) -> int:
    """Start the first process of the process namespace, wait for it, and return its exit code."""
    alive, held = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(held)
        kernel.die_with_parent()
        if select.select([alive], [], [], 0)[0]:
            os._exit(FAILED)  # the parent ended before it could be noticed
        os.close(alive)
        try:
            _init(spec, command)
        except OSError as error:
            fail(error)
    os.close(alive)
    _, status = os.waitpid(init, 0)
    return _exit_code(status)


# --- the first process inside ---


def _init(spec: Spec, command: list[str]) -> NoReturn:
    """Finish the sandbox, start the command, and end with its exit code."""
    folder = os.getcwd()
    if spec.root:
        new_root.enter(spec.root)
    else:
        new_root.mount_proc("/proc")
        for name in spec.read_only:
            kernel.mount(name, name, None, MS_BIND | MS_REC)
            kernel.restrict(name, MS_RDONLY)
        # Entered anew, since it may lie below a folder that has just become read-only.
        os.chdir(folder)
    kernel.drop_capabilities(spec.capabilities)
    child = os.fork()
    if child == 0:
        # Away from the terminal, into which it could type (TIOCSTI).
        os.setsid()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            fail(OSError(error.errno, error.strerror, command[0]))
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(_exit_code(status))


def _exit_code(status: int) -> int:
    """Return a process's exit code; a signal counts as in a shell."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    main(sys.argv[1:])
