"""What a command sees instead of this machine: an empty root with a few folders in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.sandbox import system
from bundler.sandbox.disk import SizedFolder
from bundler.sandbox.new_root import Mount
from bundler.sandbox.pod import Pod


@dataclass(frozen=True, kw_only=True)
class Container:
    """What a container is made of, and what it may use."""

    image: str  # a reference, best with its digest, or the folder of a root file system
    memory_bytes: int
    cpus: int
    python: str = "python3"  # the image's, by its PATH


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Folders and files by the path at which the command finds them; all else is absent.

    Beside them it finds the programs of this machine's /usr, and what these need of /etc and /sys.
    """

    read_only: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    limited: Mapping[str, SizedFolder] = field(default_factory=dict)  # writable, of some size
    hosts: tuple[str, ...] = ()  # names that lead to this very network, beside localhost
    pod: Pod | None = None  # shares its network and a folder with the pod's other sandboxes
    container: Container | None = None  # docker and podman alone: its image in place of /usr
    may_mount: bool = False  # in its pod's shared folder, say; needs a pod

    def mounts(self, etc: Path) -> list[Mount]:
        """Return what to mount, an outer folder before what lies in it; writes the folder `etc`.

        A mount hides what was mounted below its path before. The sort is stable, so of two at one
        path a folder of the system comes before one that was given.
        """
        system_folders = {path: Path(path) for path in (*system.folders(), *system.devices())}
        mounts = [
            *_bound(system_folders | system.write_etc(etc, self.hosts), writable=False),
            *_bound({path: sized.folder for path, sized in self.limited.items()}, writable=True),
            *_bound(self.read_only, writable=False),
            *_bound(self.writable, writable=True),
            *_bound({self.pod.path: self.pod.shared} if self.pod else {}, writable=self.may_mount),
        ]
        return sorted(mounts, key=lambda mount: mount.path.count("/"))


def _bound(folders: Mapping[str, Path], *, writable: bool) -> list[Mount]:
    return [
        Mount(path=path, source=str(folder.resolve()), writable=writable)
        for path, folder in folders.items()
    ]
