"""From a commit to a score: build, rehearse, publish, push, wait, submit, wait, record."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bundler import snapshot
from bundler.errors import CheckError, InputError
from bundler.libs.build import build as build_libs
from bundler.libs.options import LibsOptions
from bundler.notebook import folders, submission
from bundler.progress import Progress
from bundler.publish import bundles, competition, dataset, history, push
from bundler.publish.bundles import KINDS
from bundler.publish.client import Client, connect
from bundler.publish.failures import CredentialsError, OfflineError
from bundler.publish.history import Entry, History
from bundler.rehearse.options import RehearseOptions
from bundler.result import Json
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.boot.manifest import MANIFEST, Code
from inference.errors import BundleError

SCORING = 1.5  # times the time limit: the rerun on the hidden test set waits in a queue


@dataclass(frozen=True, kw_only=True)
class SubmitOptions:
    """All inputs of one submission."""

    message: str = ""
    allow_dirty: bool = False
    rehearse: bool = True
    wait: bool = True  # for the score
    competition_dir: Path | None = None  # the competition's files, for the rehearsal
    python: Path | None = None  # of the notebook, for the rehearsal; None: made for the target


@dataclass(frozen=True, kw_only=True)
class Step:
    """A bundle in the plan: its id here, its id on Kaggle, and what would be done."""

    kind: str
    local: str | None
    held: str | None
    build: bool

    @property
    def action(self) -> str:
        """Return what a submission would do with it."""
        if self.local is None:
            return "must be built first" if not self.build else "build and publish"
        publish = "nothing to do" if self.local == self.held else "publish"
        return f"build and {publish}" if self.build else publish


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a submission would do; nothing was written or sent to find out."""

    steps: Sequence[Step]
    notebook: str
    competition: str
    left: int | None  # None: Kaggle was not asked
    rehearse: bool
    local_only: str = ""  # why Kaggle was not asked

    def as_dict(self) -> dict[str, Json]:
        """Return what `--json` prints."""
        steps = [vars(step) | {"action": step.action} for step in self.steps]
        return vars(self) | {"steps": steps}

    def summary(self) -> str:
        """Return the plan for people."""
        held = "?           " if self.local_only else None
        rows = [
            f"  {step.kind:6} here {_short(step.local)}  on Kaggle {held or _short(step.held)}  "
            f"{step.action}"
            for step in self.steps
        ]
        left = "an unknown number of" if self.left is None else str(self.left)
        return "\n".join(
            [
                *rows,
                "  rehearse the notebook here" if self.rehearse else "  no rehearsal",
                f"  push {self.notebook}, follow its run, check its output",
                f"  submit it to {self.competition} ({left} submissions left today)",
                *([f"Kaggle was not asked. {self.local_only}"] if self.local_only else []),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A submission and its row in the table."""

    entry: Entry

    def as_dict(self) -> dict[str, Json]:
        """Return what `--json` prints."""
        return dict(vars(self.entry))

    def summary(self) -> str:
        """Return one line for people."""
        entry = self.entry
        cv = f", {entry.metric} {entry.cv} in cross-validation" if entry.cv else ""
        scores = f"public {entry.public or '–'}, private {entry.private or '–'}"
        result = scores if entry.scored else "not scored yet (`rsna-bundle history --update`)"
        return f"Submission {entry.id}: {result}{cv}; recorded in {history.NAME}"


def plan(settings: Settings, options: SubmitOptions, progress: Progress) -> Plan:
    """Return what `submit` would do; without an account or a network, what of it is known here."""
    client, left, local_only = None, None, ""
    try:
        client = connect(progress)
    except (CredentialsError, OfflineError) as error:
        local_only = str(error)
    if client:
        progress.step("Comparing this repository with Kaggle")
        left = competition.check(client, settings.competition)
    steps = []
    for kind in _folders(settings):
        local, build = _local(settings, kind, options)
        held = None
        if client:
            held = dataset.held_id(client, bundles.refs(client, settings, (kind,))[kind])
        steps.append(Step(kind=kind, local=local, held=held, build=build))
    return Plan(
        steps=steps,
        notebook=f"{client.user if client else settings.owner or '?'}/{settings.notebook}",
        competition=settings.competition,
        left=left,
        rehearse=options.rehearse,
        local_only=local_only,
    )


def submit(settings: Settings, options: SubmitOptions, progress: Progress) -> Submitted:
    """Take the current commit to a scored submission; each step is checked before the next."""
    client = connect(progress)
    competition.check(client, settings.competition)  # before hours of work, not after them
    build(settings, options, progress)
    if options.rehearse:
        progress.note(rehearsed(settings, options, progress))
    for published in bundles.publish_all(client, settings, _folders(settings)):
        progress.note(published.summary())
    pushed = push.push_by(client, settings, settings.dist)
    entry = send(client, settings, pushed, options)
    return Submitted(entry=entry)


# --- building ---


def build(settings: Settings, options: SubmitOptions, progress: Progress) -> None:
    """Build what can be built from the repository alone; the model must exist already."""
    model = settings.dist / "model"
    if submission.plan(settings).needs_model and not (model / MANIFEST).is_file():
        raise InputError(
            f"There is no model bundle in {model}. Run `rsna-bundle model --ckpt PATH` first."
        )
    progress.step("Building libs")
    progress.note(build_libs(_libs_options(settings)).summary())
    progress.step("Building code")
    built = snapshot.build(
        settings.root, settings.dist / "code", allow_dirty=options.allow_dirty, run=settings.run
    )
    progress.note(built.summary())


def _libs_options(settings: Settings, *, check: bool = False) -> LibsOptions:
    return LibsOptions(
        requirements=settings.root / settings.requirements,
        targets=settings.target,
        out=folders.new_libs(settings.dist, settings.target),
        check=check,
    )


def _local(settings: Settings, kind: str, options: SubmitOptions) -> tuple[str | None, bool]:
    """Return the id that a bundle would have in a submission, and whether it must be built."""
    current = _id(folders.folder(settings.dist, kind, settings.target))
    if kind == "code":
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder) / "code"
            built = snapshot.build(
                settings.root, scratch, allow_dirty=options.allow_dirty, run=settings.run
            )
            return built.bundle.id, built.bundle.id != current
    if kind == "libs":
        try:
            build_libs(_libs_options(settings, check=True))
        except CheckError:
            return None, True
        return current, current is None
    return current, False


def _id(folder: Path) -> str | None:
    try:
        return reader.read(folder).id
    except BundleError:
        return None


def _folders(settings: Settings) -> dict[str, Path]:
    kinds = submission.kinds(settings.dist, submission.plan(settings))
    return {kind: folders.folder(settings.dist, kind, settings.target) for kind in kinds}


def rehearsed(settings: Settings, options: SubmitOptions, progress: Progress) -> str:
    """Run the notebook here as Kaggle will; return the summary. Raises CheckError."""
    submission.write_for(settings, settings.dist)
    from bundler.rehearse import rehearsal

    result = rehearsal.run(
        RehearseOptions(
            settings=settings,
            dist=settings.dist,
            out=settings.dist / "rehearsal",
            competition_dir=options.competition_dir,
            python=options.python,
            progress=progress,
        )
    )
    if not result.passed:
        raise CheckError(f"{result.summary()}\nNothing was sent.")
    return result.summary()


# --- submitting ---


def send(client: Client, settings: Settings, pushed: push.Pushed, options: SubmitOptions) -> Entry:
    """Submit a version that ran, wait for its score, and record both."""
    code = reader.read(settings.dist / "code")
    model = reader.read(settings.dist / "model") if "model" in pushed.ids else None
    message = options.message or default_message(pushed.ids, code.code)
    ref = competition.submit(client, settings.competition, pushed.version, message, pushed.file)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    notebook = f"{pushed.version.ref}/{pushed.version.number}"
    entry = history.describe(ref, when, code, model, notebook, message)
    history.record(settings.root, entry)  # at once: if killed from here on, nothing is lost
    client.progress.note(f"Submission {ref} is recorded in {history.NAME}")
    return scored(client, settings, entry) if options.wait else entry


def scored(client: Client, settings: Settings, entry: Entry) -> Entry:
    """Wait for a submission's score and write it to the table and to MLflow."""
    limit = settings.time_limit_hours * 3600 * SCORING
    score = competition.wait(client, settings.competition, int(entry.id), limit)
    entry = history.scored(entry, score)
    history.record(settings.root, entry)
    if count := history.track(settings.root, entry, client.progress):
        client.progress.note(f"The score is in MLflow, too, with {count} runs")
    return entry


def update(settings: Settings, progress: Progress) -> History:
    """Ask Kaggle for missing scores; return the table."""
    unscored = [entry for entry in history.read(settings.root) if not entry.scored]
    if unscored:
        client = connect(progress)
        for entry in unscored:
            try:
                scored(client, settings, entry)
            except CheckError as error:  # the others may have their score all the same
                progress.warn(str(error))
    return History(entries=history.read(settings.root))


def default_message(ids: Mapping[str, str], code: Code) -> str:
    """Return a submission's description if the user gives none."""
    dirty = "+dirty" if code.dirty else ""
    names = " ".join(f"{kind} {ids[kind][:8]}" for kind in KINDS if kind in ids)
    return f"commit {code.commit[:12]}{dirty} {names}"


def _short(identity: str | None) -> str:
    return identity[:12] if identity else "none        "
