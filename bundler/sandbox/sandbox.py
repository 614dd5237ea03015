"""What a command sees instead of this machine: an empty root with a few folders in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.sandbox import system
from bundler.sandbox.sandbox_init import Mount


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Folders by the path at which the command finds them; all else of the machine is absent.

    `limited` are empty folders in memory that hold no more than so many bytes.
    """

    read_only: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    limited: Mapping[str, int] = field(default_factory=dict)

    @property
    def mounts(self) -> list[Mount]:
        """Return what to mount, an outer folder before what lies in it.

        A mount hides what was mounted below its path before. The sort is stable, so of two at one
        depth a limited folder comes first, and a folder of the system before one that was given.
        """
        mounts = [
            *(Mount(path=path, kind="limited", size=size) for path, size in self.limited.items()),
            *(Mount(path=path, kind="read_only", source=path) for path in system.folders()),
            *_bound("read_only", self.read_only),
            *_bound("writable", self.writable),
        ]
        return sorted(mounts, key=lambda mount: mount.path.count("/"))


def _bound(kind: str, folders: Mapping[str, Path]) -> list[Mount]:
    return [
        Mount(path=path, kind=kind, source=str(folder.resolve()))
        for path, folder in folders.items()
    ]
