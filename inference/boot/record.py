"""run.json: what was run, of which bundles, and how it ended; written from the first moment on."""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from inference.boot.fields import plain

NAME = "run.json"
EVERY = 60.0  # seconds between two writings, so that the file of a killed run is not far behind


@dataclass(frozen=True, kw_only=True)
class SubmissionFile:
    """What the run leaves for the competition."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What run.json holds; `exit_code` is None while the run goes on, or where it was killed."""

    ids: Mapping[str, str]
    run: str
    exit_code: int | None
    error: str | None
    seconds: float
    peak_rss_bytes: int
    image: str | None
    python: str
    gpus: tuple[str, ...]
    mounts: Mapping[str, str]
    submission: SubmissionFile | None


class Recorder:
    """Keeps run.json up to date; the only owner of what it says."""

    def __init__(self, folder: Path, ids: Mapping[str, str], run: str) -> None:
        self._path, self._start = folder / NAME, time.monotonic()
        self._written = 0.0
        self._record = RunRecord(
            ids=ids,
            run=run,
            exit_code=None,
            error=None,
            seconds=0.0,
            peak_rss_bytes=0,
            image=os.environ.get("KAGGLE_DOCKER_IMAGE"),
            python=platform.python_version(),
            gpus=gpus(),
            mounts={},
            submission=None,
        )
        self._write()

    def prepared(self, ids: Mapping[str, str], mounts: Mapping[str, str]) -> None:
        """Note which bundles were taken, and from where."""
        self._record = replace(self._record, ids=ids, mounts=mounts)
        self._write()

    def refresh(self, peak: int) -> None:
        """Note the memory that the run has held at most, in bytes; write it once a minute."""
        self._record = replace(self._record, peak_rss_bytes=max(peak, self._record.peak_rss_bytes))
        if time.monotonic() - self._written >= EVERY:
            self._write()

    def submitted(self, path: Path) -> None:
        """Note the submission that the command left."""
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        file = SubmissionFile(name=path.name, bytes=path.stat().st_size, sha256=digest)
        self._record = replace(self._record, submission=file)

    def ended(self, exit_code: int, error: str | None = None) -> None:
        """Note how the run ended."""
        self._record = replace(self._record, exit_code=exit_code, error=error)
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        seconds = round(self._written - self._start, 3)
        text = json.dumps(plain(replace(self._record, seconds=seconds)), indent=2) + "\n"
        partial = self._path.with_name(f"{NAME}.partial")
        try:
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, self._path)
        except OSError as error:  # a full disk is no reason to lose the run
            print(f"warning: {self._path} cannot be written: {error.strerror}.", file=sys.stderr)


def gpus() -> tuple[str, ...]:
    """Return the models of the machine's NVIDIA GPUs."""
    models = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text(errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
        models.append(named[0] if named else "unknown")
    return tuple(models)
