"""What this machine remembers of a bundle of files: where they lay, and whether they changed.

Kept in the cache and never in the bundle, which names no folder of the laptop.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler import atomic, cache
from bundler.errors import InputError
from bundler.model import tree
from bundler.model.tree import SourceFile, Stamp, Tree
from inference.boot import bundle as bundles
from inference.boot import files as model_files
from inference.boot.bundle import Bundle
from inference.boot.fields import load_json, parse_as, plain
from inference.boot.manifest import ModelFiles
from inference.errors import BundleError

FORMAT = 1
SHOWN = 5  # changes that are named


@dataclass(frozen=True, kw_only=True)
class Record:
    """The paths that a bundle was made of, and each file's stamp at that time."""

    format: int
    roots: tuple[str, ...]
    stamps: Mapping[str, Stamp]


def remember(bundle: Bundle, source: Tree) -> None:
    """Note what the bundle in its folder was made of."""
    record = Record(
        format=FORMAT,
        roots=tuple(map(str, source.roots)),
        stamps={file.name: file.stamp for file in source.files},
    )
    atomic.write_text(_path(bundle), json.dumps(plain(record)))


def changes(bundle: Bundle) -> list[str]:
    """Return which files changed, came or went since a bundle of files was made of them.

    Nothing where that is not known: the bundle was made on another machine, or is of another kind.
    """
    if not isinstance(bundle.manifest.part, ModelFiles):
        return []
    record = _read(bundle)
    return list(_changes(bundle, record)) if record else []


def warning(bundle: Bundle) -> str | None:
    """Return one text on what changed since the bundle was made, for people."""
    listed = changes(bundle)
    if not listed:
        return None
    listed = [change.rstrip(".") for change in listed]
    more = f", and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return (
        f"The files that the model bundle {bundle.id[:12]} was made of have changed since: "
        f"{'; '.join(listed[:SHOWN])}{more}. Bundle them again with `rsna-bundle model --files`."
    )


def _changes(bundle: Bundle, record: Record) -> Iterator[str]:
    try:
        now = {file.name: file for file in tree.scan([Path(root) for root in record.roots]).files}
    except InputError as error:
        yield str(error)
        return
    for name in sorted(record.stamps.keys() | now.keys()):
        before, file = record.stamps.get(name), now.get(name)
        if before is None and file is not None:
            yield f"{file.path} is new"
        elif file is None:
            yield f"{name} is gone"
        elif file.stamp != before and _differs(file, bundle):
            yield f"{file.path} has another content"


def _differs(file: SourceFile, bundle: Bundle) -> bool:
    """Say whether a file's content is another than the bundle's: to be touched is no change."""
    member = model_files.contents(bundle).files.get(file.name)
    if member is None:
        return True
    try:
        with file.path.open("rb") as stream:
            bundles.check_content(stream, member, file.path)
    except (BundleError, OSError):
        return True
    return False


def _read(bundle: Bundle) -> Record | None:
    try:
        record = parse_as(Record, load_json(_path(bundle).read_bytes()))
    except (OSError, ValueError):  # there is none, or another version wrote it
        return None
    return record if record.format == FORMAT else None


def _path(bundle: Bundle) -> Path:
    """Return where it is kept: by the id and the folder, since equal files give equal bundles."""
    where = hashlib.sha256(f"{bundle.id} {bundle.folder.resolve()}".encode()).hexdigest()
    return cache.folder("model-sources") / f"{where[:32]}.json"
