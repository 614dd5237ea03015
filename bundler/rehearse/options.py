"""The options of a rehearsal."""

from dataclasses import dataclass
from pathlib import Path

from bundler.progress import SILENT, Progress
from bundler.settings import Settings

LAYOUTS = ("new", "legacy")  # of Kaggle's mounts; see run/layout.py
BUDGET = 40.0  # seconds
STALL = 300.0  # seconds
WORKING_BYTES = 20_000_000_000  # what Kaggle gives /kaggle/working


@dataclass(frozen=True, kw_only=True)
class RehearseOptions:
    """All inputs of one rehearsal; paths are used as they are."""

    settings: Settings
    dist: Path  # holds libs, model, code and notebook
    out: Path  # where the report goes
    units: int | None = None  # of the first hidden test, such as patients; None: by the budget
    budget: float = BUDGET  # seconds that all runs together should take
    quick: bool = False  # run the notebook once: growth is then not known
    competition_dir: Path | None = None  # the user's own data; None: made up
    layouts: tuple[str, ...] = LAYOUTS
    python: Path | None = None  # of the notebook: pip and ipykernel; None: made for the target
    backend: str | None = None  # of the sandbox; None: the best that works here
    image: str | None = None  # for docker and podman: reference or folder; None: the target's
    memory_bytes: int | None = None  # None: the target's
    working_bytes: int = WORKING_BYTES
    stall_seconds: float = STALL  # without any work, after which a run is ended
    phantom_size: tuple[int, int] | None = None  # height, width; None: the competition's own
    measure_seconds: float = 5.0  # of steady work, for the projection
    progress: Progress = SILENT
