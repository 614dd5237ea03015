"""The options of `rsna-bundle libs`."""

from dataclasses import dataclass
from pathlib import Path

from bundler.libs.reading.selection import lock_beside
from bundler.progress import SILENT, Progress


@dataclass(frozen=True, kw_only=True)
class LibsOptions:
    """All inputs of one build; paths are used as they are."""

    requirements: Path
    target: str
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

    @property
    def lock(self) -> Path:
        """Return the lock's path: beside the requirements, to be committed.

        `host` is another machine on every machine, so its lock lies beside the bundle.
        """
        path = lock_beside(self.requirements)
        return self.out.parent / f"{path.stem}.host.lock" if self.target == "host" else path
