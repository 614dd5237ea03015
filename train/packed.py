"""A cache as a dataset: its arrays in uncompressed tar files, read where they lie.

Nothing is unpacked: an array in such a tar is a stretch of its bytes. Where an upload unpacked
the tars all the same, the arrays are found as the files that they became.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.boot import bundle as reader
from inference.boot.manifest import MANIFEST, File
from inference.errors import BundleError
from train.errors import DataError


class ArrayFile(NamedTuple):
    """Where an array lies: a file, and where in it the array's own file begins."""

    path: Path
    offset: int


def is_packed(folder: Path) -> bool:
    """Return whether a cache is a dataset's: complete, and not to be written to."""
    return (folder / MANIFEST).is_file()


def find_arrays(folder: Path) -> dict[str, ArrayFile]:
    """Return where each array of a packed cache lies; nothing for one that is not packed.

    Checks the manifest and each tar's size; hashing tens of gigabytes would take minutes.
    """
    if not is_packed(folder):
        return {}
    try:
        bundle = reader.read(folder)
        arrays: dict[str, ArrayFile] = {}
        for file in bundle.files:
            path = reader.locate(folder, file)
            if path.is_dir():  # an upload unpacked the tar
                arrays |= {member.name: ArrayFile(path / member.name, 0) for member in file.members}
            elif file.members:
                _check_size(path, file)
                arrays |= _members(path)
    except (BundleError, OSError, tarfile.TarError) as error:
        raise DataError(f"The cache in {folder} cannot be used: {error}") from error
    if bundle.kind != "cache":
        raise DataError(f"{folder} holds a {bundle.kind} bundle, not a training cache.")
    return arrays


def _check_size(path: Path, file: File) -> None:
    size = path.stat().st_size
    if size != file.bytes:
        raise DataError(f"{path} has {size} bytes, its manifest says {file.bytes}: publish again.")


def _members(tar: Path) -> dict[str, ArrayFile]:
    with tarfile.open(tar, "r:") as archive:
        return {info.name: ArrayFile(tar, info.offset_data) for info in archive if info.isfile()}


def read_row(array: ArrayFile, row: int) -> NDArray[np.uint8]:
    """Return one image of an array, uint8 [H, W]."""
    with array.path.open("rb") as file:
        file.seek(array.offset)
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise DataError(f"{array.path} holds an array of version {version}, not (1, 0).")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if len(shape) != 3 or fortran or dtype != np.uint8 or not 0 <= row < shape[0]:
            raise DataError(f"{array.path} holds {dtype} {shape}, and no image {row}.")
        size = shape[1] * shape[2]
        file.seek(row * size, 1)
        pixels = np.frombuffer(file.read(size), np.uint8)
    if pixels.size != size:
        raise DataError(f"{array.path} ends in the middle of image {row}.")
    return pixels.reshape(shape[1:]).copy()
