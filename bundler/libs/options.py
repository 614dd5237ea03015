"""The options of `rsna-bundle libs`."""

from dataclasses import dataclass
from pathlib import Path

from bundler.image.target import HOST
from bundler.libs.reading.selection import lock_beside
from bundler.progress import SILENT, Progress


@dataclass(frozen=True, kw_only=True)
class LibsOptions:
    """All inputs of one build; paths are used as they are."""

    requirements: Path
    targets: tuple[str, ...]  # names or files, one bundle for all of them
    out: Path
    resolver: str = "uv"
    delta: bool = True
    allow_sdist: bool = False
    install_test: bool = True
    allow_import_failure: tuple[str, ...] = ()  # packages that only the notebook can import
    audit: Path | None = None  # advisories in the OSV format
    check: bool = False
    upgrade: tuple[str, ...] | None = None  # None: nothing; (): everything; else these packages
    progress: Progress = SILENT

    def lock(self, target: str) -> Path:
        """Return the path of a target's lock: beside the requirements, to be committed.

        Of several targets each has a file with its name. `host` is another machine on every
        machine, so its lock lies beside the bundle.
        """
        path = self.only_lock
        if target == HOST:
            return self.out.parent / f"{path.stem}.{HOST}.lock"
        if len(self.targets) == 1:
            return path
        return path.with_name(f"{path.stem}.{Path(target).stem}.lock")

    @property
    def only_lock(self) -> Path:
        """Return the path of the lock where there is one target."""
        return lock_beside(self.requirements)
