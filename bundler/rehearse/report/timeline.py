"""When what happened in a run, for the report."""

from collections.abc import Iterator
from dataclasses import dataclass

from bundler.rehearse.run.notebook_run import NotebookRun

CELLS = ("verify the code", "run")  # what each cell of the notebook does


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a run; seconds after its start."""

    name: str
    begin: float
    end: float


def draw(run: NotebookRun) -> Iterator[Step]:
    """Yield the steps of a run in order."""
    before = 0.0
    for name, (begin, end) in zip(CELLS, run.cells, strict=False):
        pause = "start the kernel" if before == 0.0 else "between cells"
        yield Step(name=pause, begin=before, end=begin)
        report = run.output.report
        if name == "run" and report:
            installed = begin + report.install_seconds
            yield Step(name="verify and install", begin=begin, end=installed)
            yield Step(name="open, decode, predict", begin=installed, end=end)
        else:
            yield Step(name=name, begin=begin, end=end)
        before = end
