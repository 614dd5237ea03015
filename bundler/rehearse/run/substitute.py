"""Where the target's Python is not on this machine: a libs bundle of the same for this Python.

The bundle's own wheels cannot be installed then, and the rehearsal says so; everything else, from
the code to the submission, is rehearsed with wheels of the same requirements for this Python.
"""

import platform
from pathlib import Path

from bundler.image.target import HOST
from bundler.libs.build import build as build_libs
from bundler.libs.options import LibsOptions
from bundler.notebook import submission
from bundler.rehearse.options import RehearseOptions


def build(options: RehearseOptions, folder: Path) -> Path:
    """Make a dist folder like the user's, but with libs for this Python. Raises BundlerError.

    The libs stay beside the report, with their lock: where neither the requirements nor this Python
    have changed, the next rehearsal takes them as they are.
    """
    folder.mkdir()
    lasting = options.out / f"substitute-{platform.python_version()}"
    lasting.mkdir(parents=True, exist_ok=True)
    (folder / "libs").symlink_to((lasting / "libs").absolute(), target_is_directory=True)
    for kind in ("model", "code"):
        if (options.dist / kind).is_dir():
            (folder / kind).symlink_to((options.dist / kind).resolve(), target_is_directory=True)
    settings = options.settings
    build_libs(
        LibsOptions(
            requirements=settings.root / settings.requirements,
            targets=(HOST,),
            out=lasting / "libs",
            install_test=False,
            progress=options.progress,
        )
    )
    submission.write(folder, folder / "notebook", submission.plan(settings))
    return folder
