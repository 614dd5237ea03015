"""The sixth step: install a libs bundle as the notebook does, without a network, and import what
it brought, where the target's Python is on this machine.

Of the image's packages the small ones that the bundle needs are installed for real; a stub stands
for each of the others (`bundler.image.emulation`).
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name

import inference
from bundler import cache, process
from bundler.errors import CheckError, InputError, NetworkError
from bundler.image import emulation, imports, interpreters
from bundler.image.interpreters import NoInterpreterError
from bundler.image.target import Target
from bundler.libs.checks import Checked
from bundler.libs.index import downloads, releases, simple_api
from bundler.libs.index.sources import Sources
from bundler.libs.inputs import Inputs
from bundler.libs.install_script import OUTCOME, Import, Outcome
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
    """What was installed and imported, and what could not be tried."""

    python: str | None = None  # the version that it was tested with
    skipped: str | None = None  # why nothing was tested
    network: str | None = None  # why the network was on, where it was
    imported: tuple[str, ...] = ()
    not_tried: Mapping[str, str] = field(default_factory=dict)  # package → reason
    allowed: Mapping[str, str] = field(default_factory=dict)  # package → how its import failed

    def lines(self) -> list[str]:
        """Return what to print of it."""
        if self.skipped:
            return [f"not tested: {self.skipped}"]
        network = "with the network on" if self.network else "without a network"
        imported = ", ".join(self.imported) or "nothing"
        lines = [f"installed on Python {self.python} {network}; imported {imported}"]
        lines += [f"not tried: {name} {reason}" for name, reason in self.not_tried.items()]
        lines += [f"not imported, as allowed: {name}: {why}" for name, why in self.allowed.items()]
        return lines + ([f"the network was on: {self.network}"] if self.network else [])

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {
            "python": self.python,
            "skipped": self.skipped,
            "network": self.network,
            "imported": list(self.imported),
            "not_tried": dict(self.not_tried),
            "allowed": dict(self.allowed),
        }


@dataclass(frozen=True, kw_only=True)
class _Modules:
    """Who should have a module: the bundle, or the image, of which not all is on this machine."""

    target: Target
    wheels: Sequence[Wheel]
    real: frozenset[str]  # packages of the image that the test installed

    def stub(self, failed: Import) -> str | None:
        """Return the package of the image that an import needs and that is only a stub here."""
        own = {wheel.name for wheel in self.wheels}
        absent = self.target.names - self.real - own
        names = imports.packages([name.split(".")[0] for name in failed.missing], absent)
        return next(iter(names), None)

    def explain(self, failed: Import) -> str:
        """Return why an import failed, and who should have had the module."""
        if not failed.missing:
            return f"{failed.reason}"
        module = failed.missing[0]
        return f"{failed.reason}. {self._owner(module)}"

    def _owner(self, module: str) -> str:
        top = module.split(".")[0]
        for wheel in self.wheels:
            if top in {name.split(".")[0] for name in wheel.modules}:
                return f"The bundle's {wheel.name} {wheel.version} should have it"
        if names := imports.packages([top], self.real):
            package = self.target.packages[names[0]]
            return f"The image's {package.name} {package.version} should have it"
        return f"Neither the image nor the bundle has {top}: require the package that holds it"


def run(bundle: Path, checked: Checked, inputs: Inputs) -> InstallTest:
    """Install and import a bundle's wheels, if that can be done here.

    Raises CheckError where they do not install, or where one does not import that could: what
    needs a package of the image that is not on this machine cannot be tried.
    """
    target = inputs.target
    if not inputs.options.install_test:
        return InstallTest(skipped=NOT_TESTED)
    try:
        interpreter = interpreters.find(target)
    except NoInterpreterError as error:
        return InstallTest(skipped=str(error))
    inputs.options.progress.step(f"Installing and importing on Python {interpreter.version}")
    brought = {pin.file for pin in checked.lock.pins}  # not what builds an sdist
    wheels = [wheel for wheel in checked.wheels if wheel.path.name in brought]
    beside = _image_wheels(target, wheels, inputs.sources)
    image = emulation.emulate(target, interpreter, wheels=beside)
    outcome = _run_script(image.python, bundle, wheels, target.name)
    if outcome.error is not None:
        raise CheckError(
            f"The install test failed on Python {image.version}: {outcome.error}\nThe bundle was "
            f"not written to {inputs.options.out}."
        )
    real = frozenset(canonicalize_name(path.name.split("-")[0]) for path in beside)
    modules = _Modules(target=target, wheels=wheels, real=real)
    tested = _judged(outcome.imports, modules, image.version)
    return _allowed(tested, outcome.imports, modules, inputs)


def _judged(results: Mapping[str, Import], modules: _Modules, python: str) -> InstallTest:
    """Return what was imported and what could not be tried, of all results."""
    empty = {wheel.name for wheel in modules.wheels if not wheel.modules}
    not_tried = {name: "has no module" for name in results if name in empty}
    for name, result in results.items():
        if result.reason and (stub := modules.stub(result)):
            not_tried[name] = f"needs {stub} of the image, which is not on this machine"
    return InstallTest(
        python=python,
        network=offline.why_not(),
        imported=tuple(
            name for name, result in results.items() if not result.reason and name not in empty
        ),
        not_tried=not_tried,
    )


def _allowed(
    tested: InstallTest, results: Mapping[str, Import], modules: _Modules, inputs: Inputs
) -> InstallTest:
    """Return the test with the failures that are allowed. Raises CheckError for any other."""
    failed = {
        name: modules.explain(result)
        for name, result in results.items()
        if result.reason and name not in tested.not_tried
    }
    allowed = {canonicalize_name(name) for name in inputs.options.allow_import_failure}
    if wrong := {name: reason for name, reason in failed.items() if name not in allowed}:
        lines = "".join(f"\n  {name}: {reason}." for name, reason in wrong.items())
        options = " ".join(f"--allow-import-failure {name}" for name in wrong)
        raise CheckError(
            f"Installed on Python {tested.python}, {len(wrong)} of {len(results)} packages cannot "
            f"be imported:{lines}\nThe bundle was not written to {inputs.options.out}. Require "
            f"what is missing or another release; where only the notebook can import it (a GPU "
            f"library), use `{options}`."
        )
    return replace(tested, allowed=failed)


def _run_script(python: Path, bundle: Path, wheels: Sequence[Wheel], target: str) -> Outcome:
    """Run the script in a sandbox, or with the network and all files where there is none."""
    modules = {wheel.name: list(wheel.modules) for wheel in wheels}
    with cache.scratch("install-test") as name:
        scratch, package = name.resolve(), Path(inference.__file__).resolve().parent
        (scratch / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        # Of this tool's packages the test sees `inference` alone, as the notebook does: what else
        # lies beside it (a whole site-packages, if the tool was installed) is not the image's.
        path = scratch / "path"
        path.mkdir()
        (path / "inference").symlink_to(package, target_is_directory=True)
        script = Path(shutil.copy(SCRIPT, path))  # Python looks for modules beside it, too
        environment = {
            "PYTHONPATH": str(path),
            "PATH": os.defpath,
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command: list[str | Path] = [
            python,
            script,
            bundle.resolve(),
            scratch,
            scratch / "modules.json",
            target,
        ]
        if offline.why_not():
            process.run(command, cwd=scratch, env=environment)
        else:
            # At the paths where they lie: an environment's scripts name theirs.
            needed = {str(folder): folder for folder in (package, bundle.resolve())}
            # This Python's folder as well: the environment's pip may be a link into it.
            shown = system.python_folders([python, Path(sys.executable)]) | needed
            sandbox = Sandbox(read_only=shown, writable={str(scratch): scratch})
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
