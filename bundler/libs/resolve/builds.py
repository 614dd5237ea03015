"""Build sdists with the target's Python, in the sandbox, without a network.

What a build needs is resolved and fetched first, into an environment of its own. A result that is
compiled may only need what the target's image surely has.
"""

import functools
import json
import os
import textwrap
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from bundler import atomic, cache, process
from bundler.errors import CommandError, InputError
from bundler.image import emulation, interpreters
from bundler.image import target as targets
from bundler.image.interpreters import Interpreter
from bundler.image.target import Target
from bundler.libs import wheels
from bundler.libs.index import downloads, releases
from bundler.libs.index.sources import Sources
from bundler.libs.requirements import applying, write
from bundler.libs.resolve import compiled, resolvers, sdists
from bundler.libs.resolve.candidates import Candidates
from bundler.libs.resolve.resolution import Pin, UnresolvedError, best
from bundler.libs.resolve.sdists import BuildSystem, Sdist
from bundler.progress import SILENT, Progress
from bundler.sandbox import backends, offline, system
from bundler.sandbox.sandbox import Sandbox

FORMAT = 1  # of what is kept; another number builds anew
EPOCH = 315532800  # 1980-01-01, the first time that a zip can hold
TAIL = 8  # lines of a failed build's output that an error repeats
SCRIPT = Path(__file__).with_name("build_script.py")
TO_SHIP = (
    "Require a release with wheels, or ship the sdist, to be built on the notebook, with "
    "--allow-sdist."
)


class CompiledError(InputError):
    """An sdist that does not become a wheel for the notebook on this machine."""


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Builds sdists for a target; what was built once is kept in the cache."""

    target: Target
    sources: Sources
    resolver: str = "uv"
    allow_sdist: bool = False  # what does not build here may travel
    progress: Progress = SILENT

    @functools.cached_property
    def interpreter(self) -> Interpreter:
        """Return the target's Python; where it is not on this machine, the one that runs this."""
        return interpreters.of_version(self.target.short_python) or interpreters.this()

    @functools.cached_property
    def has_sandbox(self) -> bool:
        """Say whether builds run in the sandbox; where they cannot, the user is warned, once."""
        reason = offline.why_not()
        if reason:
            self.progress.warn(
                f"Sdists are built without a sandbox, which this machine cannot make ({reason}): "
                "their code can use the network and change your files, as under `pip install`."
            )
        return reason is None

    @property
    def remark(self) -> str | None:
        """Return what is wrong with the interpreter, if it is not the target's."""
        python = self.interpreter.version
        if python.split(".")[:2] == self.target.short_python.split("."):
            return None
        return (
            f"Python {self.target.short_python} is not on this machine, so sdists were built with "
            f"Python {python}. What they need may differ: install it with `uv python install "
            f"{self.target.short_python}`, and run `rsna-bundle libs --upgrade`."
        )

    def metadata(self, sdist: Sdist) -> str:
        """Return the METADATA of the wheel that an sdist becomes. Raises InputError.

        Of one that may travel and does not build here, PKG-INFO is all that can be known.
        """
        if (stated := sdists.static_metadata(sdist)) is not None:
            return stated
        try:
            return self.built_metadata(sdist)
        except CompiledError:
            if self.allow_sdist and (stated := sdists.stated_metadata(sdist)) is not None:
                return stated
            raise

    def built_metadata(self, sdist: Sdist) -> str:
        """Return the METADATA that an sdist's build tool makes. Raises CompiledError."""
        folder = self._folder(sdist)
        with atomic.locked(folder / "lock"):
            kept = folder / "METADATA"
            if not kept.is_file():
                atomic.write_text(kept, self._prepare(sdist, folder))
            return kept.read_text(encoding="utf-8")

    def wheel(self, sdist: Sdist) -> Path:
        """Return the wheel of an sdist. Raises CompiledError where it may not run on the target."""
        folder = self._folder(sdist)
        with atomic.locked(folder / "lock"):
            wheel = self._kept(folder) or self._build(sdist, folder)
        self._check(sdist, wheel)
        return wheel

    def _folder(self, sdist: Sdist) -> Path:
        python = ".".join(self.interpreter.version.split(".")[:2])
        folder = cache.folder("built") / f"{sdist.pin.sha256}-{python}-{FORMAT}"
        folder.mkdir(exist_ok=True)
        return folder

    def _kept(self, folder: Path) -> Path | None:
        return next(iter(sorted(folder.glob("*.whl"))), None)

    def _prepare(self, sdist: Sdist, folder: Path) -> str:
        """Ask the backend for the metadata alone; where it cannot say, build the wheel."""
        if built := self._kept(folder):
            return wheels.metadata(built)
        with cache.scratch("build") as scratch:
            build = _Build(builder=self, sdist=sdist, folder=scratch)
            if (text := build.metadata()) is not None:
                return text
        return wheels.metadata(self._build(sdist, folder))

    def _build(self, sdist: Sdist, folder: Path) -> Path:
        self.progress.step(f"Building {sdist.release} from its sdist")
        with cache.scratch("build") as scratch:
            built = _Build(builder=self, sdist=sdist, folder=scratch).wheel()
            return _canonical(built, folder / built.name)

    def _check(self, sdist: Sdist, wheel: Path) -> None:
        """Raise CompiledError for a wheel of other tags, or that needs more than the image has."""
        if best(self.target, [(wheel.name, wheel)]) is None:
            reason = f"it became {wheel.name}"
        else:
            reason = compiled.missing(wheel, self.target) or ""
        if reason:
            raise CompiledError(
                f"{sdist.release} has no wheel that fits, and its sdist contains compiled code "
                f"({reason}), so a wheel built on this machine may not run on the notebook. "
                f"{TO_SHIP}"
            )


