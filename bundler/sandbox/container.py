"""A sandbox by a container engine: the notebook's very image, its system and its packages.

Nothing but what was given is mounted, the root is read-only, no right is left; memory, CPUs and the
number of processes are the engine's to limit. An engine's containers are no children of ours, so
each ends when its standard input does, which is ours (`supervise`).
"""

import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler import process
from bundler.sandbox import system
from bundler.sandbox.sandbox import Container, Sandbox

LABEL = "rsna-bundle"
PIDS = 4096  # processes and threads; a fork bomb ends there
STARTED = 60.0  # seconds that an engine may take to start a container
GPUS = {"docker": ["--gpus", "all"], "podman": ["--device", "nvidia.com/gpu=all"]}


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Docker, or podman, which takes the same commands and needs no service."""

    program: str

    def why_not(self) -> str | None:
        """Return what is missing for it on this machine, or None."""
        if not shutil.which(self.program):
            return f"the program {self.program} is missing"
        answer = process.run([self.program, "info"], check=False)
        if answer.returncode:
            lines = answer.stderr.strip().splitlines() or ["it does not say why"]
            return f"`{self.program} info` failed: {lines[-1]}"
        return None

    def command(self, sandbox: Sandbox, scratch: Path) -> list[str]:
        """Return the command line, before a command, that runs it in a new container."""
        if sandbox.container is None:
            raise ValueError("a container needs an image")
        return [
            *self._run(sandbox.container),
            *(word for mount in _mounts(sandbox) for word in ("--volume", mount)),
            *(word for name in sandbox.hosts for word in ("--add-host", f"{name}:127.0.0.1")),
            "--env-file",
            str(scratch / "environment"),
            *image(sandbox.container),
        ]

    def write_environment(self, env: Mapping[str, str], scratch: Path) -> None:
        """Write the variables of the command; the engine's program has its own."""
        lines = [f"{name}={value}\n" for name, value in env.items()]
        (scratch / "environment").write_text("".join(lines), encoding="utf-8")

    def python_version(self, container: Container) -> str:
        """Return the version of the image's Python. Raises CommandError where it has none."""
        code = "import platform; print(platform.python_version())"
        words = [*self._run(container), *image(container), container.python, "-I", "-c", code]
        return process.run(words).stdout.split()[-1]

    def root(self, client: "subprocess.Popen[bytes]") -> int:
        """Return this machine's id of a container's first process, once it runs.

        The client's where it is not to be seen here: the ids that an engine in a virtual machine
        tells are those of somebody else's processes here.
        """
        end = time.monotonic() + STARTED
        while client.poll() is None and time.monotonic() < end:
            pid = self._ask("inspect", "--format", "{{.State.Pid}}", name(client)).strip()
            if pid.isdigit() and int(pid) > 1:
                return int(pid) if _runs(int(pid), client) else client.pid
            time.sleep(0.1)
        return client.pid

    def remove(self, client: "subprocess.Popen[bytes]") -> None:
        """End a container and remove it, if it is still there."""
        self._ask("rm", "--force", name(client))

    def _ask(self, *words: str) -> str:
        return process.run([self.program, *words], check=False).stdout

    def _run(self, container: Container) -> list[str]:
        # podman alone would set limits that need more rights than its user may have.
        own = ["--ulimit", "host"] if self.program == "podman" else []
        gpus = GPUS[self.program] if system.gpu_devices() else []
        limits = ["--memory", str(container.memory_bytes), "--cpus", str(container.cpus)]
        return [
            *[self.program, "run", "--rm", "--interactive", "--label", LABEL],
            *["--name", f"{LABEL}-{uuid.uuid4().hex[:12]}", *own, *gpus],
            *["--network", "none", "--read-only", *limits, "--pids-limit", str(PIDS)],
            *["--cap-drop", "ALL", "--security-opt", "no-new-privileges"],
            # The name server, which refuses and notes every question, listens on port 53.
            *["--sysctl", "net.ipv4.ip_unprivileged_port_start=0"],
        ]


ENGINES = {name: Engine(program=name) for name in ("docker", "podman")}


def name(client: "subprocess.Popen[bytes]") -> str:
    """Return the name of the container that an engine's program runs."""
    words = [str(word) for word in client.args] if isinstance(client.args, Sequence) else []
    return words[words.index("--name") + 1]


def _runs(pid: int, client: "subprocess.Popen[bytes]") -> bool:
    """Say whether a process of this machine has the command that a container was started with."""
    words = [str(word) for word in client.args] if isinstance(client.args, list) else []
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2] == words[-1].encode()
    except (OSError, IndexError):
        return False


def image(container: Container) -> list[str]:
    """Return the words that name the image: a reference, or the folder of a root file system."""
    return ["--rootfs", container.image] if Path(container.image).is_dir() else [container.image]


def _mounts(sandbox: Sandbox) -> list[str]:
    sized = {path: one.folder for path, one in sandbox.limited.items()}
    writable = {**sandbox.writable, **sized}
    mounts = [(path, folder, "ro") for path, folder in sandbox.read_only.items()]
    mounts += [(path, folder, "rw") for path, folder in writable.items()]
    # An outer folder before what lies in it.
    mounts.sort(key=lambda mount: mount[0].count("/"))
    return [f"{folder.resolve()}:{path}:{mode}" for path, folder, mode in mounts]
