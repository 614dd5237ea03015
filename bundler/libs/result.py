"""What `rsna-bundle libs` returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.bundle import Built
from bundler.libs.install_test import InstallTest
from bundler.libs.locks import Lock
from bundler.result import Json

CAPTURE = "run what `rsna-bundle target capture --script` prints in a notebook to get the real one"


@dataclass(frozen=True, kw_only=True)
class LibsResult:
    """A libs bundle that was built, or with `--check` a lock that is current."""

    built: Built | None = None
    lock: Lock
    path: Path  # of the lock
    install_test: InstallTest
    changes: tuple[str, ...] = ()  # from the lock that was there
    estimate: bool = False  # the target is one

    def summary(self) -> str:
        """Return some lines for people."""
        if self.built is None:
            return f"{self.path} is current: {self._count()} for {self.lock.target}"
        provided = f", {len(self.lock.provided)} from the image" if self.lock.provided else ""
        packages = f"{self._count()}{provided}; {self.path}"
        notes = [f"note: {note}" for note in self.lock.notes]
        changes = [f"lock: {line}" for line in self.changes]
        if self.estimate:
            notes.append(f"note: {self.lock.target} is an estimate; {CAPTURE}")
        return "\n  ".join(
            [self.built.summary(), packages, *changes, *self.install_test.lines(), *notes]
        )

    def _count(self) -> str:
        number = len(self.lock.pins)
        return f"{number} package{'' if number == 1 else 's'}"

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        built = self.built.as_dict() if self.built else {"changed": False}
        return {
            **built,
            "target": self.lock.target,
            "estimate": self.estimate,
            "lock": str(self.path),
            "packages": {pin.name: pin.version for pin in self.lock.pins},
            "provided": {item.name: item.version for item in self.lock.provided},
            "notes": list(self.lock.notes),
            "changes": list(self.changes),
            "install_test": self.install_test.as_dict(),
        }
