"""Files and folders of any kind → a model bundle, byte for byte: `rsna-bundle model --files`.

scan → lay out → describe → search for secrets → copy in threads → place. Of what is bundled only
names, the metadata that says fold, epoch and metrics, and what looks like a secret are looked at:
no pickle is loaded, no torch imported.
"""

import errno
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import inference
from bundler import atomic, bundle
from bundler.bundle import Built
from bundler.errors import BundlerError, InputError
from bundler.model import copying, scores, sources, tree, volumes
from bundler.model.tree import Tree
from bundler.model.volumes import Layout
from bundler.progress import SILENT, Progress
from bundler.secrets.check import FROM_FILES, check_files, check_paths
from inference.boot import bundle as reader
from inference.boot import files as restored
from inference.boot.manifest import MANIFEST, MANIFEST_LIMIT, File, ModelFiles, compose
from inference.boot.parallel import Meter
from inference.errors import BundleError

SCRATCH = 20 * 10**9  # bytes of a notebook's disk that are surely free


@dataclass(frozen=True, kw_only=True)
class FilesOptions:
    """What is bundled, and to where."""

    paths: tuple[Path, ...]
    out: Path
    progress: Progress = SILENT


def build(options: FilesOptions) -> Built:
    """Write the model bundle of files and folders. Equal files, equal bytes, equal id.

    Raises InputError for what cannot travel, BundlerError where a file changes meanwhile or the
    disk is full; what lay there before is untouched then.
    """
    bundle.check_out(options.out)
    source = tree.scan(options.paths)
    layout = volumes.lay_out(source)
    part = ModelFiles(
        volumes=tuple(volume.name for volume in layout.volumes),
        weights=scores.describe(source),
        folders=source.folders,
    )
    tell(source, layout, options.progress)
    old = unchanged(source, layout, part, options)
    if old:  # the credentials of this machine may be others than when it was built
        check_secrets(source, options.progress)
    built = old or write(source, layout, part, options)
    sources.remember(built.bundle, source)
    return built


# --- the steps ---


def check_secrets(source: Tree, progress: Progress) -> None:
    """Raise InputError where a file looks like a key or holds one, whatever its size or kind."""
    files = {file.name: file.path for file in source.files}
    check_paths(files, "The model's files", progress=progress)


def tell(source: Tree, layout: Layout, progress: Progress) -> None:
    """Say what travels how, and what may be a mistake."""
    count, packed = len(source.files), len(source.files) - len(layout.alone)
    text = f"Bundling {count} file{'' if count == 1 else 's'}, {source.bytes / 1e6:.1f} MB"
    progress.step(f"{text}; the {packed} smallest travel together" if packed else text)
    for folder in sorted({f.name.split("/.git/")[0] for f in source.files if "/.git/" in f.name}):
        progress.warn(f"{folder} holds its whole history in .git, which the notebook cannot use.")
    if layout.unpacked > SCRATCH:
        progress.warn(
            f"The notebook unpacks {layout.unpacked / 1e9:.1f} GB, all but the 40 largest files; "
            f"its disk may hold {SCRATCH / 1e9:.0f} GB. Join small files, or leave some out."
        )


def unchanged(
    source: Tree, layout: Layout, part: ModelFiles, options: FilesOptions
) -> Built | None:
    """Return the bundle that lies there already, where it is of the very same files."""
    try:
        old = reader.read(options.out)
        if old.manifest.part != part or not _is_laid_out(old.files, layout):
            return None
        held = restored.contents(old).files
    except BundleError:
        return None
    with options.progress.bar("compare with the bundle that lies there", source.bytes) as advance:
        digests = copying.digests(source.files, advance)
    if any(held[name].sha256 != digest for name, digest in digests.items()):
        return None
    if not bundle.is_whole(options.out, old.id):
        return None
    return Built(bundle=old, bytes=_size(old.files), changed=False)


def write(source: Tree, layout: Layout, part: ModelFiles, options: FilesOptions) -> Built:
    """Copy the files to a new folder, which takes its place once nothing has changed."""
    place, progress = options.out, options.progress
    try:
        with atomic.new_folder(place) as folder:
            check_space(source, folder)
            check_secrets(source, progress)  # reads every byte: after what is known at once
            with progress.bar("Copying and hashing", source.bytes) as advance:
                meter = Meter(advance)
                files = copying.write(layout, folder, meter)
            progress.note(f"Copied and hashed {meter.throughput()}")
            check_same(source)
            text = manifest(files, part)
            check_files({MANIFEST: text.encode()}, "The model's manifest", FROM_FILES, progress)
            (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BundlerError(_why_not(place, error)) from error
    return Built(bundle=reader.read(place), bytes=_size(files), changed=True)


def check_space(source: Tree, folder: Path) -> None:
    """Raise BundlerError where the disk cannot hold a copy of the files."""
    free = shutil.disk_usage(folder).free
    if source.bytes > free and not copying.can_clone(source.files[0], folder):
        raise BundlerError(
            f"The model's files take {source.bytes / 1e9:.1f} GB, and {folder.parent} has "
            f"{free / 1e9:.1f} GB free. Free some space, or name another disk with --out."
        )


def check_same(source: Tree) -> None:
    """Raise BundlerError where files came, went or were written to since they were listed."""
    try:
        now = tree.scan(source.roots)
    except InputError as error:
        raise BundlerError(f"A file changed while it was being bundled: {error}") from error
    before = {file.name: file.stamp for file in source.files}
    after = {file.name: file.stamp for file in now.files}
    if before != after:
        names = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
        raise BundlerError(
            f"{', '.join(names[:5])} changed while the model was being bundled. Wait until "
            "training has written it, and bundle again. What lay there before is untouched."
        )


def manifest(files: tuple[File, ...], part: ModelFiles) -> str:
    """Return the text of the manifest. Raises InputError where it is too long to be read."""
    _, text = compose(files, part, inference.__version__)
    if len(text.encode()) > MANIFEST_LIMIT:
        raise InputError(
            "So many files are more than a manifest holds. Join them into archives, or leave out "
            "what the notebook does not read."
        )
    return text


def _is_laid_out(files: Sequence[File], layout: Layout) -> bool:
    """Say whether files of a manifest have the names and the order of a layout."""
    alone = {(one.file.name, one.shipped): () for one in layout.alone}
    packed = {
        (volume.name, volume.shipped): tuple(file.name for file in volume.files)
        for volume in layout.volumes
    }
    held = {
        (file.name, file.shipped): tuple(member.name for member in file.members)
        if (file.name, file.shipped) in packed
        else ()
        for file in files
    }
    return held == alone | packed


def _size(files: Sequence[File]) -> int:
    return sum(file.bytes for file in files)


def _why_not(place: Path, error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = " Free some space, or name another disk with --out." if full else ""
    return (
        f"The model bundle cannot be written to {place}: {error.strerror}. What lay there before "
        f"is untouched.{advice}"
    )
