"""Folders on disk that hold no more than so many bytes, as `/kaggle/working` does."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bundler import process
from bundler.sandbox.sandbox_init import Image

# No journal, no blocks set aside, and tables that are written when they are needed: a file system
# of 20 GB takes hundredths of a second to make, and megabytes. Room for a file in each 32 KB.
MAKE = ("mkfs.ext4", "-q", "-F", "-m", "0", "-i", "32768", "-O", "^has_journal")
LAZY = "lazy_itable_init=1,nodiscard"
IMAGE = ".ext4"  # the ending of the file that holds a file system


@dataclass(frozen=True, kw_only=True)
class SizedFolder:
    """A folder of this machine, and how its size is kept."""

    folder: Path
    bytes: int
    image: Path | None = None  # the file system mounted there in the sandbox; None: it is watched
    why_watched: str = ""

    def describe(self) -> str:
        """Say for people how its size is kept: a write beyond it fails, or somebody looks."""
        size = f"{self.bytes / 1e9:.2f} GB"
        if self.image:
            return f"a file system of {size} on disk"
        return f"a folder on disk that is watched, at most {size} ({self.why_watched})"


def make(folder: Path, size: int, *, mounted: bool = True) -> SizedFolder:
    """Make an empty folder of `size` bytes: a file system where this machine can mount one.

    Elsewhere, and without `mounted`, a plain folder, whose size is the caller's to watch.
    """
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free
    # A file with holes would promise what the disk does not have, and fail with a broken disk's
    # errors; a plain folder says "No space left on device".
    short = f"only {free / 1e9:.1f} GB are free on this machine" if free < size else None
    engine = None if mounted else "a container engine sets no limit"
    if reason := engine or why_watched() or short:
        return SizedFolder(folder=folder, bytes=size, why_watched=reason)
    return SizedFolder(folder=folder, bytes=size, image=_write_image(folder, size))


def images(folders: Iterable[SizedFolder]) -> list[Image]:
    """Return the file systems that are to be mounted for some folders."""
    return [
        Image(file=str(one.image.resolve()), folder=str(one.folder.resolve()))
        for one in folders
        if one.image
    ]


@functools.cache
def why_watched() -> str | None:
    """Return why this machine can mount no file system for a sandbox, or None where it can."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "only root may mount one"
    for program in (MAKE[0], "mount", "unshare"):
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
