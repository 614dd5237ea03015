"""The resolver uv: given the target's Python and platform, it returns wheels and their hashes."""

import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from bundler import process
from bundler.errors import BundlerError, UsageError
from bundler.image.target import Target
from bundler.libs.index.sources import Sources
from bundler.libs.resolve.resolution import Pin, UnresolvedError, best, with_digest

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
    target: Target,
    wanted: Sequence[str],
    constraints: Sequence[str],
    sources: Sources,
    *,
    upgrade: bool = False,
    offline: bool = False,
) -> list[Pin]:
    """Return the pins that meet `wanted` on the target. Raises UnresolvedError."""
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-uv-") as name:
        folder = Path(name)
        (folder / "requirements.in").write_text("\n".join(wanted) + "\n", encoding="utf-8")
        (folder / "constraints.txt").write_text("\n".join(constraints) + "\n", encoding="utf-8")
        options = [*_options(target), "--constraints", "constraints.txt", "--only-binary", ":all:"]
        options += ["--refresh"] if upgrade else []
        options += ["--offline"] if offline else []
        environment = _environment(target)
        command = ["pip", "compile", "requirements.in", *options, *_sources(sources)]
        result = process.run([executable(), *command], cwd=folder, env=environment, check=False)
    if result.returncode:
        raise UnresolvedError(result.stderr.strip().replace(f"{folder}/", ""))
    return _parse(result.stdout, target)


def _options(target: Target) -> list[str]:
    return [
        "--format=pylock.toml",
        "--quiet",
        "--no-config",
        "--no-header",
        "--no-progress",
        "--color=never",
        "--no-python-downloads",  # otherwise uv fetches the target's Python first
        f"--python={sys.executable}",
        f"--python-version={target.python}",
        f"--python-platform={platform(target)}",
    ]


def _sources(sources: Sources) -> list[str]:
    options = ["--index-strategy=unsafe-best-match"]  # as pip does: the best of all indexes
    options += [f"--find-links={link}" for link in sources.links]
    if not sources.indexes:
        return [*options, "--no-index"]
    options += [f"--default-index={sources.indexes[0]}"]
    return options + [f"--index={url}" for url in sources.indexes[1:]]


def _environment(target: Target) -> dict[str, str]:
    """Return an environment in which no setting of uv's decides, but for its cache and network."""
    kept = ("UV_CACHE_DIR", "UV_HTTP", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_KEYRING")
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("UV_") or key.startswith(kept)
    }
    if target.system == "darwin":
        environment["MACOSX_DEPLOYMENT_TARGET"] = target.release
    return environment


def _parse(pylock: str, target: Target) -> list[Pin]:
    pins = []
    for package in tomllib.loads(pylock).get("packages", []):
        # A pylock.toml may list several wheels of one package: the best for the target counts.
        pin = best(target, [(pin.file, pin) for pin in _wheels(package)])
        if pin is None:
            raise BundlerError(
                f"{package['name']} {package.get('version', '')} has no wheel that fits "
                f"{target.name} (Python {target.short_python}, {platform(target)}). Require "
                "another release of it."
            )
        pins.append(with_digest(pin))
    return pins


def _wheels(package: Any) -> Iterator[Pin]:
    """Yield the wheels that a pylock.toml (PEP 751) lists for a package."""
    for wheel in package.get("wheels", []):
        url = wheel.get("url") or Path(wheel["path"]).resolve().as_uri()
        yield Pin(
            name=canonicalize_name(package["name"]),
            version=package["version"],
            file=wheel.get("name") or unquote(urlsplit(url).path.rsplit("/", 1)[-1]),
            sha256=wheel.get("hashes", {}).get("sha256", ""),
            bytes=wheel.get("size"),
            url=url,
        )
