"""Describe this machine as a target; `capture` is the script that does it in a notebook, too."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler import atomic
from bundler.image import target as targets
from bundler.image.target import Target
from bundler.result import Json


def capture_script() -> str:
    """Return the script that captures a target by itself, for a notebook's cell."""
    return Path(__file__).with_name("capture.py").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Captured:
    """The target that describes this machine, and the file that it was written to."""

    target: Target
    path: Path | None

    def as_dict(self) -> Mapping[str, Json]:
        """Return the JSON that the file holds."""
        return self.target.as_dict()

    def summary(self) -> str:
        """Return one line for people, or the file's text if there is no file."""
        if self.path is None:
            return self.target.text().rstrip()
        return (
            f"{self.path} describes this machine. Use it with `rsna-bundle libs --target "
            f"{self.path}`."
        )


def capture(name: str, out: Path | None) -> Captured:
    """Describe this machine as a target, and write it to `out` if given."""
    from bundler.image import capture as script

    captured = targets.parse(json.loads(script.capture(name).text()))
    if out is not None:
        atomic.write_text(out, captured.text())
    return Captured(target=captured, path=out)
