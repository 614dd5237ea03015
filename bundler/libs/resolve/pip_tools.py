"""The resolver pip-tools: pip-compile, in a process that sees the target."""

import os
from collections.abc import Sequence
from pathlib import Path

from bundler import cache, process
from bundler.image.target import Target
from bundler.libs.resolve.resolution import Choice, UnresolvedError


def resolve(
    target: Target, wanted: Sequence[str], constraints: Sequence[str], index: str
) -> list[Choice]:
    """Return what meets `wanted` on the target, of an index. Raises UnresolvedError."""
    with cache.scratch("pip-tools") as folder:
        (folder / "target.json").write_text(target.text(), encoding="utf-8")
        (folder / "requirements.in").write_text("\n".join(wanted) + "\n", encoding="utf-8")
        (folder / "constraints.txt").write_text("\n".join(constraints) + "\n", encoding="utf-8")
        command = process.own_module("bundler.libs.resolve.pip_compile", "target.json")
        command += _options(index, folder)
        result = process.run(command, cwd=folder, env=_environment(), check=False)
    if result.returncode:
        raise UnresolvedError(_readable(result.stderr or result.stdout))
    return [Choice.parse(line) for line in result.stdout.splitlines() if "==" in line]


def _options(index: str, folder: Path) -> list[str]:
    options = ["--quiet", "--no-header", "--no-annotate", "--strip-extras", "--allow-unsafe"]
    options += ["--no-config", "--no-emit-index-url", "--no-emit-find-links"]
    options += ["--no-emit-trusted-host", "--no-emit-options", "--resolver=backtracking"]
    # Of what the local index serves nothing is kept: our own cache is behind it.
    options += [f"--cache-dir={folder / 'cache'}", f"--index-url={index}"]
    options += ["--output-file=-", "--constraint=constraints.txt"]
    return [*options, "--pip-args=--only-binary=:all: --no-cache-dir", "requirements.in"]


def _environment() -> dict[str, str]:
    """Return an environment in which no setting of pip's decides."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    settings = {"PIP_CONFIG_FILE": os.devnull, "PYTHONWARNINGS": "ignore"}
    return {**kept, **settings, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _readable(output: str) -> str:
    unclear = ("WARNING", "ERROR: Cannot install")  # the latter names our temporary file's lines
    lines = [line.strip() for line in output.splitlines()]
    return "\n".join(line for line in lines if not line.startswith(unclear)).strip()
