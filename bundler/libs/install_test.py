"""The sixth step: install a libs bundle as the notebook does, without a network, and import what
it brought, where the target's Python is on this machine.

Of the image's packages the small ones that the bundle needs are installed for real; a stub stands
for each of the others (`bundler.image.emulation`).
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

import inference
from bundler import process
from bundler.errors import CheckError, InputError, NetworkError
from bundler.image import emulation, interpreters
from bundler.image.interpreters import NoInterpreterError
from bundler.image.target import Target
from bundler.libs.index import downloads, releases, simple_api
from bundler.libs.index.sources import Sources
from bundler.libs.inputs import Inputs
from bundler.libs.install_script import OUTCOME, Outcome
from bundler.libs.requirements import holds
from bundler.libs.resolve.resolution import Pin
from bundler.libs.wheels import Wheel
from bundler.result import Json
from bundler.sandbox import backends, offline, system
from bundler.sandbox.sandbox import Sandbox
from inference.boot.fields import parse_as

NOT_TESTED = "--no-install-test"
SCRIPT = Path(__file__).with_name("install_script.py")
LARGEST = 25_000_000  # bytes of a package of the image that is installed for the test
LARGEST_SUM = 80_000_000  # bytes of all of them


@dataclass(frozen=True, kw_only=True)
class InstallTest:
    """What was installed and imported, and what failed."""

    python: str | None = None  # the version that it was tested with
    skipped: str | None = None  # why nothing was tested
    network: str | None = None  # why the network was on, where it was
    imported: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)  # package → reason

    def lines(self) -> list[str]:
        """Return what to print of it."""
        if self.skipped:
            return [f"not tested: {self.skipped}"]
        network = "with the network on" if self.network else "without a network"
        imported = ", ".join(self.imported) or "nothing"
        lines = [f"installed on Python {self.python} {network}; imported {imported}"]
        lines += [f"not imported: {name}: {reason}" for name, reason in self.failed.items()]
        return lines + ([f"the network was on: {self.network}"] if self.network else [])

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {
            "python": self.python,
            "skipped": self.skipped,
            "network": self.network,
            "imported": list(self.imported),
            "failed": dict(self.failed),
        }


def run(bundle: Path, wheels: Sequence[Wheel], inputs: Inputs) -> InstallTest:
    """Install and import a bundle's wheels, if that can be done here.

    Raises CheckError where they do not install. What does not import is reported, not refused: it
    may need a part of the image that is not on this machine, such as a driver.
    """
    target = inputs.target
    if not inputs.options.install_test:
        return InstallTest(skipped=NOT_TESTED)
    try:
        interpreter = interpreters.find(target)
    except NoInterpreterError as error:
        return InstallTest(skipped=str(error))
    inputs.options.progress.step(f"Installing and importing on Python {interpreter.version}")
    beside = _image_wheels(target, wheels, inputs.sources)
    image = emulation.emulate(target, interpreter, wheels=beside)
    outcome = _run_script(image.python, bundle, wheels)
    if outcome.error is not None:
        raise CheckError(
            f"The install test failed on Python {image.version}: {outcome.error}\nThe bundle was "
            f"not written to {inputs.options.out}."
        )
    imports = outcome.imports
    return InstallTest(
        python=image.version,
        network=offline.why_not(),
        imported=tuple(name for name, reason in imports.items() if reason is None),
        failed={name: _explained(why, target) for name, why in imports.items() if why},
    )


def _explained(reason: str, target: Target) -> str:
    """Add what a missing module means: the image may have it, this machine does not."""
    if "ModuleNotFoundError: No module named" not in reason:
        return reason
    module = reason.rpartition("named")[2].strip(" '\"").split(".")[0]
    if canonicalize_name(module) in target.packages:
        return f"it needs {module}, which the image has but the install test does not"
    return reason


def _run_script(python: Path, bundle: Path, wheels: Sequence[Wheel]) -> Outcome:
    """Run the script in a sandbox, or with the network and all files where there is none."""
    modules = {wheel.name: list(wheel.modules) for wheel in wheels}
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-install-test-") as name:
        scratch, package = Path(name).resolve(), Path(inference.__file__).parent
        (scratch / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        environment = {
            "PYTHONPATH": str(package.parent),
            "PATH": os.defpath,
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [python, SCRIPT, bundle.resolve(), scratch, scratch / "modules.json"]
        if offline.why_not():
            process.run(command, cwd=scratch, env=environment)
        else:
            # At the paths where they lie: an environment's scripts name theirs.
            needed = {str(path): path for path in (package, SCRIPT, bundle.resolve())}
            pythons = system.python_folders([python, Path(sys.executable)])
            sandbox = Sandbox(read_only=pythons | needed, writable={str(scratch): scratch})
            backends.run(command, sandbox, env=environment)
        return parse_as(Outcome, json.loads((scratch / OUTCOME).read_text(encoding="utf-8")))


# --- which of the image's packages are installed for real ---


def _image_wheels(target: Target, wheels: Sequence[Wheel], sources: Sources) -> list[Path]:
    """Return wheels of the small packages of the image that the bundle's wheels need."""
    with ThreadPoolExecutor(8) as pool:
        pins = pool.map(lambda name: _image_pin(target, name, sources), _needed(target, wheels))
    chosen: list[Pin] = []
    left = LARGEST_SUM
    for pin in pins:
        if pin and pin.bytes and pin.bytes <= min(LARGEST, left):
            left -= pin.bytes
            chosen.append(pin)
    return sorted(downloads.fetch(chosen, sources).values())


def _needed(target: Target, wheels: Sequence[Wheel]) -> list[str]:
    """Return the image's packages that wheels need, and those that these need in turn."""
    brought = {wheel.name for wheel in wheels}
    needs = [need for wheel in wheels for need in wheel.requires]
    names: dict[str, None] = {}
    while needs:
        need = needs.pop(0)
        name = canonicalize_name(need.name)
        known = name in brought or name in names or name not in target.packages
        if not known and holds(need.marker, target.environment):
            names[name] = None
            needs += target.packages[name].needs()
    return list(names)


def _image_pin(target: Target, name: str, sources: Sources) -> Pin | None:
    """Return the wheel of a package at the image's version, where the index has it."""
    version = target.packages[name].version
    try:
        listed = [file for file in simple_api.files(sources, name) if file.version == version]
        chosen = releases.fitting(target, listed)
        return releases.pin(name, version, chosen) if chosen else None
    except (NetworkError, InputError):
        return None  # a stub stands for it then
