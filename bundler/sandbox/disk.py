"""Folders on disk that hold no more than so many bytes, as `/kaggle/working` does."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bundler import process

# No journal, no blocks set aside, and tables that are written when they are needed: a file system
# of 20 GB takes hundredths of a second to make, and megabytes.
MAKE = ("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal")
LAZY = "lazy_itable_init=1,nodiscard"
IMAGE = ".ext4"  # the ending of the file that holds a file system


@dataclass(frozen=True, kw_only=True)
class SizedFolder:
    """A folder of this machine, and how its size is kept."""

    folder: Path
    bytes: int
    image: Path | None = None  # the file system mounted there in the sandbox; None: it is watched

    @property
    def enforced(self) -> bool:
        """Say whether a write beyond the size fails; else somebody has to watch the folder."""
        return self.image is not None


def make(folder: Path, size: int) -> SizedFolder:
    """Make an empty folder of `size` bytes: a file system where this machine can mount one.

    Elsewhere a plain folder, whose size is the caller's to watch (`used`).
    """
    folder.mkdir(parents=True)
    # A file with holes would promise what the disk does not have, and fail with a broken disk's
    # errors; a plain folder says "No space left on device".
    if why_watched() or shutil.disk_usage(folder).free < size:
        return SizedFolder(folder=folder, bytes=size)
    return SizedFolder(folder=folder, bytes=size, image=_write_image(folder, size))


def used(folder: Path) -> int:
    """Return the bytes that a folder's files take on disk; what vanishes meanwhile counts as 0."""
    total, folders = 0, [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


@functools.cache
def why_watched() -> str | None:
    """Return why this machine can mount no file system for a sandbox, or None where it can."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "only root may mount one"
    for program in (MAKE[0], "mount"):
        if not shutil.which(program):
            return f"the program {program} is missing"
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-mount-") as name:
        folder = Path(name) / "mounted"
        folder.mkdir()
        image = _write_image(folder, 1 << 20)
        # Only a trial tells: root of a container often has no loop devices, or may not mount.
        mount = ["unshare", "--mount", "mount", "-o", "loop", str(image), str(folder)]
        tried = subprocess.run(mount, capture_output=True, text=True, check=False)
        return (tried.stderr.strip() or "mount fails") if tried.returncode else None


def _write_image(folder: Path, size: int) -> Path:
    """Write a file beside a folder that holds an empty file system of so many bytes."""
    image = folder.with_name(folder.name + IMAGE)
    with image.open("wb") as stream:
        stream.truncate(size)
    process.run([*MAKE, "-E", LAZY, image])
    return image
