"""Install a libs bundle's wheels offline, into a folder of their own.

Nothing that the image has is changed: pip installs with `--target` into the scratch folder,
after pip itself has checked that the wheels and the image together meet every requirement.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from inference.boot.bundle import Bundle, Restored, locate, restore_file, unpack
from inference.boot.manifest import Libs, LibsTarget
from inference.errors import InstallError
from inference.log import say

WHEELS_ARCHIVE = "wheels.tar"
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def install(bundle: Bundle, scratch: Path, target: LibsTarget | None = None) -> Path:
    """Install the wheels of `bundle` below `scratch` and return the folder to import from.

    The lock is that of `target`, else of the one that fits this machine. A folder that an earlier
    run completed for the same bundle is used again. Raises InstallError, BundleError.
    """
    target = target or fitting(bundle.libs)
    site = folder(bundle, scratch)
    say(f"libs: the lock for {target}, {len(target.lock)} packages")
    if site.is_dir():
        return site
    if not target.lock:  # pip would take seconds to install nothing
        site.mkdir(parents=True)
        return site
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=scratch) as temporary:
        wheels = Path(temporary) / "wheels"
        requirements = Path(temporary) / "requirements.txt"
        hashes = _restore_wheels(bundle, wheels, target)
        requirements.write_text("\n".join(_pin(line, hashes) for line in target.lock))
        options = ["--find-links", str(wheels), "--requirement", str(requirements)]
        # Without --target pip looks at what the image has, so this is the check of the closure.
        _pip(["install", "--dry-run", *options], "do not fit this machine")
        partial = Path(temporary) / "site"
        partial.mkdir()
        _pip(["install", "--no-deps", "--target", str(partial), *options], "do not install")
        partial.replace(site)
    return site


def folder(bundle: Bundle, scratch: Path) -> Path:
    """Return where the wheels of `bundle` are, or will be, installed below `scratch`."""
    return scratch / f"site-{bundle.id[:16]}"


def activate(site: Path) -> None:
    """Let this process and its children import from `site` before the image's packages."""
    sys.path.insert(0, str(site))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), *([inherited] if inherited else [])])


def fitting(libs: Libs) -> LibsTarget:
    """Return what was made for the Python and the glibc that run this. Raises InstallError."""
    running = platform.python_version()
    # Of another C library or system nothing is known that could be compared.
    library, version = platform.libc_ver()
    glibc = version if library == "glibc" else None
    target = libs.fitting(running, glibc, os.environ.get("KAGGLE_DOCKER_IMAGE"))
    if target is None:
        wanted = " and for ".join(map(str, libs.targets))
        has = f"Python {running}" + (f" and glibc {glibc}" if glibc else "")
        raise InstallError(
            f"The libs bundle was made for {wanted}, and this notebook runs {has}: its image has "
            "changed. Build the libs again for a target with this Python, or pin the notebook's "
            "image. `target` in the settings may be a list, so that one bundle serves both images."
        )
    return target


def _restore_wheels(bundle: Bundle, wheels: Path, target: LibsTarget) -> dict[str, str]:
    """Restore the wheels; map each digest of the lock to that of the file as it was restored.

    What only other targets install is left where it is: with their GPU libraries it may be large.
    """
    own, every = digests([target]), digests(bundle.libs.targets)
    hashes = {}
    wheels.mkdir()
    for file in bundle.files:
        if file.sha256 in every - own:
            continue
        part = restore_file(locate(bundle.folder, file), file, wheels / file.name)
        hashes[file.sha256] = part.sha256
        if file.name == WHEELS_ARCHIVE:
            hashes |= _unpack_archive(part, wheels, every - own)
    return hashes


def digests(targets: Iterable[LibsTarget]) -> set[str]:
    """Return the sha256 of the files that locks install; what builds an sdist is in none."""
    return {digest for one in targets for line in one.lock for digest in HASH.findall(line)}


def _unpack_archive(part: Restored, wheels: Path, others: set[str]) -> dict[str, str]:
    unpacked = unpack(part.path, wheels / "unpacked")
    part.path.unlink()
    own = [member for member in part.file.members if member.sha256 not in others]
    for member in own:
        # One whose name another target's file has lies in a folder.
        shutil.move(unpacked / member.name, wheels / Path(member.name).name)
    shutil.rmtree(unpacked)
    # Of an archive that was packed again, so may have been the wheels: they are verified by now.
    return {member.sha256: _digest(wheels / Path(member.name).name) for member in own}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pin(line: str, hashes: dict[str, str]) -> str:
    digests = HASH.findall(line)
    held = [hashes[digest] for digest in digests if digest in hashes]
    if not held:
        raise InstallError(
            f"The libs bundle locks {line.split()[0]}, but holds no wheel with its hash. "
            "Build the libs again."
        )
    pinned = " ".join(f"--hash=sha256:{digest}" for digest in held)
    return f"{HASH.sub('', line).strip()} {pinned}"


def _pip(arguments: list[str], failed: str) -> None:
    command = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    offline = ["--no-index", "--require-hashes", "--no-cache-dir", "--quiet"]
    # PIP_* of the machine must not decide what is installed, nor a configuration file.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull
    result = subprocess.run(
        [*command, *arguments, *offline],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise InstallError(
            f"The wheels {failed} (pip's exit code {result.returncode}):\n{result.stdout.strip()}\n"
            "Build the libs again for this machine: `rsna-bundle libs`, with the right --target."
        )
