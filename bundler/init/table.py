"""[tool.rsna-bundle] of a new repository: what is known, what is asked for, and its text."""

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.errors import UsageError
from bundler.init.adopted import Adopted
from bundler.publish import slugs
from bundler.settings import Settings

Ask = Callable[[str, str], str]  # question, default → answer

PREFIX = "rsna-bundle"  # of the screening mammography competition
LONGEST_PREFIX = 39  # so that PREFIX-submission is no longer than Kaggle takes
KINDS = ("libs", "model", "code", "cache")
ADDRESS = re.compile(r"https?://(?:www\.)?kaggle\.com/(?:competitions|c)/([^/?#]+)")
COMPETITION = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")  # the oldest have capitals


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the settings are to say; None and "" are left out."""

    owner: str
    competition: str
    run: str | None
    notebook: str
    accelerator: str | None = None
    competition_dir: str | None = None  # relative to the root
    datasets: Mapping[str, str] = field(default_factory=dict)


def decide(
    *,
    owner: str | None,
    competition: str | None,
    prefix: str | None,
    run: str,
    competition_dir: str | None = None,
    adopted: Adopted,
    ask: Ask,
) -> Answers:
    """Return the settings: given, found out, or asked for. Raises UsageError for a bad name.

    `run` is the command of a competition that the runner in the box does not serve.
    """
    owner = owner or os.environ.get("KAGGLE_USERNAME") or adopted.owner or _signed_in()
    owner = owner or ask("Your user name at Kaggle", "")
    competition = competition or adopted.competition
    competition = _slug(competition or ask("The competition's slug", Settings.competition))
    own = competition != Settings.competition
    # Each competition has datasets of its own: to share them would replace one's bundles by
    # another's.
    prefix = prefix or (competition.lower()[:LONGEST_PREFIX].rstrip("-") if own else PREFIX)
    kinds = KINDS[:-1] if own else KINDS  # the cache is of mammograms
    datasets = {kind: adopted.datasets.get(kind, f"{prefix}-{kind}") for kind in kinds}
    for slug in datasets.values():
        slugs.reference(owner, slug)
    notebook = adopted.notebook or f"{prefix}-submission"
    slugs.reference(owner, notebook, "notebook")
    return Answers(
        owner=owner,
        competition=competition,
        run=run if own else None,
        notebook=notebook,
        accelerator=adopted.accelerator,
        competition_dir=competition_dir,
        datasets=datasets,
    )


def render(answers: Answers, target: str) -> str:
    """Return the settings as TOML."""
    pairs = {
        "owner": answers.owner,
        "competition": answers.competition,
        "competition_dir": answers.competition_dir,
        "run": answers.run,
        "target": target,
        "notebook": answers.notebook,
        "accelerator": answers.accelerator,
    }
    lines = ["[tool.rsna-bundle]", *_lines(pairs), ""]
    lines += ["[tool.rsna-bundle.datasets]", *_lines(answers.datasets)]
    return "\n".join(lines) + "\n"


def append(path: Path, text: str, table: str) -> str:
    """Return the text of a TOML file with a table at its end, in the file's own line endings."""
    newline = "\r\n" if "\r\n" in text else "\n"
    added = table.replace("\n", newline)
    if not text or text.endswith(2 * newline):
        gap = ""
    else:
        gap = newline if text.endswith("\n") else 2 * newline
    try:
        tomllib.loads(text + gap + added)
    except tomllib.TOMLDecodeError as error:  # where `tool` is written as an inline table
        raise UsageError(
            f"{path} cannot take a table [tool.rsna-bundle] at its end: {error}. Add these "
            f"settings by hand:\n{table}"
        ) from error
    return text + gap + added


def has_settings(path: Path, text: str) -> bool:
    """Say whether the text of a pyproject.toml holds [tool.rsna-bundle]."""
    try:
        return "rsna-bundle" in tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}. Fix it first.") from error


def _lines(pairs: Mapping[str, str | None]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in pairs.items() if value]


def _slug(competition: str) -> str:
    """Return the slug of a competition, which may be given by its address."""
    address = ADDRESS.match(competition)
    slug = address[1] if address else competition
    if not COMPETITION.fullmatch(slug):
        raise UsageError(
            f"{competition!r} is not a competition's slug. It is the last part of its address: "
            "https://www.kaggle.com/competitions/SLUG."
        )
    return slug


def _signed_in() -> str | None:
    """Return the user of the credentials that Kaggle's client keeps; None where it has none."""
    try:
        folder = os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle"
        content = json.loads(Path(folder, "kaggle.json").read_text(encoding="utf-8"))
    except (OSError, RuntimeError, ValueError):  # no file, no home, no JSON: it is asked for, then
        return None
    user = content.get("username") if isinstance(content, dict) else None
    return user if isinstance(user, str) and user else None
