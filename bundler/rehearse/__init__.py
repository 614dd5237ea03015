"""The rehearsal: run the notebook here as Kaggle will, check it, project it, report.

from bundler.rehearse import RehearseOptions, run
rehearsal = run(RehearseOptions(settings=settings, dist=dist, out=dist / "rehearsal"))
"""

from typing import TYPE_CHECKING

from bundler.rehearse.options import RehearseOptions

if TYPE_CHECKING:
    from bundler.rehearse.result import Rehearsal

__all__ = ["RehearseOptions", "run"]


def run(options: RehearseOptions) -> "Rehearsal":
    """Rehearse what will be published. Raises BundlerError where that cannot be done."""
    from bundler.rehearse import rehearsal

    return rehearsal.run(options)
