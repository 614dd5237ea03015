"""Try to get out of a sandbox: `python escapes.py TARGETS.json` notes what came of each try.

A try that succeeds notes "done", any other the error. It is run outside as well, where each must
succeed: what fails there shows nothing.
"""

import ctypes
import errno
import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER, MS_REMOUNT, MS_BIND = 0x00020000, 0x10000000, 32, 4096
PTRACE_ATTACH, PTRACE_DETACH, TIOCSTI = 16, 17, 0x5412
ADD_KEY, KEYCTL = (248, 250) if os.uname().machine == "x86_64" else (217, 219)
KEYCTL_SEARCH = 10
QUIET: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "close_fds": True}
SESSION, USER = -3, -4  # keyrings


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library; raise OSError where it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = getattr(libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def mount(source: str, target: str, kind: str | None, flags: int = 0) -> None:
    call("mount", source.encode(), target.encode(), kind and kind.encode(), flags, None)


def in_child(action: Callable[[], object]) -> None:
    """Do something that would change this process in another one."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
    code = os.waitstatus_to_exitcode(os.wait()[1])
    if code:
        raise OSError(code, os.strerror(code))


class Escapes:
    """The tries, by name; `targets` names what of the machine is tried."""

    def __init__(self, targets: dict[str, Any]) -> None:
        self.targets = targets
        self.pid = int(targets["pid"])
        self.out = Path(targets["out"])

    # --- files ---

    def read_home(self) -> None:
        Path(self.targets["secret"]).read_text()

    def read_shadow(self) -> None:
        Path("/etc/shadow").read_text()

    def write_outside(self) -> None:
        Path(self.targets["outside"], "written").write_text("x")

    def write_input(self) -> None:
        Path(self.targets["input"], "written").write_text("x")

    def write_mounted_in_input(self) -> None:
        Path(self.targets["input"], "inner", "written").write_text("x")

    def write_programs(self) -> None:
        Path("/usr/bin/rsna-bundle-escape").write_text("x")
        Path("/usr/bin/rsna-bundle-escape").unlink()

    def leave_chroot(self) -> None:
        in_child(lambda: os.chroot(self.out))

    def inherited_files(self) -> None:
        for name in range(3, 64):
            try:
                path = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                continue
            if path.startswith("/") and not path.startswith("/proc/"):
                return
        raise OSError(errno.ENOENT, "no file is open")

    # --- processes ---

    def see_process(self) -> None:
        Path(f"/proc/{self.pid}/cmdline").read_bytes()

    def read_environment(self) -> None:
        Path(f"/proc/{self.pid}/environ").read_bytes()

    def signal_process(self) -> None:
        os.kill(self.pid, 0)

    def hold_process(self) -> None:
        os.close(os.pidfd_open(self.pid))

    def trace_process(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(PTRACE_ATTACH, self.pid, None, None) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        os.waitpid(self.pid, 0x40000000)  # __WALL
        libc.ptrace(PTRACE_DETACH, self.pid, None, None)

    def enter_namespace(self) -> None:
        def enter() -> None:
            handle = os.open(f"/proc/{self.pid}/ns/mnt", os.O_RDONLY)
            call("setns", handle, 0)

        in_child(enter)

    def keep_process(self) -> None:
        # Twice: nobody who waits for it is left, and no session that could be ended.
        nap = self.targets["nap"]
        code = f"import os, time\nif os.fork() == 0:\n os.setsid()\n time.sleep({nap})"
        subprocess.run([sys.executable, "-c", code], check=True, **QUIET)

    # --- network ---

    def reach_loopback(self) -> None:
        socket.create_connection(("127.0.0.1", self.targets["port"]), 2).close()

    def reach_abstract_socket(self) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("\0" + self.targets["abstract"])

    def make_host_socket(self) -> None:
        socket.socket(socket.AF_VSOCK).close()

    # --- rights ---

    def mount_memory(self) -> None:
        mount("tmpfs", str(self.out), "tmpfs")
        call("umount2", str(self.out).encode(), 2)

    def mount_in_own_namespace(self) -> None:
        def enter() -> None:
            call("unshare", CLONE_NEWUSER | CLONE_NEWNS)

        in_child(enter)

    def remount_input(self) -> None:
        mount("none", self.targets["input"], None, MS_REMOUNT | MS_BIND)

    def make_null(self) -> None:
        self._make_device(stat.S_IFCHR, os.makedev(1, 3))

    def make_disk(self) -> None:
        self._make_device(stat.S_IFBLK, os.makedev(7, 0))

    def _make_device(self, kind: int, device: int) -> None:
        path = self.out / f"device-{kind}"
        os.mknod(path, kind | 0o600, device)
        path.unlink()

    def set_hostname(self) -> None:
        socket.sethostname(socket.gethostname())

    def give_file_away(self) -> None:
        path = self.out / "owned"
        path.touch()
        os.chown(path, 1234, 1234)

    # --- the kernel ---

    def change_kernel(self) -> None:
        os.close(os.open("/proc/sys/vm/swappiness", os.O_WRONLY))

    def trigger_kernel(self) -> None:
        os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))

    def change_device(self) -> None:
        path = next(Path("/sys/block").glob("loop*")) / "queue" / "read_ahead_kb"
        os.close(os.open(path, os.O_WRONLY))

    def see_control_groups(self) -> None:
        if not os.listdir("/sys/fs/cgroup"):
            raise OSError(errno.ENOENT, "empty")

    def read_session_key(self) -> None:
        call("syscall", KEYCTL, KEYCTL_SEARCH, SESSION, b"user", self.targets["key"].encode(), 0)

    def add_user_key(self) -> None:
        call("syscall", ADD_KEY, b"user", b"rsna-bundle-escape", b"x", 1, USER)

    def type_into_terminal(self) -> None:
        fcntl.ioctl(os.open("/dev/tty", os.O_RDWR), TIOCSTI, b"#")

    def dump_core(self) -> None:
        import resource

        if resource.getrlimit(resource.RLIMIT_CORE)[1] == 1:
            raise OSError(errno.EPERM, "limited")


def main() -> None:
    """Try each escape and note what came of it."""
    escapes = Escapes(json.loads(Path(sys.argv[1]).read_text()))
    results = {}
    for name in [name for name in vars(Escapes) if not name.startswith("_")]:
        try:
            getattr(escapes, name)()
            results[name] = "done"
        except OSError as error:
            results[name] = error.strerror or str(error)
    status = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    rights = {name: fields[name] for name in fields if name.startswith(("Cap", "NoNewPrivs"))}
    (escapes.out / "escapes.json").write_text(json.dumps({"results": results, "rights": rights}))


if __name__ == "__main__":
    main()
