"""What would stop a submission, each with how to fix it."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from bundler import cache, process, snapshot
from bundler.errors import BundlerError, InputError
from bundler.image import target
from bundler.publish import bundles, competition, dataset, images, kernel, outputs, reach, slugs
from bundler.publish.client import Client, connect
from bundler.publish.failures import (
    SKEW,
    CredentialsError,
    OfflineError,
    without_credentials,
)
from bundler.result import Json
from bundler.sandbox import offline
from bundler.settings import Settings
from inference.boot.record import NAME as RECORD

GOOD, DOUBT, BAD = "ok", "doubt", "bad"
DISK = 5 * 10**9  # bytes: wheels, a model, the client's copies
OLD = 60  # days after which Kaggle's image has usually changed
MONTH = re.compile(r"(20\d\d)-(\d\d)$")
DAY = 86400
CREDENTIALS = ("kaggle.json", "access_token", "credentials.json")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check."""

    name: str
    state: str  # ok | doubt | bad
    message: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All findings."""

    findings: Sequence[Finding]

    @property
    def sound(self) -> bool:
        """Return whether nothing would stop a submission."""
        return all(finding.state != BAD for finding in self.findings)

    def as_dict(self) -> dict[str, Json]:
        """Return what `--json` prints."""
        return {"sound": self.sound, "findings": [vars(finding) for finding in self.findings]}

    def summary(self) -> str:
        """Return a line for each finding."""
        marks = {GOOD: "✓", DOUBT: "?", BAD: "✗"}
        return "\n".join(f"{marks[one.state]} {one.name:13} {one.message}" for one in self.findings)


Check = Callable[[Settings], Iterator[tuple[str, str, str]]]  # of name, state, message


def examine(settings: Settings) -> Diagnosis:
    """Check everything that a submission needs; change nothing."""
    checks: list[Check] = [tools, disk, image, sandbox, permissions, network, kaggle]
    findings = []
    for check in checks:
        try:
            for name, state, message in check(settings):
                findings.append(Finding(name=name, state=state, message=message))
        except BundlerError as error:
            # What was found before the error stays; the others are still checked.
            findings.append(Finding(name=check.__name__, state=BAD, message=str(error)))
    return Diagnosis(findings=findings)


# --- this machine ---


def tools(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Check git and the repository."""
    try:
        root = snapshot.repository(settings.root)
    except InputError:
        yield (
            "repository",
            BAD,
            f"{settings.root} is not a git repository with a commit. Run `git init`, `git add -A` "
            "and `git commit`.",
        )
        return
    head = process.run(["git", "rev-parse", "HEAD"], cwd=root).stdout.strip()
    count = len(snapshot.uncommitted(root))  # by the same rules as `rsna-bundle code`
    dirty = f"; {count} uncommitted files, which `rsna-bundle code` refuses" if count else ""
    yield "repository", DOUBT if count else GOOD, f"commit {head[:12]}{dirty}"


def disk(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Check the free disk space."""
    for name, folder in {"disk": settings.root, "cache": cache.folder()}.items():
        free = shutil.disk_usage(folder).free
        message = f"{free / 1e9:.0f} GB free for {folder}"
        if free < DISK:
            message += f", less than {DISK / 1e9:.0f} GB. Free some, or set RSNA_BUNDLE_CACHE"
        yield name, GOOD if free >= DISK else BAD, message


def image(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Check how well the notebook's images are known."""
    for name in settings.target:
        known = target.load(name, settings.root)
        days = _age(settings, name)
        old = days is not None and days > OLD
        remedy = "Capture it with `rsna-bundle target capture --push --out target.json`"
        message = f"{known.name}, Python {known.python}"
        if known.estimate:
            message += f", is an estimate: {known.knowledge.summary()}. {remedy}"
        elif old:
            message += f", is {days} days old. {remedy}"
        yield "target", DOUBT if known.estimate or old else GOOD, message


def _age(settings: Settings, name: str) -> int | None:
    path = settings.root / name
    if path.is_file():
        return int((time.time() - path.stat().st_mtime) / DAY)
    month = MONTH.search(name)
    if not month:
        return None
    return (datetime.now(UTC) - datetime(int(month[1]), int(month[2]), 1, tzinfo=UTC)).days


def sandbox(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Check whether a rehearsal can cut the network."""
    reason = offline.why_not()
    yield "sandbox", BAD if reason else GOOD, reason or "a rehearsal can cut the network"


def permissions(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Check whether other users can read the credentials."""
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    for name in CREDENTIALS:
        path = folder / name
        if os.name == "posix" and path.is_file() and path.stat().st_mode & 0o077:
            yield "credentials", DOUBT, f"other users can read {path}. Run `chmod 600 {path}`"


# --- Kaggle ---


def network(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Check whether Kaggle responds, and what time it has."""
    import requests

    from bundler.publish import client

    try:
        with client.quietly():
            address = reach.check()
            answer = requests.get(address, timeout=20, allow_redirects=False)
    except OfflineError as error:
        yield "network", BAD, str(error)
        return
    except requests.RequestException as error:
        kind = type(error).__name__
        yield "network", BAD, f"Kaggle does not respond ({kind}). Check the network and the proxy."
        return
    except ImportError as error:
        yield "network", BAD, f"{error}. Run: pip install 'rsna-bundle[bundle]'"
        return
    yield "network", GOOD, f"{address} responds"
    date = answer.headers.get("Date")
    off = time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0
    if abs(off) > SKEW:
        yield "clock", BAD, f"{off / 60:+.0f} minutes off, so that signing in fails. Correct it."
    else:
        yield "clock", GOOD, "agrees with Kaggle's clock"


def kaggle(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Check the credentials, and what they permit."""
    try:
        client = connect()
    except OfflineError:  # which `network` says
        found = _has_credentials()
        message = "not checked without a network" if found else without_credentials()
        yield "credentials", DOUBT if found else BAD, message
        return
    except CredentialsError as error:
        yield "credentials", BAD, str(error)
        return
    yield "credentials", GOOD, f"signed in as {client.user}"
    yield from _names(client, settings)
    try:
        left = competition.check(client, settings.competition)
        yield "competition", GOOD, f"{settings.competition}: {left} submissions left today"
    except BundlerError as error:
        yield "competition", BAD, str(error)


def _has_credentials() -> bool:
    """Say whether there is anything to sign in with; whether it is valid, only Kaggle knows."""
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    return bool(os.environ.get("KAGGLE_API_TOKEN") or os.environ.get("KAGGLE_KEY")) or any(
        (folder / name).is_file() for name in CREDENTIALS
    )


def _names(client: Client, settings: Settings) -> Iterator[tuple[str, str, str]]:
    slugs.owner(client, settings.owner)
    for kind in bundles.KINDS:
        try:
            (ref,) = bundles.refs(client, settings, (kind,)).values()
            status = dataset.status(client, ref)
        except BundlerError as error:
            yield f"{kind} dataset", BAD, str(error)
        else:
            yield f"{kind} dataset", GOOD, f"{ref}: {status or 'will be created'}"
    ref = slugs.reference(client.user, settings.notebook, "notebook")
    version = kernel.current(client, ref)
    yield "notebook", GOOD, f"{ref}: {f'version {version}' if version else 'will be created'}"
    record = outputs.read(client, ref, RECORD) if version else None
    if problem := images.difference(settings, record):
        yield "image", DOUBT, problem
