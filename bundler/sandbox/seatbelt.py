"""On macOS: the network cut by `sandbox-exec`, and Kaggle's folders below another root.

UNTESTED: written from the documented profile language, tested for what it writes and starts, and
not yet run on a Mac. Whoever runs it is asked to report; until then it says so itself.

macOS lets a user mount nothing, so a sandbox's folders are links below a root, and the variable
RSNA_BUNDLE_INPUT names the input there. A folder's size is watched.
"""

import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bundler.sandbox.sandbox import Sandbox

PROGRAM = "sandbox-exec"
UNTESTED = (
    "the sandbox of macOS (sandbox-exec) is untested: nobody has reported to have run it yet. The "
    "Python sees the whole machine, and memory is that of all processes"
)
NO_NETWORK = """\
(deny network*)
(allow network-bind (local ip "localhost:*"))
(allow network-inbound (local ip "localhost:*"))
(allow network-outbound (remote ip "localhost:*"))
"""


def why_not() -> str | None:
    """Return why there is no such sandbox here, or None."""
    if sys.platform != "darwin":
        return "this is not macOS"
    if not shutil.which(PROGRAM):
        return f"the program {PROGRAM}, a part of macOS, is missing"
    return None


def command(sandbox: Sandbox, scratch: Path) -> list[str]:
    """Return the command line, before a command, that puts it into the sandbox."""
    sized = {path: one.folder for path, one in sandbox.limited.items()}
    lay_out(scratch / "root", {**sandbox.read_only, **sandbox.writable, **sized})
    return restrict(sandbox.read_only.values())


def restrict(read_only: Iterable[Path], network: bool = False) -> list[str]:
    """Return the command line, before a command, that keeps it offline and folders unchanged."""
    return [shutil.which(PROGRAM) or PROGRAM, "-p", profile(read_only, network)]


def profile(read_only: Iterable[Path], network: bool = False) -> str:
    """Return a sandbox profile; where rules contradict each other, the last one counts."""
    folders = sorted({str(folder.resolve()) for folder in read_only})
    denied = "".join(f"(deny file-write* (subpath {_quoted(name)}))\n" for name in folders)
    return "(version 1)\n(allow default)\n" + ("" if network else NO_NETWORK) + denied


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def lay_out(root: Path, links: Mapping[str, Path]) -> None:
    """Make below `root` what would be mounted: links by their path."""
    for path, folder in sorted(links.items()):
        link = root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_dir() and not link.is_symlink():
            link.rmdir()  # a mount point, empty
        link.symlink_to(folder.resolve())
