"""Make a repository ready: the settings, the list of packages, a submission, what git ignores.

All texts are made before the first is written, so that bad input changes nothing. What the user
has is kept: a file of theirs is left alone, or gets lines at its end.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler import atomic, dependencies
from bundler import settings as settings_module
from bundler.errors import BundlerError, UsageError
from bundler.init import adopted as metadata
from bundler.init import skeleton, table
from bundler.init.adopted import Adopted
from bundler.init.skeleton import Tables
from bundler.init.table import Ask
from bundler.result import Json
from bundler.settings import Settings

HINT = "# Add what your own code imports in the notebook.\n"
IGNORED = ("dist/", "runs/", ".env", "kaggle.json", "access_token")
SUBMIT = "submit.py"
NEXT = """\
Next: `rsna-bundle doctor`, then `rsna-bundle libs`, `rsna-bundle model --ckpt PATH`, and \
`rsna-bundle submit --dry-run`."""
# For a competition that the runner in the box does not serve.
NEXT_OWN = """\
Next: `RSNA_BUNDLE_COMPETITION=DIR {run}` where DIR holds the competition's files, commit, then
`rsna-bundle libs`, `rsna-bundle model --files PATH`, `rsna-bundle code`, `rsna-bundle notebook`,
and `rsna-bundle rehearse --competition-dir DIR`."""


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """What the settings are to say; None: found out, or asked for."""

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
            adopted=adopted,
            ask=ask,
        )
        added = table.render(answers, options.target or Settings.target)
        texts[path] = table.append(path, text, added)
        settings = Settings(root=root, competition=answers.competition, run=answers.run)
        notes = list(adopted.notes)
    texts |= _missing_files(settings)
    texts |= _missing_lines(root / ".gitignore", _ignored(settings))
    return Made(
        files=_write(texts),
        notes=(*notes, *_script_notes(settings, adopted), *_git_notes(root)),
        next_steps=NEXT_OWN.format(run=settings.run) if settings.run else NEXT,
    )


def _missing_files(settings: Settings) -> dict[Path, str]:
    """Return the files that are to be made whole, by path."""
    own = settings.competition != Settings.competition
    wheelhouse = skeleton.WHEELHOUSE if own else dependencies.wheelhouse() + HINT
    files = {Settings.requirements: wheelhouse}
    if own and settings.run and SUBMIT in shlex.split(settings.run):
        files[SUBMIT] = skeleton.submit(settings.competition, Tables())
    if settings.requirements != Settings.requirements:
        del files[Settings.requirements]  # the list of packages is the user's own
    paths = {settings.root / name: text for name, text in files.items()}
    return {path: text for path, text in paths.items() if not path.exists()}


def _ignored(settings: Settings) -> list[str]:
    own = ("weights/", Tables.submission) if settings.run else ()
    return [*IGNORED, *own]


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
    held = {"competition": settings.competition, "owner": settings.owner, "target": settings.target}
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
        yield (
            f"The notebook will run {adopted.script}, as {metadata.KERNEL} says. It finds the "
            "competition's files by RSNA_BUNDLE_COMPETITION and the model's by RSNA_BUNDLE_MODEL."
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
