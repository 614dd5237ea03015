"""Which file of requirements, and what of it: `pyproject.toml[EXTRA]`, `uv.lock:GROUP`."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")
PARTS = re.compile(r"(?P<file>[^\[:]+)(\[(?P<extras>[^\]]*)\])?(:(?P<group>.+))?")
LOCK = "wheelhouse.lock"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A file of requirements; of a project or of a lock, extras or a dependency group of it."""

    path: Path
    extras: tuple[str, ...] = ()
    group: str | None = None  # that group alone

    @property
    def is_project(self) -> bool:
        """Say whether it is a project's own pyproject.toml."""
        return self.path.name == "pyproject.toml"

    @property
    def is_uv_lock(self) -> bool:
        """Say whether it is the lock of uv."""
        return self.path.name == "uv.lock"

    @property
    def is_pylock(self) -> bool:
        """Say whether it is a lock of the standard format (PEP 751)."""
        return PYLOCK.fullmatch(self.path.name) is not None


def parse(requirements: Path) -> Selection:
    """Return what an option or a setting selects; of other files than these three, all of it."""
    match = PARTS.fullmatch(requirements.name)
    if match is None:
        return Selection(path=requirements)
    path = requirements.with_name(match["file"])
    extras = [name.strip() for name in (match["extras"] or "").split(",") if name.strip()]
    selected = Selection(
        path=path,
        extras=tuple(canonicalize_name(name) for name in extras),
        group=canonicalize_name(match["group"].strip()) if match["group"] else None,
    )
    known = selected.is_project or selected.is_uv_lock or selected.is_pylock
    return selected if known else Selection(path=requirements)


def lock_beside(requirements: Path) -> Path:
    """Return the path of the lock that is made of requirements, never another tool's."""
    selected = parse(requirements)
    if selected.path == requirements and requirements.suffix not in (".toml", ".lock"):
        return requirements.with_suffix(".lock")
    return requirements.with_name(LOCK)
