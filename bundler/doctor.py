"""What stands in the way of a submission, each with how to mend it."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from bundler import cache, process
from bundler.errors import BundlerError, CommandError
from bundler.image import target
from bundler.publish import bundles, competition, dataset, kernel, slugs
from bundler.publish.client import SKEW, Client, connect
from bundler.sandbox import offline
from bundler.settings import Settings

GOOD, DOUBT, BAD = "ok", "doubt", "bad"
DISK = 5 * 10**9  # bytes: wheels, a model, the client's copies
OLD = 60  # days after which Kaggle's image has usually moved on
MONTH = re.compile(r"(20\d\d)-(\d\d)$")
DAY = 86400


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: str  # ok | doubt | bad
    said: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All findings."""

    findings: Sequence[Finding]

    @property
    def sound(self) -> bool:
        """Say whether nothing is bad."""
        return all(finding.state != BAD for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"sound": self.sound, "findings": [vars(finding) for finding in self.findings]}

    def summary(self) -> str:
        """Return a line for each finding."""
        marks = {GOOD: "✓", DOUBT: "?", BAD: "✗"}
        return "\n".join(f"{marks[one.state]} {one.name:13} {one.said}" for one in self.findings)


Look = Callable[[Settings], Iterator[tuple[str, str, str]]]


def examine(settings: Settings) -> Diagnosis:
    """Look at everything that a submission needs; nothing is changed."""
    looks: list[Look] = [tools, disk, image, jail, permissions, network, kaggle]
    found = []
    for look in looks:
        try:
            for name, state, said in look(settings):
                found.append(Finding(name=name, state=state, said=said))
        except BundlerError as error:
            found.append(Finding(name=look.__name__, state=BAD, said=str(error)))
    return Diagnosis(findings=found)


# --- this machine ---


def tools(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Look at git and the repository."""
    try:
        head = process.run(["git", "rev-parse", "HEAD"], cwd=settings.root).stdout.strip()
        changed = process.run(["git", "status", "--porcelain"], cwd=settings.root).stdout
    except CommandError:
        yield (
            "repository",
            BAD,
            f"{settings.root} is no git repository with a commit: `git init && git add -A && "
            "git commit`.",
        )
        return
    count = len(changed.splitlines())
    dirty = f", {count} files not committed: `code` will refuse" if count else ""
    yield "repository", DOUBT if count else GOOD, f"commit {head[:12]}{dirty}"


def disk(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Look at the room that is left."""
    for name, place in {"disk": settings.root, "cache": cache.folder()}.items():
        free = shutil.disk_usage(place).free
        said = f"{free / 1e9:.0f} GB free for {place}"
        if free < DISK:
            said += f": under {DISK / 1e9:.0f} GB; make room, or set RSNA_BUNDLE_CACHE"
        yield name, GOOD if free >= DISK else BAD, said


def image(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Look at how well the notebook's image is known."""
    found = target.load(settings.target, settings.root)
    days = _age(settings)
    old = days is not None and days > OLD
    anew = "capture it: `rsna-bundle target capture --push --out target.json`"
    said = f"{found.name}, Python {found.python}"
    if found.estimate:
        said += f", an estimate: {anew}"
    elif old:
        said += f", {days} days old: {anew}"
    yield "target", DOUBT if found.estimate or old else GOOD, said


def _age(settings: Settings) -> int | None:
    path = settings.root / settings.target
    if path.is_file():
        return int((time.time() - path.stat().st_mtime) / DAY)
    month = MONTH.search(settings.target)
    if not month:
        return None
    return (datetime.now(UTC) - datetime(int(month[1]), int(month[2]), 1, tzinfo=UTC)).days


def jail(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Look whether a rehearsal can cut the network."""
    reason = offline.why_not()
    yield "sandbox", BAD if reason else GOOD, reason or "can cut the network for a rehearsal"


def permissions(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Look whether others can read the credentials."""
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    for name in ("kaggle.json", "access_token", "credentials.json"):
        path = folder / name
        if os.name == "posix" and path.is_file() and path.stat().st_mode & 0o077:
            yield "credentials", DOUBT, f"others can read {path}: `chmod 600 {path}`"


# --- Kaggle ---


def network(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Look whether Kaggle answers, and what time it has."""
    import requests

    from bundler.publish import client

    try:
        with client.quietly():
            from kagglesdk.kaggle_env import get_endpoint, get_env

            address = get_endpoint(get_env())
            answer = requests.get(address, timeout=20, allow_redirects=False)
    except requests.RequestException as error:
        kind = type(error).__name__
        yield "network", BAD, f"Kaggle does not answer ({kind}): check the network and the proxy."
        return
    except ImportError as error:
        yield "network", BAD, f"{error}: pip install 'rsna-bundle[bundle]'"
        return
    yield "network", GOOD, f"{address} answers"
    said = answer.headers.get("Date")
    off = time.time() - parsedate_to_datetime(said).timestamp() if said else 0.0
    if abs(off) > SKEW:
        yield "clock", BAD, f"{off / 60:+.0f} minutes off: signing in will fail; set it right."
    else:
        yield "clock", GOOD, "agrees with Kaggle's"


def kaggle(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Look at the credentials, and at what they may do."""
    client = connect()
    yield "credentials", GOOD, f"signed in as {client.user}"
    yield from _names(client, settings)
    try:
        left = competition.check(client, settings.competition)
        yield "competition", GOOD, f"{settings.competition}: {left} submissions left today"
    except BundlerError as error:
        yield "competition", BAD, str(error)


def _names(client: Client, settings: Settings) -> Iterator[tuple[str, str, str]]:
    slugs.owner(client, settings.owner)
    for kind in bundles.KINDS:
        try:
            (ref,) = bundles.refs(client, settings, (kind,)).values()
            said = dataset.status(client, ref)
        except BundlerError as error:
            yield f"{kind} dataset", BAD, str(error)
        else:
            yield f"{kind} dataset", GOOD, f"{ref}: {said or 'new, will be made'}"
    ref = slugs.reference(client.user, settings.notebook, "notebook")
    version = kernel.current(client, ref)
    yield "notebook", GOOD, f"{ref}: {f'version {version}' if version else 'new, will be made'}"
