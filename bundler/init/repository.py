"""Make a repository ready: the settings, the list of packages, a submission, what git ignores.

All texts are made before the first is written, so that bad input changes nothing. What the user
has is kept: a file of theirs is left alone, or gets lines at its end.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler import atomic, dependencies
from bundler import settings as settings_module
from bundler.competition import skeleton
from bundler.competition.skeleton import Tables
from bundler.errors import BundlerError, UsageError
from bundler.init import adopted as metadata
from bundler.init import mount_paths, table
from bundler.init.adopted import Adopted
from bundler.init.table import Ask
from bundler.result import Json
from bundler.settings import Datasets, Settings

if TYPE_CHECKING:
    from bundler.competition.profile import Profile

HINT = "# Add what your own code imports in the notebook.\n"
IGNORED = ("dist/", "runs/", ".env", "kaggle.json", "access_token")
SUBMIT = "submit.py"
NEXT = """\
Next: `rsna-bundle doctor`, then `rsna-bundle libs`, `rsna-bundle model --ckpt PATH`, and \
`rsna-bundle submit --dry-run`."""
# For a competition that the runner in the box does not serve.
NEXT_OWN = """\
Next: `RSNA_BUNDLE_COMPETITION={folder} {run}`, where {folder} holds the competition's files.
Then `rsna-bundle libs`, commit, and `rsna-bundle model --files PATH`, `rsna-bundle code`,
`rsna-bundle notebook`, `rsna-bundle rehearse{option}`."""


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """What the settings are to say; None: found out, or asked for."""

    competition_dir: Path | None = None  # the competition's files
    owner: str | None = None
    competition: str | None = None
    target: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """The files that were written or completed, and what the user should know."""

    files: Sequence[Path]
    notes: Sequence[str] = ()
    next_steps: str = NEXT

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {"files": [str(path) for path in self.files], "notes": list(self.notes)}

    def summary(self) -> str:
        """Return one line for people, the notes, and what comes next."""
        names = ", ".join(path.name for path in self.files)
        lines = [f"wrote {names}" if names else "nothing to write: the files are complete"]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join([*lines, self.next_steps])


def init(root: Path, options: InitOptions, ask: Ask) -> Made:
    """Write what a repository lacks. Raises UsageError before anything is written."""
    root = root.resolve()
    adopted = metadata.read(root)
    path = root / "pyproject.toml"
    text = _read(path)
    profile = _profile(options.competition_dir)
    texts = {}
    if table.has_settings(path, text):
        settings = settings_module.load(root)
        notes = list(_differences(settings, options))
    else:
        answers = table.decide(
            owner=options.owner,
            competition=options.competition,
            prefix=options.prefix,
            run=f"python {shlex.quote(adopted.script or SUBMIT)}",
            competition_dir=_below(options.competition_dir, root),
            adopted=adopted,
            ask=ask,
        )
        added = table.render(answers, options.target or Settings.target[0])
        texts[path] = table.append(path, text, added)
        settings = Settings(
            root=root,
            competition=answers.competition,
            owner=answers.owner,
            competition_dir=answers.competition_dir or "",
            datasets=replace(Datasets(), **answers.datasets),
            run=answers.run,
        )
        notes = list(adopted.notes)
    texts |= _missing_files(settings, profile)
    texts |= _missing_lines(root / ".gitignore", _ignored(settings, profile))
    written = _write(texts)
    if profile and _keep(profile, settings, path) and path not in written:
        written.insert(0, path)
    notes += [*_script_notes(settings, adopted), *_profile_notes(profile), *_git_notes(root)]
    return Made(files=written, notes=notes, next_steps=_next_steps(settings, options))


def _next_steps(settings: Settings, options: InitOptions) -> str:
    """Return what to run now, with the folder where the settings do not name it."""
    if not settings.run:
        return NEXT
    folder = shlex.quote(str(options.competition_dir or settings.competition_dir or "DIR"))
    option = "" if settings.competition_dir else f" --competition-dir {folder}"
    return NEXT_OWN.format(run=settings.run, folder=folder, option=option)


def _profile(folder: Path | None) -> "Profile | None":
    if folder is None:
        return None
    from bundler.competition import profile  # which imports what reads tables

    return profile.read(folder)


def _tables(profile: "Profile | None") -> Tables:
    if profile is None:
        return Tables()
    hidden = profile.hidden
    return Tables(
        sample=hidden.sample,
        test=hidden.test,
        submission=hidden.submission,
        ids=hidden.id,
    )


def _keep(profile: "Profile", settings: Settings, path: Path) -> bool:
    """Write what is certain of the competition's tables, unless the settings describe them."""
    if settings.hidden.is_filled or profile.questions:
        return False
    from bundler.competition import confirm

    confirm.keep(profile, path)
    return True


