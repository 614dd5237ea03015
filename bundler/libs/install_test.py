"""Try a libs bundle where the target's Python is on this machine: install it as the notebook
does, with the network cut, and import what it brought.

The image is played by a virtual environment in which every package of the image is a hollow
`.dist-info`, so that pip sees what it would see there; the small ones that the bundle needs are
installed for real, at the image's versions.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

import inference
from bundler import atomic, cache, process
from bundler.errors import CheckError, InputError, NetworkError, UsageError
from bundler.image import interpreters, stub_packages
from bundler.image.target import Target
from bundler.libs.index import downloads, releases, simple_api
from bundler.libs.index.sources import Sources
from bundler.libs.requirements import holds
from bundler.libs.resolve import uv
from bundler.libs.resolve.resolution import Pin
from bundler.libs.wheels import Wheel
from bundler.sandbox import offline

NO_PROOF = "--no-proof"
TRIAL = Path(__file__).with_name("install_script.py")
NEIGHBOUR_BYTES = 25_000_000  # the largest package of the image that is installed beside
NEIGHBOURS_BYTES = 80_000_000  # all of them


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was tried, and what came of it."""

    python: str | None = None  # the version that it was tried with
    skipped: str | None = None  # why nothing was tried
    network: str | None = None  # why the network was on, where it was
    imported: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return what to say of it."""
        if self.skipped:
            return [f"not tried: {self.skipped}"]
        where = f"Python {self.python}, " + ("the network on" if self.network else "network cut")
        lines = [f"installed with {where}; imported {', '.join(self.imported) or 'nothing'}"]
        lines += [f"not imported: {name}: {why}" for name, why in self.failed.items()]
        return lines + ([f"the network was on: {self.network}"] if self.network else [])


def prove(bundle: Path, target: Target, wheels: Iterable[Wheel], sources: Sources) -> Proof:
    """Install and import a bundle's wheels. Raises CheckError where they do not install."""
    python = interpreters.find(target)
    if isinstance(python, str):
        return Proof(skipped=python)
    wheels = list(wheels)
    environment = _environment(python, target, _neighbours(target, wheels, sources))
    said = _try(environment, bundle, {wheel.name: list(wheel.modules) for wheel in wheels})
    if "error" in said:
        raise CheckError(
            f"The wheels were tried with Python {target.short_python}: {said['error']}"
        )
    imports: dict[str, str | None] = said["imports"]
    return Proof(
        python=process.run([python, "-I", "-c", VERSION]).stdout.strip(),
        network=offline.why_not(),
        imported=tuple(name for name, why in imports.items() if why is None),
        failed={name: _explained(why, target) for name, why in imports.items() if why},
    )


VERSION = "import platform; print(platform.python_version())"


def _explained(why: str, target: Target) -> str:
    """Add what a missing module means: the image may have it, this machine does not."""
    if "ModuleNotFoundError: No module named" not in why:
        return why
    module = why.rpartition("named")[2].strip(" '\"").split(".")[0]
    if canonicalize_name(module) in target.packages:
        return f"it needs {module}, which the image has and this machine was not given"
    return why


