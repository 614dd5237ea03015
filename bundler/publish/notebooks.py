"""The other notebooks on Kaggle: training, building wheels, capturing the image."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler import atomic
from bundler.errors import BundlerError, CheckError, InputError
from bundler.image import target
from bundler.notebook import libs, training
from bundler.notebook.other import folder
from bundler.notebook.submission import render
from bundler.publish import bundles, dataset, kernel, outputs, slugs
from bundler.publish.client import Client, Say, connect
from bundler.publish.kernel import Notebook, Version
from bundler.settings import Settings

TARGET = "target.json"
HOURS = 12.0  # the longest session
CAPTURE = """\
# Written by rsna-bundle: describes this image as a target, into {file}.
{script}
Path({file!r}).write_text(json.dumps(capture({name!r}), indent=1), encoding="utf-8")
"""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A notebook that ran on Kaggle, and what it left here."""

    version: Version
    files: Sequence[Path]
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "notebook": str(self.version.ref),
            "version": self.version.number,
            "url": self.version.url,
            "files": [str(path) for path in self.files],
        }

    def summary(self) -> str:
        """Return some lines for people."""
        names = "".join(f"\n  {path}" for path in self.files)
        head = f"version {self.version.number} of {self.version.ref}: {self.version.url}"
        return "\n".join(filter(None, [head + names, self.advice]))


def push_training(settings: Settings, dist: Path, say: Say, *, follow: bool = True) -> Ran:
    """Push the training notebook, with the competition and the cache mounted, if there is one."""
    path = _written(folder(dist, "training") / training.NAME, "--train")
    client = connect(say)
    (cache,) = bundles.refs(client, settings, ("cache",)).values()
    held = dataset.held_id(client, cache)
    notebook = Notebook(
        path=path,
        ref=_ref(client, settings, "training"),
        datasets=[str(cache)] if held else [],
        competitions=[settings.competition],
        internet=True,
        accelerator=settings.accelerator or None,
    )
    return _run(client, notebook, say, follow=follow, pattern=r"^runs/|\.(pt|csv|json)$")


def push_libs(settings: Settings, dist: Path, say: Say, *, follow: bool = True) -> Ran:
    """Push the notebook that builds wheels, and fetch what it built."""
    path = _written(folder(dist, "libs") / libs.NAME, "--libs")
    client = connect(say)
    notebook = Notebook(
        path=path,
        ref=_ref(client, settings, "libs"),
        internet=True,
        accelerator=settings.accelerator or None,
    )
    ran = _run(client, notebook, say, follow=follow, pattern=rf"^{libs.WHEELS}/.*\.whl$")
    place = path.parent / "output" / libs.WHEELS
    advice = f"To bundle them, add a line to wheelhouse.txt: --find-links {place}" if follow else ""
    return Ran(version=ran.version, files=ran.files, advice=advice)


def capture(settings: Settings, out: Path, name: str, say: Say) -> Ran:
    """Capture the image that a submission gets, by a notebook that runs as one does."""
    client = connect(say)
    place = folder(settings.dist, "target")
    source = CAPTURE.format(file=TARGET, name=name, script=_capture_source())
    path = place / "target.ipynb"
    try:
        atomic.write_text(path, render([source]))
    except OSError as error:
        raise BundlerError(f"{path} cannot be written: {error.strerror}.") from error
    notebook = Notebook(
        path=path,
        ref=_ref(client, settings, "target"),
        accelerator=settings.accelerator or None,
    )
    ran = _run(client, notebook, say, follow=True, pattern=rf"^{TARGET}$")
    if not ran.files:
        raise CheckError(f"{ran.version.url} is complete, but left no {TARGET}.")
    found = target.read(ran.files[0])
    atomic.write_text(out, found.text())
    return Ran(version=ran.version, files=[out], advice=found.summary())


def _capture_source() -> str:
    """Return the capturing script without the part that prints."""
    script = target.capture_script()
    return script[: script.index('if __name__ == "__main__":')]


def _ref(client: Client, settings: Settings, kind: str) -> slugs.Ref:
    owner = slugs.owner(client, settings.owner)
    return slugs.reference(owner, f"{settings.notebook}-{kind}"[:50].rstrip("-"), "notebook")


def _written(path: Path, option: str) -> Path:
    if not path.is_file():
        raise InputError(f"There is no {path}. Write it first: `rsna-bundle notebook {option}`.")
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no notebook: {error}.") from error
    return path


def _run(client: Client, notebook: Notebook, say: Say, *, follow: bool, pattern: str) -> Ran:
    version = kernel.push(client, notebook)
    say(f"version {version.number} of {version.ref} is pushed: {version.url}")
    if not follow:
        return Ran(version=version, files=[])
    kernel.follow(client, version, say, HOURS * 3600)
    place = notebook.path.parent / "output"
    shutil.rmtree(place, ignore_errors=True)
    return Ran(version=version, files=outputs.fetch(client, version, place, pattern))
