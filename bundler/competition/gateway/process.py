"""The gateway beside a run of the notebook: what it is started with, and what it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class GatewayPlan:
    """A gateway that a run needs."""

    script: Path  # started by the notebook's Python as `python script input.json`
    module: str
    name: str  # of the gateway's class
    slugs: tuple[str, ...]  # folders of /kaggle/input in which it looks for the competition
    servers: tuple[str, ...]  # host names under which it looks for the notebook
    ports: tuple[int, ...]
    shuffled: bool = False  # the batches in another order than the gateway's own
    # Names in the competition's folder that are the hidden test's, and what the notebook finds
    # in their place: the gateway alone sees the hidden rows.
    public: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GatewayOutput:
    """What a gateway left, and what is known of the notebook beside it; times since 1970."""

    working: Path  # its working folder: result.json and the submission
    log: Path  # the driver's, an event a line
    printed: str
    returncode: int | None  # None: it had to be ended
    notebook_began: float
    notebook_ended: float | None  # by itself; None: it served until the gateway had ended
    memory: tuple[tuple[float, int], ...]  # of the notebook's processes: time, bytes
    memory_limit: int
    speed: float | None  # of the target's cores over this machine's; None: not known
    early_reads: tuple[str, ...] = ()  # files that a program of the notebook opened before shared