def _try(environment: Path, bundle: Path, modules: Mapping[str, list[str]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-proof-") as folder:
        scratch = Path(folder)
        (scratch / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        command = [_python_of(environment), TRIAL, bundle, scratch, scratch / "modules.json"]
        settings = {
            "PYTHONPATH": str(Path(inference.__file__).parents[1]),
            "PATH": os.defpath,
            "HOME": folder,
            "TMPDIR": folder,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if offline.why_not():
            result = process.run(command, cwd=scratch, env=settings)
        else:
            result = offline.run(command, cwd=scratch, env=settings, read_only=[bundle])
    said: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return said


# --- the image, played ---


def _neighbours(target: Target, wheels: list[Wheel], sources: Sources) -> list[Path]:
    """Return wheels of the small packages of the image that the bundle's wheels need."""
    with ThreadPoolExecutor(8) as pool:
        pins = pool.map(lambda name: _image_pin(target, name, sources), _needed(target, wheels))
    chosen: list[Pin] = []
    room = NEIGHBOURS_BYTES
    for pin in pins:
        if pin and pin.bytes and pin.bytes <= min(NEIGHBOUR_BYTES, room):
            room -= pin.bytes
            chosen.append(pin)
    return sorted(downloads.fetch(chosen, sources, quiet=True).values())


def _needed(target: Target, wheels: list[Wheel]) -> list[str]:
    """Return the image's packages that wheels need, and those that these need in turn."""
    brought = {wheel.name for wheel in wheels}
    needs = [need for wheel in wheels for need in wheel.requires]
    found: dict[str, None] = {}
    while needs:
        need = needs.pop(0)
        name = canonicalize_name(need.name)
        known = name in brought or name in found or name not in target.packages
        if not known and holds(need.marker, target.environment):
            found[name] = None
            needs += target.packages[name].needs()
    return list(found)


def _image_pin(target: Target, name: str, sources: Sources) -> Pin | None:
    """Return the wheel of a package at the image's version, where the index has it."""
    version = target.packages[name].version
    try:
        listed = [file for file in simple_api.files(sources, name) if file.version == version]
        chosen = releases.fitting(target, listed)
        if chosen is None:
            return None
        return releases.pin(name, version, chosen)
    except (NetworkError, InputError):
        return None  # it is played by its hollow .dist-info then


def _environment(python: Path, target: Target, neighbours: list[Path]) -> Path:
    """Return a virtual environment that plays the image, made once for each such image."""
    names = [str(python.resolve()), target.digest, *(path.name for path in neighbours)]
    key = hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]
    place = cache.folder("proofs") / key
    if (place / "complete").is_file():
        return place
    # Made in its place, since a virtual environment's scripts name the folder they lie in.
    process.run([python, "-I", "-m", "venv", "--clear", "--without-pip", place])
    _lend_pip(python, place)
    if neighbours:
        _install(_python_of(place), neighbours)
    # After the environment's own folder on the path, so that what is really there counts first.
    hollow = stub_packages.stub_dist_infos(target)
    (_site(place) / "image.pth").write_text(f"{hollow}\n", encoding="utf-8")
    atomic.write_text(place / "complete", "")
    return place


def _install(python: Path, wheels: list[Path]) -> None:
    """Install wheels as they are: by uv, which takes a tenth of pip's time, where it is here."""
    command: list[str | Path]
    try:
        command = [uv.executable(), "pip", "install", "--no-config", "--offline"]
        command += ["--python", python]
    except UsageError:
        command = [python, "-m", "pip", "install", "--isolated", "--no-cache-dir", "--no-compile"]
    settings = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PIP_", "UV_")) or key == "UV_CACHE_DIR"
    }
    settings["PIP_CONFIG_FILE"] = os.devnull
    process.run([*command, "--quiet", "--no-index", "--no-deps", *wheels], env=settings)


def _lend_pip(python: Path, environment: Path) -> None:
    """Link the interpreter's own pip into the environment; where it has none, unpack Python's."""
    code = "import pip; from importlib.metadata import distribution as d; print(pip.__path__[0]); "
    code += "print(d('pip').locate_file(f\"pip-{d('pip').version}.dist-info\"))"
    result = process.run([python, "-I", "-c", code], check=False)
    found = [Path(line) for line in result.stdout.splitlines()]
    if result.returncode or len(found) != 2 or not all(path.is_dir() for path in found):
        process.run([_python_of(environment), "-I", "-m", "ensurepip", "--default-pip"])
        return
    site = _site(environment)
    for path in found:
        (site / path.name).symlink_to(path, target_is_directory=True)


def _python_of(environment: Path) -> Path:
    windows = environment / "Scripts" / "python.exe"
    return windows if windows.is_file() else environment / "bin" / "python"


def _site(environment: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(process.run([_python_of(environment), "-I", "-c", code]).stdout.strip())
