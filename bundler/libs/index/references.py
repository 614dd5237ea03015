"""A package that is required from one place: a folder, a file, a URL, or a git repository."""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from bundler.libs.index import web

GIT = "git+"
OTHERS = ("hg+", "svn+", "bzr+")
ARCHIVES = (".whl", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where a package is; `archive` is the file that was made or fetched of it, if it was."""

    location: str = field(repr=False)  # an absolute path or a URL, perhaps with credentials
    shown: str  # without credentials, relative to the requirements: what a lock calls it
    is_git: bool = False
    revision: str = ""  # of a repository: a branch, a tag or a commit; "": its default branch
    subdirectory: str = ""  # of a repository or an archive, where its project lies
    sha256: str = ""  # of the archive
    archive: Path | None = None
    commit: str = ""  # that the revision is
    egg: str = ""  # the package's name, where the fragment says it

    @property
    def path(self) -> Path | None:
        """Return its path on this machine, None where it lies elsewhere."""
        return None if self.is_git or "://" in self.location else Path(self.location)

    @property
    def is_folder(self) -> bool:
        """Say whether it is a folder on this machine."""
        return self.path is not None and self.path.is_dir()

    @property
    def filename(self) -> str:
        """Return the name of its file."""
        if self.path is not None:
            return self.path.name
        return unquote(urlsplit(self.location).path).rpartition("/")[2]

    @property
    def release(self) -> tuple[str, str] | None:
        """Return (normalised name, version) where the file's name says them."""
        if self.is_git or self.is_folder or self.subdirectory:
            return None
        try:
            if self.filename.endswith(".whl"):
                name, version = parse_wheel_filename(self.filename)[:2]
            else:
                name, version = parse_sdist_filename(self.filename)
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
            return None
        return canonicalize_name(name), str(version)


def is_reference(text: str) -> bool:
    """Say whether a line of requirements starts with a path or a URL, not with a name."""
    first = text.split()[0].partition("[")[0] if text else ""
    return (
        "://" in first
        or first.startswith((".", "/", "~", *OTHERS, GIT))
        or os.sep in first
        or first.lower().endswith(ARCHIVES)
    )


def parse(text: str, base: Path) -> Reference:
    """Return the reference that a text is: a URL, or a path relative to `base`.

    Raises ValueError, whose text says why it is none.
    """
    if text.startswith(OTHERS):
        raise ValueError("of the version control systems git alone is supported")
    if text.startswith(GIT):
        return _of_git(text.removeprefix(GIT))
    if "://" not in text:
        path, _, fragment = text.partition("#")
        return _of_path((base / Path(path).expanduser()).resolve(), base, fragment)
    parts = urlsplit(text)
    if parts.scheme == "file":
        return _of_path(Path(unquote(parts.path)).resolve(), base, parts.fragment)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"the scheme {parts.scheme} is not supported")
    if not parts.path.rpartition("/")[2]:
        raise ValueError("the URL names no file")
    location = urlunsplit(parts._replace(fragment=""))
    return _with(Reference(location=location, shown=web.shown(location)), parts.fragment)


def of_git(url: str, revision: str = "", subdirectory: str = "") -> Reference:
    """Return the reference to a revision of a repository ("": its default branch)."""
    name = f"{GIT}{web.shown(url)}" + (f"@{revision}" if revision else "")
    return Reference(
        location=url,
        shown=name + (f"#subdirectory={subdirectory}" if subdirectory else ""),
        is_git=True,
        revision=revision,
        subdirectory=subdirectory,
        commit=revision if COMMIT.fullmatch(revision) else "",
    )


def _of_git(text: str) -> Reference:
    parts = urlsplit(text)
    path, at, revision = parts.path.rpartition("@")
    url = urlunsplit(parts._replace(path=path if at else parts.path, fragment=""))
    of_fragment = _with(Reference(location=url, shown=""), parts.fragment)
    made = of_git(url, unquote(revision) if at else "", of_fragment.subdirectory)
    return replace(made, egg=of_fragment.egg)


def _of_path(path: Path, base: Path, fragment: str) -> Reference:
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    shown = Path(os.path.relpath(path, base.resolve())).as_posix()
    named = shown if shown.startswith(".") else f"./{shown}"
    return _with(Reference(location=str(path), shown=named), fragment)


def _with(reference: Reference, fragment: str) -> Reference:
    """Return a reference with what the fragment of its URL says, as pip has it."""
    values = {key: texts[-1] for key, texts in parse_qs(fragment).items()}
    subdirectory = values.get("subdirectory", "")
    return replace(
        reference,
        egg=values.get("egg", "").partition("[")[0],
        subdirectory=subdirectory,
        shown=reference.shown + (f"#subdirectory={subdirectory}" if subdirectory else ""),
        sha256=values.get("sha256", ""),
    )
