"""The resolver uv: given the target's Python and platform, it chooses a release of each package."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bundler import cache, process
from bundler.errors import UsageError
from bundler.image.target import Target
from bundler.libs.resolve.resolution import Choice, UnresolvedError

NEWEST_GLIBC = 40  # the newest manylinux_2_N that uv's --python-platform names


def executable() -> Path:
    """Return uv's program. Raises UsageError where it is not installed."""
    uv = process.program("uv")
    if uv is None:
        raise UsageError(
            "uv is not installed. Install it with `pip install 'rsna-bundle[bundle]'`, or use "
            "`--resolver pip-tools`."
        )
    return uv


def platform(target: Target) -> str:
    """Return what uv calls the target's platform."""
    machine = {"arm64": "aarch64", "AMD64": "x86_64", "x86": "i686"}.get(
        target.machine, target.machine
    )
    if target.system == "linux":
        glibc = int(target.release.split(".")[1])
        known = (17, 28, *range(31, NEWEST_GLIBC + 1))  # uv has names for these alone
        newest = max((minor for minor in known if minor <= glibc), default=17)
        return f"{machine}-manylinux_2_{newest}"
    if target.system == "darwin":
        return f"{machine}-apple-darwin"
    return f"{machine}-pc-windows-msvc"


def resolve(
    target: Target, wanted: Sequence[str], constraints: Sequence[str], index: str
) -> list[Choice]:
    """Return what meets `wanted` on the target, of an index. Raises UnresolvedError."""
    with cache.scratch("uv") as folder:
        (folder / "requirements.in").write_text("\n".join(wanted) + "\n", encoding="utf-8")
        (folder / "constraints.txt").write_text("\n".join(constraints) + "\n", encoding="utf-8")
        command = ["pip", "compile", "requirements.in", "--constraints", "constraints.txt"]
        command += ["--only-binary", ":all:", f"--default-index={index}", *_options(target)]
        environment = _environment(target)
        result = process.run([executable(), *command], cwd=folder, env=environment, check=False)
    if result.returncode:
        raise UnresolvedError(result.stderr.strip().replace(f"{folder}/", ""))
    return [Choice.parse(line) for line in result.stdout.splitlines() if "==" in line]


def _options(target: Target) -> list[str]:
    return [
        "--quiet",
        "--no-config",
        "--no-cache",  # of what the local index serves: our own cache is behind it
        "--no-header",
        "--no-annotate",
        "--no-progress",
        "--color=never",
        "--no-python-downloads",  # otherwise uv fetches the target's Python first
        f"--python={sys.executable}",
        f"--python-version={target.python}",
        f"--python-platform={platform(target)}",
    ]


def _environment(target: Target) -> dict[str, str]:
    """Return an environment in which no setting of uv's or of a proxy's decides."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("UV_")}
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1"
    if target.system == "darwin":
        environment["MACOSX_DEPLOYMENT_TARGET"] = target.release
    return environment
