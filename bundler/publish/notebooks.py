"""Other notebooks on Kaggle: training, building wheels, capturing the image."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler import atomic
from bundler.errors import CheckError, InputError
from bundler.image import captured, target
from bundler.notebook import libs, training
from bundler.notebook.other import folder
from bundler.notebook.submission import save
from bundler.progress import Progress
from bundler.publish import bundles, dataset, kernel, outputs, quota, slugs
from bundler.publish.client import Client, connect
from bundler.publish.kernel import Notebook, Version
from bundler.result import Json
from bundler.settings import Settings

TARGET = "target.json"
HOURS = 12.0  # the longest session that Kaggle allows
CAPTURE = """\
# Written by rsna-bundle: describes this image as a target, into {file}.
{script}
Path({file!r}).write_text(capture({name!r}).text() + "\\n", encoding="utf-8")
"""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A notebook that ran on Kaggle, and its files that were downloaded."""

    version: Version
    files: Sequence[Path]
    advice: str = ""

    def as_dict(self) -> dict[str, Json]:
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
        head = f"Version {self.version.number} of {self.version.ref}: {self.version.url}"
        return "\n".join(filter(None, [head + names, self.advice]))


def push_training(
    settings: Settings, dist: Path, progress: Progress, *, follow: bool = True
) -> Ran:
    """Push the training notebook with the competition and, if there is one, the cache mounted."""
    path = _written(folder(dist, "training") / training.NAME, "train")
    client = connect(progress)
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
    return _run(client, notebook, follow=follow, pattern=r"^runs/|\.(pt|csv|json)$")


def push_libs(settings: Settings, dist: Path, progress: Progress, *, follow: bool = True) -> Ran:
    """Push the notebook that builds wheels, and fetch what it built."""
    path = _written(folder(dist, "libs") / libs.NAME, "libs")
    client = connect(progress)
    notebook = Notebook(
        path=path,
        ref=_ref(client, settings, "libs"),
        internet=True,
        accelerator=settings.accelerator or None,
    )
    ran = _run(client, notebook, follow=follow, pattern=rf"^{libs.WHEELS}/.*\.whl$")
    wheels = path.parent / "output" / libs.WHEELS
    advice = f"To bundle them, add this to wheelhouse.txt: --find-links {wheels}" if follow else ""
    return Ran(version=ran.version, files=ran.files, advice=advice)


def capture(settings: Settings, out: Path, name: str, progress: Progress) -> Ran:
    """Capture the image that a submission gets, with a notebook that runs like one."""
    client = connect(progress)
    source = CAPTURE.format(file=TARGET, name=name, script=_capture_source())
    path = folder(settings.dist, "target") / "target.ipynb"
    save(path, [source])
    notebook = Notebook(
        path=path,
        ref=_ref(client, settings, "target"),
        accelerator=settings.accelerator or None,
    )
    ran = _run(client, notebook, follow=True, pattern=rf"^{TARGET}$")
    if not ran.files:
        raise CheckError(f"The run of {ran.version.url} is complete, but left no {TARGET}.")
    described = target.read(ran.files[0])
    atomic.write_text(out, described.text())
    return Ran(version=ran.version, files=[out], advice=described.summary())


def _capture_source() -> str:
    """Return the capture script without the part that prints."""
    script = captured.capture_script()
    return script[: script.index('if __name__ == "__main__":')]


def _ref(client: Client, settings: Settings, kind: str) -> slugs.Ref:
    owner = slugs.owner(client, settings.owner)
    return slugs.reference(owner, f"{settings.notebook}-{kind}"[:50].rstrip("-"), "notebook")


def _written(path: Path, mode: str) -> Path:
    if not path.is_file():
        raise InputError(f"{path} does not exist. Run `rsna-bundle notebook {mode}` first.")
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a notebook: {error}.") from error
    return path


def _run(client: Client, notebook: Notebook, *, follow: bool, pattern: str) -> Ran:
    quota.show(client, notebook.accelerator or "")
    version = kernel.push(client, notebook)
    if not follow:
        return Ran(version=version, files=[])
    kernel.follow(client, version, HOURS * 3600)
    downloads = notebook.path.parent / "output"
    shutil.rmtree(downloads, ignore_errors=True)  # another run's files must not count
    return Ran(version=version, files=outputs.fetch(client, version, downloads, pattern))
