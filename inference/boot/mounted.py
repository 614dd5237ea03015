"""The bundles that are mounted, wherever Kaggle puts them.

The notebook's first cell carries this source: the standard library, `bundle` and what it needs.
"""

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from inference.boot.bundle import Bundle, read
from inference.boot.manifest import MANIFEST
from inference.errors import BundleError

SCRATCH = "RSNA_BUNDLE_SCRATCH"  # the launch's folder, where what it installed lies


def input_folder() -> Path:
    """Return the folder where the datasets are mounted."""
    return Path(os.environ.get("RSNA_BUNDLE_INPUT") or "/kaggle/input")


def scratch_folder(given: Path | None = None) -> Path:
    """Return (and make) the folder for what is unpacked; not part of the output.

    It is the given one, the launch's, or a private one in the system's temporary folder.
    """
    inherited = os.environ.get(SCRATCH)
    folder = given or (Path(inherited) if inherited else None)
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            return folder.resolve()
        user = os.getuid() if hasattr(os, "getuid") else "user"
        folder = Path(tempfile.gettempdir()) / f"rsna-bundle-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BundleError(
            f"The scratch folder {folder} cannot be made: {error.strerror}. Name another one with "
            "--scratch."
        ) from error
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise BundleError(f"{folder} belongs to another user; name a folder with --scratch.")
    return folder.resolve()


def find(root: str | Path) -> tuple[list[Bundle], list[BundleError]]:
    """Read every bundle mounted below `root`, and say which manifests could not be read.

    Looks at the known depths only (`<slug>/`, `datasets/<owner>/<slug>/`, and up to two folders
    that an unpacked upload may have added): a blind search would walk the competition's images.
    """
    if not Path(root).is_dir():
        raise BundleError(f"The input folder {root} does not exist; name it with --input.")
    mounts = _mounts(Path(root))
    folders = [Path(root), *(folder for mount in mounts for folder in _unpacked(mount))]
    bundles, problems = [], []
    for folder in folders:
        if (folder / MANIFEST).is_file():
            try:
                bundles.append(read(folder))
            except BundleError as error:
                problems.append(error)
    return bundles, problems


def _mounts(root: Path) -> Iterator[Path]:
    for slug in _folders(root):
        if slug.name == "datasets":
            for owner in _folders(slug):
                yield from _folders(owner)
        elif slug.name != "competitions":
            yield slug


def _unpacked(folder: Path) -> Iterator[Path]:
    yield folder
    if (folder / MANIFEST).is_file() or (folder / "test.csv").is_file():
        return
    for outer in itertools.islice(_folders(folder), 8):
        yield outer
        yield from itertools.islice(_folders(outer), 8)


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        some = itertools.islice(entries, 1000)
        return sorted(Path(entry.path) for entry in some if entry.is_dir())


def choose(
    mounted: tuple[list[Bundle], list[BundleError]], kind: str, expected: str | None = None
) -> Bundle:
    """Return the bundle of a kind: the expected one, or the only one."""
    bundles, problems = mounted
    of_kind = {bundle.id: bundle for bundle in reversed(bundles) if bundle.kind == kind}
    if expected in of_kind:
        return of_kind[expected]
    reasons = "".join(f"\n  {problem}" for problem in problems)
    listed = ", ".join(f"{bundle.id[:12]} in {bundle.folder}" for bundle in of_kind.values())
    if expected and of_kind:
        raise BundleError(
            f"This notebook was made for the {kind} bundle {expected[:12]}, but {listed} is "
            "mounted: the dataset has another version. Update it in the notebook's input (check "
            f"for updates), or write the notebook again with `rsna-bundle notebook`.{reasons}"
        )
    if not of_kind:
        raise BundleError(
            f"No {kind} bundle is mounted: none of the input's folders holds a {MANIFEST} of "
            f"that kind. Add the dataset to the notebook's input.{reasons}"
        )
    if len(of_kind) > 1:
        raise BundleError(
            f"Several {kind} bundles are mounted ({listed}); remove all but one from the "
            f"notebook's input, or choose with --expect-id {kind}=ID."
        )
    return next(iter(of_kind.values()))