def _missing_files(settings: Settings, profile: "Profile | None") -> dict[Path, str]:
    """Return the files that are to be made whole, by path."""
    own = settings.competition != Settings.competition
    wheelhouse = skeleton.WHEELHOUSE if own else dependencies.wheelhouse() + HINT
    files = {Settings.requirements: wheelhouse}
    if settings.run and SUBMIT in shlex.split(settings.run):
        files[SUBMIT] = _submit(settings.competition, profile)
    if settings.requirements != Settings.requirements:
        del files[Settings.requirements]  # the list of packages is the user's own
    paths = {settings.root / name: text for name, text in files.items() if text}
    return {path: text for path, text in paths.items() if not path.exists()}


def _submit(competition: str, profile: "Profile | None") -> str:
    """Return the text of a submit.py; "" where it is not known what the competition calls."""
    if profile is None or profile.gateway is None:
        return skeleton.submit(competition, _tables(profile))
    from bundler.competition.gateway import skeleton as server

    return server.submit(competition, profile)


def _ignored(settings: Settings, profile: "Profile | None") -> list[str]:
    """Return the lines of .gitignore: the competition's files are nobody's to publish."""
    lines = [*IGNORED]
    lines += ["weights/", _tables(profile).submission] if settings.run else ["cache/"]
    folder = _below(profile.folder if profile else None, settings.root)
    return [*lines, f"/{folder}/"] if folder else lines


def _below(folder: Path | None, root: Path) -> str | None:
    """Return a folder's path relative to the root; None where it lies elsewhere, or is the root."""
    if folder is None or not folder.resolve().is_relative_to(root) or folder.resolve() == root:
        return None
    return folder.resolve().relative_to(root).as_posix()


def _missing_lines(path: Path, lines: Sequence[str]) -> dict[Path, str]:
    """Return a file with the lines it lacks at its end; nothing where it has them all."""
    text = _read(path)
    lacking = [line for line in lines if line not in text.splitlines()]
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text or text.endswith("\n") else newline
    added = "".join(line + newline for line in lacking)
    return {path: text + gap + added} if lacking else {}


def _differences(settings: Settings, options: InitOptions) -> Iterator[str]:
    """Say which options contradict the settings, which stay."""
    given = {"competition": options.competition, "owner": options.owner, "target": options.target}
    held = {
        "competition": settings.competition,
        "owner": settings.owner,
        "target": " and ".join(settings.target),
    }
    for key, value in given.items():
        if value and value != held[key]:
            yield f"pyproject.toml keeps {key} = {held[key]!r}; edit it there to change it."
    if settings.competition != Settings.competition and not settings.run:
        yield (
            f"run is not set in pyproject.toml, so the notebook would run `python -m "
            f"inference.run`, which does not know {settings.competition}. Name your command."
        )


def _script_notes(settings: Settings, adopted: Adopted) -> Iterator[str]:
    if adopted.script and settings.run and adopted.script in shlex.split(settings.run):
        yield f"The notebook will run {adopted.script}, as {metadata.KERNEL} says."
        yield from mount_paths.notes(settings, adopted.script)


def _profile_notes(profile: "Profile | None") -> Iterator[str]:
    if profile and profile.gateway and profile.gateway.batch is None:
        yield (
            f"{profile.gateway.gateway} does not show what it calls `predict` with, as in a game, "
            "so no submit.py was written. Start your inference server in it; the competition's "
            "files show how."
        )
    if profile and profile.questions:
        keys = ", ".join(question.key for question in profile.questions)
        folder = shlex.quote(str(profile.folder))
        yield (
            f"Not certain about the competition's tables: {keys}. Decide by `rsna-bundle "
            f"competition --write --competition-dir {folder}`, and check submit.py."
        )


def _git_notes(root: Path) -> Iterator[str]:
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        yield (
            "This folder is not in a git repository, and `rsna-bundle code` bundles a commit: "
            "`git init`, `git add .`, `git commit -m Start`."
        )


def _read(path: Path) -> str:
    """Return a file's text with its own line endings; "" where there is none."""
    try:
        return path.read_bytes().decode("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


def _write(texts: Mapping[Path, str]) -> list[Path]:
    try:
        for path, text in texts.items():
            atomic.write_text(path.resolve(), text)  # a link stays a link
    except OSError as error:
        raise BundlerError(f"{error.filename} cannot be written: {error.strerror}.") from error
    return list(texts)
