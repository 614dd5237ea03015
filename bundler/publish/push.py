"""The submission notebook on Kaggle: pushed for the bundles that lie there, run, and compared."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.errors import CheckError, InputError
from bundler.image import target
from bundler.notebook import submission
from bundler.publish import bundles, dataset, kernel, outputs, slugs
from bundler.publish.client import Client, Say, connect
from bundler.publish.kernel import Notebook, Version
from bundler.settings import Settings

OUTPUTS = r"^submission\.(csv|json)$"
GRACE = 1.25  # of the time limit, for the queue and the start


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """A version of the submission notebook that ran on Kaggle, with the bundles expected."""

    version: Version
    ids: Mapping[str, str]
    outputs: Path
    followed: bool

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "notebook": str(self.version.ref),
            "version": self.version.number,
            "url": self.version.url,
            "ids": dict(self.ids),
            "outputs": str(self.outputs) if self.followed else None,
        }

    def summary(self) -> str:
        """Return one line for people."""
        ids = ", ".join(f"{kind} {identity[:12]}" for kind, identity in self.ids.items())
        ran = f"ran with {ids}; {self.outputs}" if self.followed else f"is pushed for {ids}"
        return f"version {self.version.number} of {self.version.ref} {ran}; {self.version.url}"


def push(settings: Settings, dist: Path, say: Say, *, follow: bool = True) -> Pushed:
    """Push the notebook for the bundles in `dist`, which must lie at Kaggle already."""
    return push_by(connect(say), settings, dist, say, follow=follow)


def push_by(
    client: Client, settings: Settings, dist: Path, say: Say, *, follow: bool = True
) -> Pushed:
    """Push, follow and compare by a client that is signed in."""
    notebook, ids = prepare(client, settings, dist)
    check_published(client, settings, ids)
    version = kernel.push(client, notebook)
    say(f"version {version.number} of {version.ref} is pushed: {version.url}")
    place = notebook.path.parent / "output"
    if follow:
        kernel.follow(client, version, say, settings.time_limit_hours * 3600 * GRACE)
        shutil.rmtree(place, ignore_errors=True)
        compare(outputs.fetch(client, version, place, OUTPUTS), ids)
    return Pushed(version=version, ids=ids, outputs=place, followed=follow)


def prepare(client: Client, settings: Settings, dist: Path) -> tuple[Notebook, Mapping[str, str]]:
    """Write the notebook, and return it with how it is to run and the ids it is made for."""
    owner = slugs.owner(client, settings.owner)
    ref = slugs.reference(owner, settings.notebook, "notebook")
    options = submission.runner_options(settings)
    written = submission.write(dist, dist / "notebook", options)
    notebook = Notebook(
        path=written.path,
        ref=ref,
        datasets=[str(place) for place in bundles.refs(client, settings).values()],
        competitions=[settings.competition],
        accelerator=settings.accelerator or None,
        image=kernel.image(target.load(settings.target, settings.root).source),
    )
    return notebook, written.ids


def check_published(client: Client, settings: Settings, ids: Mapping[str, str]) -> None:
    """Raise where a dataset holds another bundle than the notebook is made for."""
    for kind, ref in bundles.refs(client, settings).items():
        held = dataset.held_id(client, ref)
        if held != ids[kind]:
            raise CheckError(
                f"{ref} holds {f'the bundle {held[:12]}' if held else 'no bundle'}, but the "
                f"notebook is made for {kind} {ids[kind][:12]}. Run `rsna-bundle publish {kind}` "
                "first."
            )


def compare(files: list[Path], ids: Mapping[str, str]) -> None:
    """Raise where a run left no submission, or predicted with other bundles than expected."""
    found = {path.name: path for path in files}
    for name in ("submission.csv", "submission.json"):
        if name not in found or not found[name].stat().st_size:
            raise CheckError(f"Kaggle says that the notebook is complete, but it left no {name}.")
    try:
        said = json.loads(found["submission.json"].read_text(encoding="utf-8"))["ids"]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"submission.json of the notebook cannot be read: {error!r}.") from error
    wrong = [kind for kind, identity in ids.items() if said.get(kind) != identity]
    if wrong:
        kind = wrong[0]
        raise CheckError(
            f"The notebook predicted with {kind} {str(said.get(kind))[:12]}, not with "
            f"{ids[kind][:12]}: the run belongs to another version. Push it again."
        )
