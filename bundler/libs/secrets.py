"""Wheels that hold a secret: this machine's credentials in any, what looks like one in one's own.

A package of an index is public, with the keys that its tests may have. What comes from a folder of
links, from one place that the requirements name, or was built on this machine is somebody's own.
"""

from pathlib import Path

from bundler.libs.checks import Checked
from bundler.libs.inputs import Inputs
from bundler.secrets.check import FROM_WHEELS, check_paths


def check(checked: Checked, inputs: Inputs) -> None:
    """Raise InputError for a secret in the files of a bundle."""
    folders = [Path(link.removeprefix("file://")) for link in inputs.sources.links]
    own = {
        pin.file
        for pin in (*checked.lock.pins, *checked.lock.build)
        if pin.built_from
        or pin.name in inputs.sources.direct
        or any((folder / pin.file).is_file() for folder in folders)
    }
    public = checked.files.keys() - own
    check_paths(checked.files, "The wheels", FROM_WHEELS, inputs.options.progress, public=public)
