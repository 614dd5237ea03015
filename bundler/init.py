"""Make a repository ready: the settings, the list of packages, what git is to leave alone."""

import json
import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler import atomic, dependencies
from bundler.errors import BundlerError, UsageError
from bundler.publish import slugs
from bundler.settings import Settings

HINT = "# Add what your own code imports in the notebook.\n"
IGNORED = ("dist/", "runs/", ".env", "kaggle.json", "access_token")
Ask = Callable[[str, str], str]


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """What the settings are to say; None: to be asked for."""

    owner: str | None = None
    competition: str | None = None
    target: str | None = None
    prefix: str = "rsna-bundle"


@dataclass(frozen=True, kw_only=True)
class Made:
    """The files that were written or completed."""

    files: Sequence[Path]

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"files": [str(path) for path in self.files]}

    def summary(self) -> str:
        """Return one line for people, and what comes next."""
        names = ", ".join(path.name for path in self.files) or "nothing; all was there"
        return (
            f"wrote {names}\nNext: `rsna-bundle doctor`, then `rsna-bundle libs`, "
            "`rsna-bundle model --ckpt PATH`, and `rsna-bundle submit --dry-run`."
        )


def init(root: Path, options: InitOptions, ask: Ask) -> Made:
    """Write what is missing; nothing that is there is changed but by adding to it."""
    path = root / "pyproject.toml"
    text = _read(path)
    written = []
    try:
        if not _has_settings(path, text):
            said = _settings(options, ask)
            gap = "" if not text or text.endswith("\n\n") else "\n" if text[-1:] == "\n" else "\n\n"
            atomic.write_text(path, text + gap + said)
            written.append(path)
        if not (root / Settings.requirements).exists():
            atomic.write_text(root / Settings.requirements, dependencies.wheelhouse() + HINT)
            written.append(root / Settings.requirements)
        ignore = root / ".gitignore"
        held = _read(ignore)
        if lacking := [line for line in IGNORED if line not in held.splitlines()]:
            gap = "" if not held or held.endswith("\n") else "\n"
            atomic.write_text(ignore, held + gap + "\n".join(lacking) + "\n")
            written.append(ignore)
    except OSError as error:
        raise BundlerError(f"{error.filename} cannot be written: {error.strerror}.") from error
    return Made(files=written)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


def _has_settings(path: Path, text: str) -> bool:
    try:
        return "rsna-bundle" in tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}. Mend it first.") from error


def _settings(options: InitOptions, ask: Ask) -> str:
    owner = options.owner or ask("Your user name at Kaggle", os.environ.get("KAGGLE_USERNAME", ""))
    competition = options.competition or ask("The competition's slug", Settings.competition)
    target = options.target or Settings.target
    kinds = ("libs", "model", "code", "cache")
    names = {kind: f"{options.prefix}-{kind}" for kind in kinds}
    for slug in names.values():
        slugs.reference(owner, slug)
    lines = ["[tool.rsna-bundle]"]
    lines += [f"owner = {json.dumps(owner)}"] if owner else []
    lines += [f"competition = {json.dumps(competition)}", f"target = {json.dumps(target)}"]
    lines += [f"notebook = {json.dumps(options.prefix + '-submission')}", ""]
    lines += ["[tool.rsna-bundle.datasets]"]
    lines += [f"{kind} = {json.dumps(slug)}" for kind, slug in names.items()]
    return "\n".join(lines) + "\n"
