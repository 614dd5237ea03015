"""Where the target's Python is not on this machine: the same packages for the host's.

The bundle's own wheels cannot be installed then, and the rehearsal says so; everything else, from
the code to the submission, is rehearsed with wheels of the same requirements for this Python.
"""

from pathlib import Path

from bundler.image.emulation import EmulatedImage
from bundler.image.target import Target
from bundler.libs.build import build as build_libs
from bundler.libs.options import LibsOptions
from bundler.notebook import submission
from bundler.rehearse.checks.checks import Check
from bundler.rehearse.options import RehearseOptions


def needed(played: EmulatedImage, machine: Target) -> bool:
    """Say whether the Python that plays the notebook's is of another version than the target's."""
    return played.version.split(".")[:2] != machine.python.split(".")[:2]


def build(options: RehearseOptions, place: Path) -> Path:
    """Make a dist folder like the user's, but with libs for this Python. Raises BundlerError."""
    place.mkdir()
    for kind in ("model", "code"):
        (place / kind).symlink_to((options.dist / kind).resolve(), target_is_directory=True)
    settings = options.settings
    build_libs(
        LibsOptions(
            requirements=settings.root / settings.requirements,
            target="host",
            out=place / "libs",
            install_test=False,
        )
    )
    submission.write(place, place / "notebook", submission.runner_options(settings))
    return place


def check(played: EmulatedImage, machine: Target) -> Check:
    """Return what this leaves open."""
    wanted = machine.short_python
    return Check(
        name="python",
        status="unproven",
        said=(
            f"The target runs Python {machine.python}, which is not on this machine: Python "
            f"{played.version} played it, with wheels of the same requirements for that version. "
            f"So the wheels of the libs bundle were not installed. To have them tried: "
            f"`uv python install {wanted}`, and rehearse again."
        ),
    )
