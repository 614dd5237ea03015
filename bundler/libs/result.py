"""What `rsna-bundle libs` returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.bundle import Built
from bundler.image.target import Target
from bundler.libs.install_test import InstallTest
from bundler.libs.locks import Lock
from bundler.result import Json

CAPTURE = "run what `rsna-bundle target capture --script` prints in a notebook to get the real one"


@dataclass(frozen=True, kw_only=True)
class TargetResult:
    """What came of one target: its lock, and how the bundle was tested on its Python."""

    target: Target
    lock: Lock
    path: Path  # of the lock
    install_test: InstallTest
    changes: tuple[str, ...] = ()  # from the lock that was there

    @property
    def count(self) -> str:
        """Return how many packages the bundle brings, for people."""
        number = len(self.lock.pins)
        return f"{number} package{'' if number == 1 else 's'}"

    def lines(self) -> list[str]:
        """Return some lines for people."""
        provided = f", {len(self.lock.provided)} from the image" if self.lock.provided else ""
        notes = [f"note: {note}" for note in self.lock.notes]
        if self.target.estimate:
            known = self.target.knowledge.summary()
            notes.append(f"note: {self.lock.target} is an estimate ({known}); {CAPTURE}")
        return [
            f"{self.count}{provided}; {self.path}",
            *(f"lock: {line}" for line in self.changes),
            *self.install_test.lines(),
            *notes,
        ]

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {
            "target": self.lock.target,
            "estimate": self.target.estimate,
            "known": self.target.knowledge.as_dict(),
            "lock": str(self.path),
            "packages": {pin.name: pin.version for pin in self.lock.pins},
            "provided": {item.name: item.version for item in self.lock.provided},
            "notes": list(self.lock.notes),
            "changes": list(self.changes),
            "install_test": self.install_test.as_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class LibsResult:
    """A libs bundle that was built, or with `--check` locks that are current."""

    built: Built | None = None
    targets: tuple[TargetResult, ...]

    @property
    def lock(self) -> Lock:
        """Return the lock of the first target, which most often is the only one."""
        return self.targets[0].lock

    @property
    def install_test(self) -> InstallTest:
        """Return the result of the install test for the first target."""
        return self.targets[0].install_test

    @property
    def changes(self) -> tuple[str, ...]:
        """Return what has changed in the lock of the first target."""
        return self.targets[0].changes

    def summary(self) -> str:
        """Return some lines for people; each of several targets has a paragraph."""
        if self.built is None:
            return "\n".join(
                f"{one.path} is current: {one.count} for {one.lock.target}" for one in self.targets
            )
        lines = [self.built.summary()]
        for one in self.targets:
            if len(self.targets) > 1:
                lines.append(f"  {one.lock.target} (Python {one.lock.python})")
            lines += one.lines() if len(self.targets) == 1 else [f"  {x}" for x in one.lines()]
        return "\n  ".join(lines)

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints: of the first target, and of each of several."""
        built = self.built.as_dict() if self.built else {"changed": False}
        several = [one.as_dict() for one in self.targets] if len(self.targets) > 1 else []
        targets: Mapping[str, Json] = {"targets": several} if several else {}
        return {**built, **self.targets[0].as_dict(), **targets}
