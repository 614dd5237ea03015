"""Which code this is: the git commit, and whether the tree differs from it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A commit; None where the code is in no repository."""

    commit: str | None
    dirty: bool | None


def current() -> Revision:
    """Return the revision of the repository that this file lies in."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain")
    if commit is None or changes is None:
        return Revision(commit=None, dirty=None)
    return Revision(commit=commit, dirty=bool(changes))


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