@dataclass(frozen=True, kw_only=True)
class _Build:
    """One build, in a folder of its own."""

    builder: Builder
    sdist: Sdist
    folder: Path

    def metadata(self) -> str | None:
        """Return what `prepare_metadata_for_build_wheel` writes, None where there is no such."""
        out = self._new("metadata")
        name = self._call("prepare_metadata_for_build_wheel", str(out))
        if name is None:
            return None
        path = out / str(name) / "METADATA"
        if not path.is_file():
            raise self._failed("its backend wrote no METADATA")
        return path.read_text(encoding="utf-8", errors="replace")

    def wheel(self) -> Path:
        """Return the wheel that `build_wheel` makes."""
        out = self._new("wheel")
        path = out / str(self._call("build_wheel", str(out)))
        if not path.is_file() or path.suffix != ".whl":
            raise self._failed("its backend made no wheel")
        return path

    @functools.cached_property
    def _system(self) -> BuildSystem:
        return sdists.build_system(self.sdist.path)

    @functools.cached_property
    def _project(self) -> Path:
        return sdists.unpack(self.sdist.path, self._new("source"))

    @functools.cached_property
    def _python(self) -> Path:
        """Return an environment's Python that has all that the build asks for."""
        declared = list(self._system.requires)
        python = self._environment(declared)
        more = self._ask(python, "get_requires_for_build_wheel")
        asked = [str(line) for line in more] if isinstance(more, list) else []
        return self._environment([*declared, *asked]) if {*asked} - {*declared} else python

    def _new(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _environment(self, lines: list[str]) -> Path:
        """Return the Python of an environment that has some packages, and no other."""
        builder = self.builder
        machine = replace(targets.host(), python=builder.interpreter.version)
        try:
            needs = applying(map(Requirement, lines), machine.environment)
            pins = resolve_wheels([*map(write, needs)], machine, builder.resolver, builder.sources)
        except (InvalidRequirement, UnresolvedError) as error:
            raise self._failed(f"what its build needs cannot be resolved:\n{error}") from error
        paths = downloads.fetch(pins, builder.sources, builder.progress)
        wheels_of_build = sorted(paths.values())
        return emulation.emulate(machine, builder.interpreter, wheels=wheels_of_build).python

    def _call(self, hook: str, *arguments: str) -> object:
        return self._ask(self._python, hook, *arguments)

    def _ask(self, python: Path, hook: str, *arguments: str) -> object:
        """Call a hook of the backend in the sandbox, and return what it answers."""
        project = self._system
        request: dict[str, str | list[str]] = {"hook": hook, "backend": project.backend}
        asked, answer = self.folder / "request.json", self.folder / "answer.json"
        request |= {"path": list(project.path), "arguments": list(arguments)}
        request |= {"project": str(self._project)}
        asked.write_text(json.dumps(request), encoding="utf-8")
        self._run([python, "-I", SCRIPT, asked, answer])
        return json.loads(answer.read_text(encoding="utf-8"))

    def _run(self, command: list[str | Path]) -> None:
        """Run a command that can write in this build's folder alone. Raises CompiledError."""
        scratch = self.folder / "tmp"
        scratch.mkdir(exist_ok=True)
        environment = {
            "PATH": os.defpath,  # where the system's compilers are
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "SOURCE_DATE_EPOCH": str(EPOCH),  # equal sources are to give equal bytes
            "PIP_CONFIG_FILE": os.devnull,
        }
        try:
            if not self.builder.has_sandbox:
                process.run(command, env=environment)
                return
            # At the paths where they lie: an environment's scripts name theirs.
            shown = system.python_folders([Path(command[0])]) | {str(SCRIPT): SCRIPT}
            sandbox = Sandbox(read_only=shown, writable={str(self.folder): self.folder})
            backends.run(command, sandbox, env=environment)
        except CommandError as error:
            lines = str(error).splitlines()[1:]  # the first names our own script
            raise self._failed(textwrap.dedent("\n".join(lines[-TAIL:]))) from error

    def _failed(self, reason: str) -> CompiledError:
        what = "its sdist (of compiled code)" if sdists.compiles(self.sdist.path) else "its sdist"
        output = "\n".join(f"  {line}" for line in reason.splitlines())
        return CompiledError(
            f"{self.sdist.release} has no wheel that fits, and {what} does not build here:\n"
            f"{output}\n{TO_SHIP}"
        )


def resolve_wheels(
    wanted: list[str], machine: Target, resolver: str, sources: Sources
) -> list[Pin]:
    """Return the wheels that a build needs on a machine. Raises UnresolvedError, NetworkError."""
    if not wanted:
        return []
    candidates = Candidates(machine, sources)
    chosen = resolvers.choose(resolver, machine, wanted, (), candidates)
    return [releases.pin(one.name, one.version, one.file) for one in chosen if one.file]


def _canonical(built: Path, path: Path) -> Path:
    """Write a wheel anew with sorted members and fixed times: equal content, equal bytes."""
    partial = path.with_suffix(".part")
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(partial, "w") as target:
        for info in sorted(source.infolist(), key=lambda info: info.filename):
            entry = zipfile.ZipInfo(info.filename, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            target.writestr(entry, source.read(info), zipfile.ZIP_DEFLATED, 9)
    partial.replace(path)
    return path


def restore(pin: Pin, builder: Builder) -> Path:
    """Return a locked wheel that was built from an sdist, building it again where need be."""
    name, _, sha256 = (pin.built_from or "").partition(" ")
    source = replace(pin, file=name, sha256=sha256, built_from=None, bytes=None)
    path = downloads.fetch([source], builder.sources, builder.progress)[name]
    wheel = builder.wheel(Sdist(pin=source, path=path))
    if downloads.digest(wheel) != pin.sha256:
        raise InputError(
            f"{pin.file} was built from {name} again, and it is not the wheel that was locked: its "
            "build tool has changed since. Lock the new wheel with `rsna-bundle libs --upgrade "
            f"{pin.name}`."
        )
    return downloads.keep(wheel, pin.sha256)
