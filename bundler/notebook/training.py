"""The training notebook: the newest commit, `train.run`, and its runs pushed to a bucket."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import inference
from bundler import dependencies
from bundler.errors import InputError
from bundler.notebook.submission import save
from bundler.result import Json

NAME = "training.ipynb"

PULL = """\
# Written by rsna-bundle {version}: write it again with `rsna-bundle notebook train`.
# This cell brings the newest commit. The notebook needs the internet.
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = {repository}
BRANCH = {branch}
CODE = Path("code").resolve()

if (CODE / ".git").is_dir():
    subprocess.run(["git", "-C", str(CODE), "fetch", "--depth", "1", "origin", BRANCH], check=True)
    subprocess.run(["git", "-C", str(CODE), "reset", "--hard", "FETCH_HEAD"], check=True)
else:
    command = ["git", "clone", "--depth", "1", "--branch", BRANCH, REPOSITORY, str(CODE)]
    subprocess.run(command, check=True)
subprocess.run(["git", "-C", str(CODE), "log", "-1", "--format=%H %cd %s"], check=True)

# The image's own torch stays: only what is missing is installed.
NEEDED = {needed}
missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
if missing:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing], check=True)
"""

TRAIN = """\
OVERRIDES = {overrides}
inherited = os.environ.get("PYTHONPATH")
environment = os.environ | {{"PYTHONPATH": os.pathsep.join(filter(None, [str(CODE), inherited]))}}


def run(*command):
    print("+", *command, flush=True)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
    return process.returncode


trained = run(sys.executable, "-P", "-u", "-m", "train.run", *OVERRIDES)
"""

PUSH = """\
# Whatever was tracked is pushed, also of a training that ended early.
BUCKET = {bucket}
pushed = run(sys.executable, "-P", "-u", "-m", "train.sync", "push", BUCKET)
if trained or pushed:
    raise RuntimeError(f"train.run ended with exit code {{trained}}, train.sync with {{pushed}}")
"""

KEEP = """\
if trained:
    raise RuntimeError(f"train.run ended with exit code {trained}")
"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The notebook that was written, and what it will do."""

    path: Path
    repository: str
    branch: str
    overrides: Sequence[str]
    bucket: str | None

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return vars(self) | {"path": str(self.path), "overrides": list(self.overrides)}

    def summary(self) -> str:
        """Return one line for people."""
        then = f", and pushes its runs to {self.bucket}" if self.bucket else ""
        settings = f" with {' '.join(self.overrides)}" if self.overrides else ""
        return f"{self.path}: trains {self.branch} of {self.repository}{settings}{then}"


def cells(repository: str, branch: str, overrides: Sequence[str], bucket: str | None) -> list[str]:
    """Return the sources of the notebook's cells."""
    pull = PULL.format(
        version=inference.__version__,
        repository=json.dumps(repository),
        branch=json.dumps(branch),
        needed=json.dumps(_needed(bucket), indent=4, sort_keys=True),
    )
    train = TRAIN.format(overrides=json.dumps(list(overrides), indent=4))
    return [pull, train, KEEP if bucket is None else PUSH.format(bucket=json.dumps(bucket))]


def _needed(bucket: str | None) -> dict[str, str]:
    """Return module → requirement of all that training imports, the bucket's library included."""
    lists = dependencies.load()
    needed = lists.runner | lists.codecs | lists.fast | lists.training
    return needed | (lists.buckets.get(urlsplit(bucket).scheme, {}) if bucket else {})


def write(
    folder: Path,
    *,
    repository: str,
    branch: str = "main",
    overrides: Sequence[str] = (),
    bucket: str | None = None,
) -> Written:
    """Write the notebook into `folder`. Equal input, equal bytes.

    Raises InputError where the repository's address carries a password: notebooks get shared.
    """
    for address in filter(None, (repository, bucket)):
        parts = urlsplit(address)
        if parts.password or (parts.username and parts.scheme in ("http", "https")):
            raise InputError(
                f"The address {_without_secret(address)} carries a password, which the notebook "
                "would show to whoever sees it. Leave it out; let git or the bucket's library "
                "find it in the notebook's environment (Kaggle: Add-ons → Secrets)."
            )
    path = folder / NAME
    save(path, cells(repository, branch, overrides, bucket))
    return Written(
        path=path, repository=repository, branch=branch, overrides=overrides, bucket=bucket
    )


def _without_secret(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.hostname or "").geturl()
