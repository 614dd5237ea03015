"""What a rehearsal can be told."""

from dataclasses import dataclass
from pathlib import Path

from bundler.settings import Settings

LAYOUTS = ("new", "legacy")
WORKING_BYTES = 20_000_000_000  # what Kaggle gives /kaggle/working
PHANTOM_SIZE = (2048, 1664)


@dataclass(frozen=True, kw_only=True)
class RehearseOptions:
    """All inputs of one rehearsal; paths are used as they are."""

    settings: Settings
    dist: Path  # holds libs, model, code and notebook
    out: Path  # where the report goes
    patients: int = 6
    competition_dir: Path | None = None  # sample its training images, not phantoms
    layouts: tuple[str, ...] = LAYOUTS
    python: Path | None = None  # of the notebook: pip and ipykernel; None: made for the target
    memory_bytes: int | None = None  # None: the target's
    working_bytes: int = WORKING_BYTES
    phantom_size: tuple[int, int] = PHANTOM_SIZE
    measure_seconds: float = 5.0  # of steady work, for the projection
    quiet: bool = False
