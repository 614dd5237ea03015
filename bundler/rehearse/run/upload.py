"""What an upload to Kaggle does to a folder of files, done here.

Folders are dropped (the client skips them). Archives arrive unpacked, and so do those in them:
flat, in a folder of their name, or in two, one in the other. A neutral ending (`.tmp`) keeps
an archive whole: that is the form `as published`. Should its content be looked at instead, it does
not: that is what the other forms are for, so in them the wheels in `wheels.tar.tmp` are unpacked.
"""

import os
import tarfile
import zipfile
from collections.abc import Container, Iterator
from pathlib import Path

from bundler.atomic import link_or_copy
from bundler.bundle import MOST_FILES, UNPACKED
from inference.boot import bundle as reader
from inference.boot.bundle import SHIPPED_SUFFIX, TARS, ZIPS
from inference.errors import BundleError

PUBLISHED = "as published"  # what is named as an archive is unpacked, what is not stays whole
FORMS = ("flat", "name/", "name/name/")  # where what is unpacked comes to lie
REFUSED = ("@", "&")  # in a file's name
ENDINGS = (*sorted(TARS, key=len, reverse=True), *ZIPS, ".pth", ".pt", ".npz", ".egg", ".gz")


def receive(folder: Path, target: Path, form: str) -> list[Path]:
    """Make the dataset `target` of the files in `folder` as an upload would.

    Returns the folders that were made of archives.
    """
    target.mkdir(parents=True)
    made = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            continue
        if _is_unpacked(path, form):
            made += _unpack(path, target, path.name, form)
        else:
            link_or_copy(path, target / path.name)
    return made


def complaints(folder: Path) -> Iterator[str]:
    """Yield what an upload would refuse, drop or change, so that the bundle is lost."""
    entries = sorted(folder.iterdir())
    for path in entries:
        if path.is_dir():
            yield (
                f"{path} is a folder, and an upload drops folders without a warning. Build the "
                f"bundle again with `rsna-bundle {folder.name}`."
            )
        if any(sign in path.name for sign in REFUSED):
            yield f"{path}: Kaggle refuses names with @ or &. Rename it."
    if len(entries) > MOST_FILES:
        yield (
            f"{folder} has {len(entries)} files, and Kaggle takes {MOST_FILES} at the top level. "
            f"Build the bundle again with `rsna-bundle {folder.name}`."
        )
    described = {file.shipped: file for file in reader.read(folder).files}
    for path in entries:
        if path.name.lower().endswith(UNPACKED) and path.is_file():
            file = described.get(path.name)
            if file is None or not file.members:
                yield (
                    f"{path.name} would be unpacked by the upload, and the manifest does not say "
                    "what is in it, so the notebook could not verify it. Build the bundle again "
                    f"with `rsna-bundle {folder.name}`, which ships it as "
                    f"{path.name}{SHIPPED_SUFFIX}."
                )


def lost(folder: Path, scratch: Path) -> Iterator[str]:
    """Yield in which forms the notebook could not find or verify the bundle in `folder`.

    Everything is unpacked and verified once, in folders of the archives' names; the other forms
    are made of links to it, and it is seen whether all of it is found in them.
    """
    named = scratch / "named"
    try:
        made = receive(folder, named, "name/")
        reader.verify(named)
    except (BundleError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        yield f"uploaded and unpacked name/: {error}"
        return  # nothing is left to arrange in another form
    for number, form in enumerate(("flat", "name/name/")):
        target = scratch / str(number)
        try:
            _arrange(named, target, {str(path) for path in made}, form)
            bundle = reader.read(target)
            for file in bundle.files:
                reader.locate(target, file)
        except (BundleError, OSError) as error:
            yield f"uploaded and unpacked {form}: {error}"


def _arrange(source: Path, folder: Path, made: Container[str], form: str) -> None:
    """Link what lies in `source` to `folder`, the folders `made` of archives in another form."""
    folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            target, path = folder / entry.name, Path(entry.path)
            if entry.is_dir():
                other = {"flat": folder, "name/name/": target / entry.name}[form]
                _arrange(path, other if entry.path in made else target, made, form)
            elif not target.exists():
                link_or_copy(path, target)
            elif target.read_bytes() != path.read_bytes():
                raise BundleError(f"{target.name} is in several archives, and only one stays.")


def _is_unpacked(path: Path, form: str) -> bool:
    name = path.name.lower()
    if name.endswith(UNPACKED):
        return _is_archive(path)
    hidden = name.removesuffix(SHIPPED_SUFFIX).endswith((*ZIPS, *TARS))
    return form != PUBLISHED and name.endswith(SHIPPED_SUFFIX) and hidden


def _destination(target: Path, name: str, form: str) -> Path:
    stem = name.removesuffix(SHIPPED_SUFFIX)
    for ending in ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
            break
    return {"flat": target, "name/name/": target / stem / stem}.get(form, target / stem)


def _unpack(path: Path, target: Path, name: str, form: str) -> list[Path]:
    """Unpack the archive `path`, uploaded as `name`, below `target`, and the archives in it."""
    folder = _destination(target, name, form)
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder]
    for member in _extract(path, folder):
        inner = folder / member
        if member.endswith((*ZIPS, *TARS)) and _is_archive(inner):
            moved = inner.rename(inner.with_name(f".{inner.name}"))
            made += _unpack(moved, inner.parent, inner.name, form)
            moved.unlink()
    return made


def _is_archive(path: Path) -> bool:
    return path.is_file() and (tarfile.is_tarfile(path) or zipfile.is_zipfile(path))


def _extract(path: Path, folder: Path) -> list[str]:
    """Extract an archive into `folder` and return its members' names."""
    if tarfile.is_tarfile(path):  # first: a tar that ends with a wheel passes for a zip
        with tarfile.open(path) as tar:
            tar.extractall(folder, filter="data")
            return tar.getnames()
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        return archive.namelist()
