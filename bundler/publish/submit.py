"""From a commit to a score: build, rehearse, publish, push, wait, submit, wait, write down."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundler import rehearse, snapshot
from bundler.errors import CheckError, InputError
from bundler.libs.build import build as build_libs
from bundler.libs.options import LibsOptions
from bundler.notebook import submission
from bundler.publish import bundles, competition, dataset, history, push
from bundler.publish.bundles import KINDS
from bundler.publish.client import Client, Say, connect
from bundler.publish.history import Entry
from bundler.rehearse import RehearseOptions
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.boot.manifest import MANIFEST, Code
from inference.errors import BundleError

SCORING = 1.5  # of the time limit: the rerun on the hidden images, and its queue


@dataclass(frozen=True, kw_only=True)
class SubmitOptions:
    """All inputs of one submission."""

    message: str = ""
    allow_dirty: bool = False
    rehearse: bool = True
    wait: bool = True  # for the score
    python: Path | None = None  # of the notebook, for the rehearsal; None: made for the target


@dataclass(frozen=True, kw_only=True)
class Step:
    """A bundle in the plan: what lies here, what Kaggle holds, what is to be done."""

    kind: str
    local: str | None
    held: str | None
    build: bool

    @property
    def action(self) -> str:
        """Return what a submission would do about it."""
        if self.local is None:
            return "must be built first" if not self.build else "build and publish"
        publish = "nothing to do" if self.local == self.held else "publish"
        return f"build and {publish}" if self.build else publish


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a submission would do; nothing is written or sent to find out."""

    steps: Sequence[Step]
    notebook: str
    competition: str
    left: int
    rehearse: bool

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        steps = [vars(step) | {"action": step.action} for step in self.steps]
        return vars(self) | {"steps": steps}

    def summary(self) -> str:
        """Return the plan for people."""
        rows = [
            f"  {step.kind:6} here {_short(step.local)}  at Kaggle {_short(step.held)}  "
            f"{step.action}"
            for step in self.steps
        ]
        return "\n".join(
            [
                *rows,
                "  rehearse the notebook here" if self.rehearse else "  no rehearsal",
                f"  push {self.notebook}, follow it, compare what it left",
                f"  submit it to {self.competition} ({self.left} submissions left today)",
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A submission and its line in the table."""

    entry: Entry

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return dict(vars(self.entry))

    def summary(self) -> str:
        """Return one line for people."""
        entry = self.entry
        cv = f", {entry.metric} {entry.cv} in cross-validation" if entry.cv else ""
        scores = f"public {entry.public or '–'}, private {entry.private or '–'}"
        said = scores if entry.scored else "not scored yet (`rsna-bundle history --update`)"
        return f"submission {entry.id}: {said}{cv}; written to {history.NAME}"


def plan(settings: Settings, options: SubmitOptions, say: Say) -> Plan:
    """Say what `submit` would do."""
    client = connect(say)
    left = competition.check(client, settings.competition)
    places = bundles.refs(client, settings)
    steps = []
    for kind in KINDS:
        local, build = _local(settings, kind, options)
        steps.append(
            Step(kind=kind, local=local, held=dataset.held_id(client, places[kind]), build=build)
        )
    return Plan(
        steps=steps,
        notebook=f"{client.user}/{settings.notebook}",
        competition=settings.competition,
        left=left,
        rehearse=options.rehearse,
    )


def submit(settings: Settings, options: SubmitOptions, say: Say) -> Submitted:
    """Carry the current commit to a scored submission; each step is proven before the next."""
    client = connect(say)
    competition.check(client, settings.competition)  # before hours of work, not after them
    build(settings, options, say)
    if options.rehearse:
        say(rehearsed(settings, options))
    for published in bundles.publish_all(client, settings, _folders(settings)):
        say(published.summary())
    pushed = push.push_by(client, settings, settings.dist, say)
    entry = send(client, settings, pushed, options, say)
    return Submitted(entry=entry)


# --- building ---


def build(settings: Settings, options: SubmitOptions, say: Say) -> None:
    """Build what can be built from the repository alone; the model must be there."""
    model = settings.dist / "model"
    if not (model / MANIFEST).is_file():
        raise InputError(
            f"There is no model bundle in {model}. Build it first: `rsna-bundle model --ckpt PATH`."
        )
    say(build_libs(_libs_options(settings)).summary())
    built = snapshot.build(settings.root, settings.dist / "code", allow_dirty=options.allow_dirty)
    say(built.summary())


def _libs_options(settings: Settings, *, check: bool = False) -> LibsOptions:
    return LibsOptions(
        requirements=settings.root / settings.requirements,
        target=settings.target,
        out=settings.dist / "libs",
        check=check,
        quiet=True,
    )


def _local(settings: Settings, kind: str, options: SubmitOptions) -> tuple[str | None, bool]:
    """Return a bundle's id as a submission would have it, and whether it must be built."""
    there = _id(settings.dist / kind)
    if kind == "code":
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "code"
            built = snapshot.build(settings.root, place, allow_dirty=options.allow_dirty)
            return built.bundle.id, built.bundle.id != there
    if kind == "libs":
        try:
            build_libs(_libs_options(settings, check=True))
        except CheckError:
            return None, True
        return there, there is None
    return there, False


def _id(folder: Path) -> str | None:
    try:
        return reader.read(folder).id
    except BundleError:
        return None


def _folders(settings: Settings) -> dict[str, Path]:
    return {kind: settings.dist / kind for kind in KINDS}


def rehearsed(settings: Settings, options: SubmitOptions) -> str:
    """Run the notebook here, as Kaggle will, and return the verdict. Raises CheckError."""
    submission.write(settings.dist, settings.dist / "notebook", submission.runner_options(settings))
    result = rehearse.run(
        RehearseOptions(
            settings=settings,
            dist=settings.dist,
            out=settings.dist / "rehearsal",
            python=options.python,
            quiet=True,
        )
    )
    if not result.passed:
        raise CheckError(f"{result.summary()}\nNothing was sent.")
    return result.summary()


# --- submitting ---


def send(
    client: Client, settings: Settings, pushed: push.Pushed, options: SubmitOptions, say: Say
) -> Entry:
    """Submit a version that ran, wait for its score, and write both down."""
    code, model = (reader.read(settings.dist / kind) for kind in ("code", "model"))
    said = options.message or default_message(pushed.ids, code.code)
    ref = competition.submit(client, settings.competition, pushed.version, said)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    notebook = f"{pushed.version.ref}/{pushed.version.number}"
    entry = history.describe(ref, when, code, model, notebook, said)
    history.record(settings.root, entry)  # at once: a kill from here on loses nothing
    say(f"submission {ref} is made; {history.NAME} holds it")
    return scored(client, settings, entry, say) if options.wait else entry


def scored(client: Client, settings: Settings, entry: Entry, say: Say) -> Entry:
    """Wait for a submission's score and write it to the table and to MLflow."""
    limit = settings.time_limit_hours * 3600 * SCORING
    score = competition.wait(client, settings.competition, int(entry.id), say, limit)
    entry = history.scored(entry, score)
    history.record(settings.root, entry)
    if count := history.track(settings.root, entry, say):
        say(f"the score is in MLflow, with {count} runs")
    return entry


def update(settings: Settings, say: Say) -> Sequence[Entry]:
    """Look again for the scores that are not known yet; return the table."""
    entries = history.read(settings.root)
    open_ones = [entry for entry in entries if not entry.scored]
    if open_ones:
        client = connect(say)
        for entry in open_ones:
            try:
                scored(client, settings, entry, say)
            except CheckError as error:
                say(str(error))
    return history.read(settings.root)


def default_message(ids: Mapping[str, str], code: Code) -> str:
    """Return what a submission says of itself where nobody said anything."""
    dirty = "+dirty" if code.dirty else ""
    names = " ".join(f"{kind} {ids[kind][:8]}" for kind in KINDS)
    return f"commit {code.commit[:12]}{dirty} {names}"


def _short(identity: str | None) -> str:
    return identity[:12] if identity else "none        "
