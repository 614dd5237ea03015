"""What an upload to Kaggle does to a folder of files, done here.

Folders are dropped (the client skips them), archives arrive unpacked: flat, in a folder of their
name, or in two of them, one in the other. A neutral ending keeps an archive whole, or does not,
where its content is looked at (see the facts in the README's section on bundles).
"""

import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bundler.bundle import MOST_FILES, UNPACKED
from inference.boot import bundle as reader
from inference.boot.bundle import SHIPPED_SUFFIX, TARS, ZIPS
from inference.errors import BundleError

PUBLISHED = "as published"  # what is named as an archive is unpacked, what is not stays whole
FORMS = ("flat", "name/", "name/name/")  # where what is unpacked comes to lie
REFUSED = ("@", "&")  # in a file's name
ENDINGS = (*sorted(TARS, key=len, reverse=True), *ZIPS, ".pth", ".pt", ".npz", ".egg", ".gz")


def receive(folder: Path, place: Path, form: str) -> None:
    """Make the dataset `place` of the files in `folder` as an upload would."""
    place.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            continue
        if _is_unpacked(path, form):
            _unpack(path, _destination(place, path.name, form))
        else:
            link(path, place / path.name)


def link(source: Path, target: Path) -> None:
    """Let a file lie at another place, too, without copying where that is possible."""
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def complaints(folder: Path) -> Iterator[str]:
    """Yield what an upload would refuse, drop or change, so that the bundle is lost."""
    entries = sorted(folder.iterdir())
    for path in entries:
        if path.is_dir():
            yield (
                f"{path} is a folder: an upload drops folders without a word. Build the bundle "
                f"again with `rsna-bundle {folder.name}`; it is flat."
            )
        if any(sign in path.name for sign in REFUSED):
            yield f"{path}: Kaggle refuses names with @ or &; rename it."
    if len(entries) > MOST_FILES:
        yield f"{folder} has {len(entries)} files; Kaggle takes {MOST_FILES} at the top level."
    described = {file.shipped: file for file in reader.read(folder).files}
    for path in entries:
        if path.name.lower().endswith(UNPACKED) and path.is_file():
            file = described.get(path.name)
            if file is None or not file.members:
                yield (
                    f"{path.name} would be unpacked by the upload, and the manifest does not say "
                    f"what is in it, so the notebook could not verify it. Archives travel as "
                    f"{path.name}{SHIPPED_SUFFIX}: build the bundle again with `rsna-bundle`."
                )


def lost(folder: Path, scratch: Path) -> Iterator[str]:
    """Yield in which forms the notebook could not find or verify the bundle in `folder`.

    Everything is unpacked and verified once; the other forms move what was unpacked, and it is
    seen whether all of it is found again.
    """
    place = scratch / "dataset"
    for form, arrange in (("name/", None), ("name/name/", _nest), ("flat", _flatten)):
        try:
            if arrange is None:
                receive(folder, place, form)
                reader.verify(place)
            else:
                arrange(place)
                bundle = reader.read(place)
                for file in bundle.files:
                    reader.locate(place, file)
        except (BundleError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
            yield f"uploaded and unpacked {form}: {error}"
            if arrange is None:
                break  # there is nothing to move
    shutil.rmtree(place, ignore_errors=True)


def _nest(place: Path) -> None:
    """Make name/name/ of every name/."""
    for folder in [entry for entry in place.iterdir() if entry.is_dir()]:
        inner = folder.with_name(folder.name + ".inner")
        folder.rename(inner)
        folder.mkdir()
        inner.rename(folder / folder.name)


def _flatten(place: Path) -> None:
    """Lay what is in every name/name/ beside each other. Raises BundleError."""
    for outer in [entry for entry in place.iterdir() if entry.is_dir()]:
        inner = outer.rename(outer.with_name(outer.name + ".outer")) / outer.name
        for path in sorted(inner.rglob("*")):
            target = place / path.relative_to(inner)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            elif target.exists() and target.read_bytes() != path.read_bytes():
                raise BundleError(f"{target.name} is in several archives, and only one stays.")
            else:
                path.replace(target)
        shutil.rmtree(inner.parent)


def _is_unpacked(path: Path, form: str) -> bool:
    name = path.name.lower()
    if name.endswith(UNPACKED):
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    hidden = name.removesuffix(SHIPPED_SUFFIX).endswith((*ZIPS, *TARS))
    return form != PUBLISHED and name.endswith(SHIPPED_SUFFIX) and hidden


def _destination(place: Path, name: str, form: str) -> Path:
    stem = name.removesuffix(SHIPPED_SUFFIX)
    for ending in ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
            break
    return {"flat": place, "name/name/": place / stem / stem}.get(form, place / stem)


def _unpack(path: Path, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(place)
    else:
        with tarfile.open(path) as tar:
            tar.extractall(place, filter="data")
