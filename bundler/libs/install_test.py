"""Try a libs bundle where the target's Python is on this machine: install it as the notebook
does, with the network cut, and import what it brought.

Of the image's packages the small ones that the bundle needs are really there (`image.emulation`).
"""

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
from bundler import process
from bundler.errors import CheckError, InputError, NetworkError
from bundler.image import emulation, interpreters
from bundler.image.interpreters import NoInterpreterError
from bundler.image.target import Target
from bundler.libs.index import downloads, releases, simple_api
from bundler.libs.index.sources import Sources
from bundler.libs.requirements import holds
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
    try:
        interpreter = interpreters.find(target)
    except NoInterpreterError as error:
        return Proof(skipped=str(error))
    wheels = list(wheels)
    image = emulation.emulate(target, interpreter, wheels=_neighbours(target, wheels, sources))
    said = _try(image.python, bundle, {wheel.name: list(wheel.modules) for wheel in wheels})
    if "error" in said:
        raise CheckError(
            f"The wheels were tried with Python {target.short_python}: {said['error']}"
        )
    imports: dict[str, str | None] = said["imports"]
    return Proof(
        python=image.version,
        network=offline.why_not(),
        imported=tuple(name for name, why in imports.items() if why is None),
        failed={name: _explained(why, target) for name, why in imports.items() if why},
    )


def _explained(why: str, target: Target) -> str:
    """Add what a missing module means: the image may have it, this machine does not."""
    if "ModuleNotFoundError: No module named" not in why:
        return why
    module = why.rpartition("named")[2].strip(" '\"").split(".")[0]
    if canonicalize_name(module) in target.packages:
        return f"it needs {module}, which the image has and this machine was not given"
    return why


def _try(python: Path, bundle: Path, modules: Mapping[str, list[str]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-proof-") as folder:
        scratch = Path(folder)
        (scratch / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        command = [python, TRIAL, bundle, scratch, scratch / "modules.json"]
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


# --- what the image's packages need to be real ---


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
        return None  # a stub stands for it then
