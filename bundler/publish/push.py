"""The submission notebook on Kaggle: pushed, run, and its bundles compared with those in dist."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.errors import CheckError, InputError
from bundler.notebook import submission
from bundler.progress import Progress
from bundler.publish import bundles, dataset, images, kernel, outputs, quota, slugs
from bundler.publish.client import Client, connect
from bundler.publish.kernel import Notebook, Version
from bundler.result import Json
from bundler.settings import Settings
from inference.boot.record import NAME as RECORD

OUTPUTS = r"^(run\.json|submission\.\w+)$"
GRACE = 1.25  # times the time limit: the queue and the start take time, too


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """A version of the submission notebook that ran on Kaggle, with the bundles expected."""

    version: Version
    ids: Mapping[str, str]
    outputs: Path
    followed: bool
    file: str = "submission.csv"  # that the competition is to score

    def as_dict(self) -> dict[str, Json]:
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
        ran = f"ran with {ids}; see {self.outputs}" if self.followed else f"was pushed with {ids}"
        return f"Version {self.version.number} of {self.version.ref} {ran} and {self.version.url}"


def push(settings: Settings, dist: Path, progress: Progress, *, follow: bool = True) -> Pushed:
    """Push the notebook for the bundles in `dist`, which must be published already."""
    return push_by(connect(progress), settings, dist, follow=follow)


def push_by(client: Client, settings: Settings, dist: Path, *, follow: bool = True) -> Pushed:
    """Push, follow and compare, with a client that is signed in."""
    notebook, ids = prepare(client, settings, dist)
    check_published(client, settings, ids)
    quota.show(client, settings.accelerator)
    version = kernel.push(client, notebook)
    folder = notebook.path.parent / "output"
    file: str | None = None
    if follow:
        kernel.follow(client, version, settings.time_limit_hours * 3600 * GRACE)
        shutil.rmtree(folder, ignore_errors=True)  # another run's files must not count
        file = compare(outputs.fetch(client, version, folder, OUTPUTS), ids)
    # A gateway writes its own on the rerun: named is what the competition scores.
    name = file or settings.hidden.submission or Pushed.file
    return Pushed(version=version, ids=ids, outputs=folder, followed=follow, file=name)


def prepare(client: Client, settings: Settings, dist: Path) -> tuple[Notebook, Mapping[str, str]]:
    """Write the notebook; return it with how it is to run, and the ids that it expects."""
    owner = slugs.owner(client, settings.owner)
    ref = slugs.reference(owner, settings.notebook, "notebook")
    written = submission.write_for(settings, dist)
    notebook = Notebook(
        path=written.path,
        ref=ref,
        datasets=[str(ref) for ref in bundles.refs(client, settings, tuple(written.ids)).values()],
        competitions=[settings.competition],
        accelerator=settings.accelerator or None,
        image=images.choose(client, settings, ref),
    )
    return notebook, written.ids


def check_published(client: Client, settings: Settings, ids: Mapping[str, str]) -> None:
    """Raise CheckError if a dataset holds another bundle than the notebook expects."""
    for kind, ref in bundles.refs(client, settings, tuple(ids)).items():
        held = dataset.held_id(client, ref)
        if held != ids[kind]:
            raise CheckError(
                f"{ref} holds {f'the bundle {held[:12]}' if held else 'no bundle'}, but the "
                f"notebook expects {kind} {ids[kind][:12]}. Run `rsna-bundle publish {kind}` "
                "first."
            )


def compare(files: list[Path], ids: Mapping[str, str]) -> str | None:
    """Return the name of a run's submission; None where a gateway takes the answers.

    Raises CheckError if there is none, or if the run used other bundles than expected.
    """
    paths = {path.name: path for path in files}
    if RECORD not in paths:
        raise CheckError(f"Kaggle reports a complete run, but it left no {RECORD}.")
    used = used_ids(paths[RECORD].read_bytes())
    if not used:
        raise InputError(f"The run left a {RECORD} without ids. Push the notebook again.")
    for kind, identity in ids.items():
        if used.get(kind) != identity:
            raise CheckError(
                f"The run used {kind} {used.get(kind, 'none')[:12]}, not {identity[:12]}: it "
                "belongs to another version. Push the notebook again."
            )
    name = submission_name(paths[RECORD].read_bytes())
    if name and (name not in paths or not paths[name].stat().st_size):
        raise CheckError(f"Kaggle reports a complete run, but it left no {name}.")
    return name


def submission_name(record: bytes) -> str | None:
    """Return the submission's file name by a run.json; None where a gateway takes the answers."""
    try:
        file = json.loads(record)["submission"]
        return None if file is None else str(file["name"])
    except (ValueError, LookupError, TypeError):
        return "submission.csv"


def used_ids(report: bytes | None) -> Mapping[str, str]:
    """Return the ids of the bundles that a run used, by kind; none if its report lacks them."""
    try:
        ids = json.loads(report or b"{}")["ids"]
        return {str(kind): str(identity) for kind, identity in ids.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
