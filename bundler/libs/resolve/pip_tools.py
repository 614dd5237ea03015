"""The resolver pip-tools: pip-compile's pins, then for each the wheel that fits best."""

import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler import process
from bundler.errors import InputError, NetworkError
from bundler.image.target import Target
from bundler.libs.index import releases, simple_api
from bundler.libs.index.sources import Sources, pip_connection
from bundler.libs.resolve.resolution import Pin, UnresolvedError, best


def resolve(
    target: Target,
    wanted: Sequence[str],
    constraints: Sequence[str],
    sources: Sources,
    *,
    upgrade: bool = False,
    offline: bool = False,
) -> list[Pin]:
    """Return the pins that meet `wanted` on the target. Raises UnresolvedError, NetworkError."""
    if offline:
        raise NetworkError(
            "pip-tools cannot resolve without a network. Use `--resolver uv`, which can."
        )
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-pip-tools-") as name:
        folder = Path(name)
        (folder / "target.json").write_text(target.text(), encoding="utf-8")
        (folder / "requirements.in").write_text("\n".join(wanted) + "\n", encoding="utf-8")
        (folder / "constraints.txt").write_text("\n".join(constraints) + "\n", encoding="utf-8")
        command = process.own_module("bundler.libs.resolve.pip_compile", "target.json")
        command += [*_options(sources), *(["--rebuild"] if upgrade else [])]
        result = process.run(command, cwd=folder, env=_environment(), check=False)
    if result.returncode:
        raise UnresolvedError(_readable(result.stderr or result.stdout))
    return [_pin(line, target, sources) for line in result.stdout.splitlines() if "==" in line]


def _options(sources: Sources) -> list[str]:
    pip = ["--only-binary=:all:", *([] if sources.indexes else ["--no-index"])]
    options = ["--quiet", "--no-header", "--no-annotate", "--strip-extras", "--allow-unsafe"]
    options += ["--no-config", "--no-emit-index-url", "--no-emit-find-links"]
    options += ["--no-emit-trusted-host", "--no-emit-options", "--resolver=backtracking"]
    options += ["--output-file=-", "--constraint=constraints.txt", f"--pip-args={shlex.join(pip)}"]
    options += [f"--find-links={link}" for link in sources.links]
    if sources.indexes:
        options += [f"--index-url={sources.indexes[0]}"]
    options += [f"--extra-index-url={url}" for url in sources.indexes[1:]]
    return [*options, "requirements.in"]


def _environment() -> dict[str, str]:
    """Return an environment in which no setting of pip's decides, but for the connection."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    return kept | pip_connection() | {"PIP_CONFIG_FILE": os.devnull, "PYTHONWARNINGS": "ignore"}


def _readable(output: str) -> str:
    unclear = ("WARNING", "ERROR: Cannot install")  # the latter names our temporary file's lines
    lines = [line.strip() for line in output.splitlines()]
    return "\n".join(line for line in lines if not line.startswith(unclear)).strip()


def _pin(line: str, target: Target, sources: Sources) -> Pin:
    name, _, version = line.split("#")[0].split(";")[0].strip().partition("==")
    name = canonicalize_name(name)
    files = [
        (file.name, file)
        for file in simple_api.files(sources, name)
        if Version(file.version) == Version(version) and releases.python_allows(target, file)
    ]
    chosen = best(target, files)
    if chosen is None:
        raise InputError(
            f"pip-tools chose {name} {version}, but no wheel of it on the index fits "
            f"{target.name}. Try `--resolver uv`, or require another release."
        )
    return releases.pin(name, version, chosen)
