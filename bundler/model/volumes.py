"""Which files travel alone, which in volumes, and under which names."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundler.bundle import MOST_FILES, UNPACKED
from bundler.errors import InputError
from bundler.model.tree import HEAD, SourceFile, Tree
from inference.boot.bundle import SHIPPED_SUFFIX
from inference.boot.manifest import MANIFEST

MOST_ALONE = 40  # the largest files, which the notebook links to instead of copying them
MOST_VOLUMES = MOST_FILES - 1 - MOST_ALONE
VOLUME_BYTES = 10**9  # of a volume, unless so few must hold more
MOST_BYTES = 200 * 10**9  # of a Kaggle dataset
TAR_OVERHEAD = 4096  # bytes of a member's headers and padding at most, but for endless names
LONGEST_SHIPPED = 120  # letters; longer names are cut in the middle
# What the kaggle client takes for its own, and leaves out of an upload.
RESERVED = (
    MANIFEST,
    "dataset-metadata.json",
    "datapackage.json",
    "kernel-metadata.json",
    "model-metadata.json",
    "model-instance-metadata.json",
)
# What archives begin with: an upload may look at the content instead of the name.
SIGNS = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!")


@dataclass(frozen=True, kw_only=True)
class Alone:
    """A file that travels by itself."""

    shipped: str
    file: SourceFile


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Small files that travel in one uncompressed tar, which is named `name` in the manifest."""

    name: str
    files: tuple[SourceFile, ...]

    @property
    def shipped(self) -> str:
        """Return the name under which it is uploaded."""
        return self.name + SHIPPED_SUFFIX


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a tree travels."""

    alone: tuple[Alone, ...]
    volumes: tuple[Volume, ...]

    @property
    def unpacked(self) -> int:
        """Return the bytes that the notebook unpacks."""
        return sum(file.stamp.bytes for volume in self.volumes for file in volume.files)


def lay_out(tree: Tree) -> Layout:
    """Decide how a tree's files travel; equal trees give equal layouts. Raises InputError."""
    size = tree.bytes + TAR_OVERHEAD * max(0, len(tree.files) - MOST_ALONE)
    if size > MOST_BYTES:
        raise InputError(
            f"{', '.join(map(str, tree.roots))}: {len(tree.files)} files of "
            f"{tree.bytes / 1e9:.1f} GB are more than the {MOST_BYTES / 1e9:.0f} GB of a Kaggle "
            "dataset. Leave out what the notebook does not read: optimizer states, other "
            "checkpoints, predictions of the validation set."
        )
    largest = sorted(tree.files, key=lambda file: (-file.stamp.bytes, file.name))[:MOST_ALONE]
    # An upload may drop a file without content; in a volume it is safe.
    alone = {file.name for file in largest if file.stamp.bytes}
    small = [file for file in tree.files if file.name not in alone]
    names = ship([file for file in tree.files if file.name in alone])
    return Layout(
        alone=tuple(
            Alone(shipped=names[file.name], file=file) for file in tree.files if file.name in names
        ),
        volumes=tuple(_volumes(small, {file.name.split("/")[0] for file in tree.files}, names)),
    )


def _volumes(
    files: Sequence[SourceFile], taken: set[str], shipped: dict[str, str]
) -> Iterator[Volume]:
    """Divide small files into as few volumes as their size allows, in the order of their names."""
    used = {name.casefold() for name in (*taken, *shipped.values())}
    prefix = "volume"
    while any(name.startswith(f"{prefix}-") for name in used):
        prefix = f"_{prefix}"
    for number, group in enumerate(divide(files)):
        yield Volume(name=f"{prefix}-{number}.tar", files=tuple(group))


def divide(files: Sequence[SourceFile]) -> list[list[SourceFile]]:
    """Divide files into groups of at most 1 GB, or of what `MOST_VOLUMES` of them must hold."""
    sizes = [file.stamp.bytes + TAR_OVERHEAD for file in files]
    # A group that takes no more holds more than `most` less the largest: so they are few enough.
    most = max(VOLUME_BYTES, sum(sizes) // MOST_VOLUMES + max(sizes, default=0))
    groups: list[list[SourceFile]] = []
    left = 0
    for file, size in zip(files, sizes, strict=True):
        if not groups or size > left:
            groups.append([])
            left = most
        groups[-1].append(file)
        left -= size
    return groups


# --- names ---


def ship(files: Sequence[SourceFile]) -> dict[str, str]:
    """Return the flat name of each file by its true one: unique, and left alone by an upload."""
    shipped = {file.name: _hidden(_flat(file.name), file) for file in files}
    for length in (8, 16, 64):  # of a digest that sets equal names apart
        # Case counts not, since a laptop that downloads the dataset may not know it either.
        count = Counter(name.casefold() for name in shipped.values())
        for file in files:
            if count[shipped[file.name].casefold()] > 1:
                marked = _marked(_flat(file.name), file.name, length)
                shipped[file.name] = _hidden(marked, file)
    return shipped


def _flat(name: str) -> str:
    """Return a name without folders, of letters that Kaggle takes."""
    flat = re.sub(r"[^A-Za-z0-9._-]", "_", name.replace("/", "__")).lstrip(".") or "file"
    if len(flat) <= LONGEST_SHIPPED:
        return flat
    half = LONGEST_SHIPPED // 2
    return _marked(f"{flat[:half]}{flat[-half:]}", name)


def _marked(flat: str, name: str, length: int = 8) -> str:
    """Return a flat name that, most likely, no other true name gives."""
    mark = hashlib.sha256(name.encode()).hexdigest()[:length]
    path = PurePosixPath(flat)
    return f"{path.stem}-{mark}{path.suffix}"


def _hidden(flat: str, file: SourceFile) -> str:
    """Return a name under which neither an upload nor the client takes the file for its own."""
    name = flat.lower()
    hide = name in RESERVED or name.endswith(UNPACKED) or is_archive(file.path)
    return flat + SHIPPED_SUFFIX if hide else flat


def is_archive(path: Path) -> bool:
    """Say whether a file begins as an archive does."""
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    return head.startswith(SIGNS) or head[257:262] == b"ustar"
