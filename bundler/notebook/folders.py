"""Where the bundles of a notebook lie, and whether its libs were made for the settings' targets."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bundler.errors import CheckError
from bundler.image import target as targets
from bundler.image.target import HOST
from bundler.settings import Settings
from inference.boot.bundle import Bundle
from inference.boot.manifest import MANIFEST, LibsTarget

HOST_LIBS = f"libs-{HOST}"


def new_libs(dist: Path, names: Sequence[str]) -> Path:
    """Return where the libs for some targets are built.

    Those for `host` have a folder of their own: they must not replace the ones for Kaggle.
    """
    return dist / (HOST_LIBS if tuple(names) == (HOST,) else "libs")


def folder(dist: Path, kind: str, names: Sequence[str]) -> Path:
    """Return the folder of a kind of bundle, for a notebook that runs on some targets."""
    if kind == "libs" and (new_libs(dist, names) / MANIFEST).is_file():
        return new_libs(dist, names)
    return dist / kind  # also libs for `host` that were built with --out


def check(libs: Bundle, settings: Settings) -> None:
    """Raise CheckError where a libs bundle was made for other targets than the settings name.

    Its targets are compared by their digests: a target of the same name may have changed since.
    """
    made = {one.name: one for one in libs.libs.targets}
    wanted = {one.name: one.digest for one in _wanted(settings)}
    names, asked = " and ".join(made), " and ".join(wanted)
    if made.keys() != wanted.keys():
        raise CheckError(
            f"The libs bundle in {libs.folder} was made for {names}, and the settings ask for "
            f"{asked}. Run `rsna-bundle libs`, or set {_setting(libs.libs.targets)} in "
            "[tool.rsna-bundle]."
        )
    if changed := [name for name, digest in wanted.items() if made[name].digest != digest]:
        raise CheckError(
            f"The libs bundle in {libs.folder} is stale: the Python, the platform or the packages "
            f"of the target {' and '.join(changed)} have changed since it was built. Run "
            "`rsna-bundle libs`."
        )


def _wanted(settings: Settings) -> Iterator[targets.Target]:
    for name in settings.target:
        yield targets.load(name, settings.root)


def _setting(made: Sequence[LibsTarget]) -> str:
    """Return the line of the settings that names some targets."""
    names = [f'"{one.name}"' for one in made]
    return f"`target = {names[0]}`" if len(names) == 1 else f"`target = [{', '.join(names)}]`"
