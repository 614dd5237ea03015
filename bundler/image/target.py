"""The machine that a wheelhouse is made for: its Python, its wheel tags, its packages.

A target is a JSON file: two are shipped in the folder `targets` beside this file,
`rsna-bundle target capture` writes one inside a notebook, and `host` is the interpreter that runs
this.
"""

import dataclasses
import functools
import hashlib
import json
import platform
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler import atomic
from bundler.errors import InputError
from inference.boot.manifest import canonical

FORMAT = 1
SHIPPED = Path(__file__).parent / "targets"
OLDEST_GLIBC = {"x86_64": 5, "i686": 5}  # PEP 600; other machines begin at 2.17
LEGACY_GLIBC = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One package that the image has: its version and what it asks for."""

    name: str  # normalised
    version: str
    requires: tuple[str, ...] | None = ()  # None: not known, in an estimate

    def needs(self, names: Container[str] | None = None) -> list[Requirement]:
        """Return what it asks for (of the packages `names` alone), as far as that can be read."""
        lines = self.requires or ()
        if names is not None:  # reading hundreds of requirements takes a second
            lines = tuple(line for line in lines if _name(line) in names)
        return [need for need in map(_parse, lines) if need]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A machine: all that decides which wheels fit it, and what it need not be brought."""

    name: str
    python: str  # 3.13.15
    system: str  # linux | darwin | win32
    machine: str  # x86_64, aarch64, arm64, AMD64
    release: str  # of the C library on Linux ("2.35"), of macOS ("14.0"), "" on Windows
    cuda: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    core_seconds: float | None = None  # a fixed piece of work on one core (capture.core_seconds)
    gpus: tuple[str, ...] = ()
    estimate: bool = False
    source: str = ""
    installed: tuple[Distribution, ...] = ()

    @property
    def short_python(self) -> str:
        """Return `3.13` of `3.13.15`."""
        return ".".join(self.python.split(".")[:2])

    @property
    def interpreter(self) -> str:
        """Return `cp313`."""
        return "cp" + self.short_python.replace(".", "")

    @functools.cached_property
    def packages(self) -> dict[str, Distribution]:
        """Return what is installed, by normalised name."""
        return {package.name: package for package in self.installed}

    def without(self, names: Container[str]) -> "Target":
        """Return the target as if it lacked some packages."""
        left = tuple(package for package in self.installed if package.name not in names)
        return dataclasses.replace(self, installed=left)

    @functools.cached_property
    def platforms(self) -> list[str]:
        """Return the platform tags that fit, best first."""
        if self.system == "linux":
            return list(_linux_platforms(self.release, self.machine))
        if self.system == "darwin":
            major, minor = (int(part) for part in self.release.split(".")[:2])
            return list(mac_platforms((major, minor), self.machine))
        return [{"AMD64": "win_amd64", "ARM64": "win_arm64", "x86": "win32"}[self.machine]]

    @property
    def platform(self) -> str:
        """Return the best platform tag that an index's wheels have."""
        return next(
            (name for name in self.platforms if not name.startswith("linux_")), self.machine
        )

    @functools.cached_property
    def tags(self) -> list[Tag]:
        """Return the wheel tags that fit, best first."""
        version = tuple(int(part) for part in self.short_python.split("."))
        own = cpython_tags(version, [self.interpreter], self.platforms)
        return [*own, *compatible_tags(version, self.interpreter, self.platforms)]

    @functools.cached_property
    def environment(self) -> dict[str, str]:
        """Return what environment markers see there (PEP 508)."""
        names = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "nt" if self.system == "win32" else "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": names[self.system],
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": self.short_python,
            "sys_platform": self.system,
        }

    @property
    def digest(self) -> str:
        """Return the sha256 of all that the choice of wheels depends on."""
        content = self.as_dict()
        unused = ("format", "name", "cpus", "memory_bytes", "core_seconds")
        for key in (*unused, "gpus", "estimate", "source"):
            del content[key]
        return hashlib.sha256(canonical(content)).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON that a target's file holds."""
        return {
            "format": FORMAT,
            "name": self.name,
            "python": self.python,
            "system": self.system,
            "machine": self.machine,
            "release": self.release,
            "cuda": self.cuda,
            "cpus": self.cpus,
            "memory_bytes": self.memory_bytes,
            "core_seconds": self.core_seconds,
            "gpus": list(self.gpus),
            "estimate": self.estimate,
            "source": self.source,
            "installed": [
                {
                    "name": package.name,
                    "version": package.version,
                    "requires": None if package.requires is None else list(package.requires),
                }
                for package in self.installed
            ],
        }

    def summary(self) -> str:
        """Return some lines for people."""
        kind = "an estimate" if self.estimate else "captured"
        memory = f", {self.memory_bytes / 2**30:.0f} GiB" if self.memory_bytes else ""
        gpus = f"; {', '.join(self.gpus)}" if self.gpus else ""
        tags = f"{self.platform}, {len(self.tags)} tags"
        return "\n".join(
            [
                f"{self.name} ({kind}) {self.digest[:12]}",
                f"  Python {self.python}, {self.system} {self.machine} {self.release}".rstrip(),
                f"  CUDA {self.cuda or 'none'}; {self.cpus or '?'} CPUs{memory}{gpus}",
                f"  wheels for {self.interpreter} on {tags}",
                f"  {len(self.installed)} packages installed",
                *([f"  {self.source}"] if self.source else []),
            ]
        )

    def text(self) -> str:
        """Return the text of a target's file: one package on each line, so that git shows moves."""
        content = self.as_dict()
        packages = content.pop("installed")
        head = json.dumps(content, indent=1, ensure_ascii=False).removesuffix("\n}")
        lines = ",\n".join(f"  {json.dumps(entry, ensure_ascii=False)}" for entry in packages)
        return f'{head},\n "installed": [\n{lines}\n ]\n}}\n'


def _linux_platforms(release: str, machine: str) -> Iterator[str]:
    newest = int(release.split(".")[1])
    yield f"linux_{machine}"
    for minor in range(newest, OLDEST_GLIBC.get(machine, 17) - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in LEGACY_GLIBC:
            yield f"{LEGACY_GLIBC[minor]}_{machine}"


def shipped() -> list[str]:
    """Return the names of the targets that come with the tool."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))


def load(name: str, root: Path | None = None) -> Target:
    """Return the target of a name, a file (relative to `root`) or `host`. Raises InputError."""
    if name == "host":
        return host()
    path = SHIPPED / f"{name}.json"
    if not path.is_file():
        path = (root or Path.cwd()) / name
    if not path.is_file():
        known = ", ".join([*shipped(), "host"])
        raise InputError(
            f"There is no target {name}: it is no file, and none of {known}. Write one with "
            "`rsna-bundle target capture --out FILE` where the bundle will be used."
        )
    return read(path)


def read(path: Path) -> Target:
    """Read a target's file. Raises InputError."""
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path} is not a target ({reason}). Write it again with `rsna-bundle target capture`."
        ) from error


def parse(content: Mapping[str, Any]) -> Target:
    """Return the target that a JSON file describes. Raises ValueError, KeyError, TypeError."""
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}, this version reads {FORMAT} only")
    target = Target(
        name=str(content["name"]),
        python=str(content["python"]),
        system=_one_of(content["system"], "linux", "darwin", "win32"),
        machine=str(content["machine"]),
        release=str(content["release"]),
        cuda=content.get("cuda"),
        cpus=content.get("cpus"),
        memory_bytes=content.get("memory_bytes"),
        core_seconds=content.get("core_seconds"),
        gpus=tuple(str(gpu) for gpu in content.get("gpus", ())),
        estimate=bool(content.get("estimate", False)),
        source=str(content.get("source", "")),
        installed=_distributions(content.get("installed", ())),
    )
    if len(Version(target.python).release) < 2 or not target.tags:
        raise ValueError(f"python {target.python!r} is no full version")
    return target


def _distributions(entries: Any) -> tuple[Distribution, ...]:
    """Sort the installed packages by name; of two of one name the first on the path counts."""
    found: dict[str, Distribution] = {}
    for entry in entries:
        name = canonicalize_name(entry["name"])
        lines = entry.get("requires", ())
        requires = None if lines is None else tuple(str(line) for line in lines)
        try:
            version = str(Version(entry["version"]))
        except InvalidVersion:
            continue  # pip cannot compare it either
        found.setdefault(name, Distribution(name=name, version=version, requires=requires))
    return tuple(found[name] for name in sorted(found))


def _name(line: str) -> str:
    return canonicalize_name(re.split(r"[^A-Za-z0-9._-]", line.strip(), maxsplit=1)[0])


@functools.lru_cache(maxsize=4096)
def _parse(line: str) -> Requirement | None:
    """Return a requirement, or None for what cannot be read; old packages have such."""
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def _one_of(value: Any, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
    return str(value)


def capture_script() -> str:
    """Return the script that captures a target by itself, for a notebook's cell."""
    return Path(__file__).with_name("capture.py").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Captured:
    """The target that describes this machine, and the file that it was written to."""

    target: Target
    path: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON that the file holds."""
        return self.target.as_dict()

    def summary(self) -> str:
        """Return one line for people, or the file's text if there is no file."""
        if self.path is None:
            return self.target.text().rstrip()
        return (
            f"{self.path} describes this machine. Use it with `rsna-bundle libs --target "
            f"{self.path}`."
        )


def capture(name: str, out: Path | None) -> Captured:
    """Describe this machine as a target, and write it to `out` if given."""
    from bundler.image import capture as script

    captured = parse(script.capture(name))
    if out is not None:
        atomic.write_text(out, captured.text())
    return Captured(target=captured, path=out)


def host() -> Target:
    """Return this interpreter on this machine as a target, with no package installed.

    Nothing counts as installed, since the environment that the bundle will meet is another one
    than the environment that the laptop's tool runs in.
    """
    environment = default_environment()
    system = environment["sys_platform"]
    if environment["implementation_name"] != "cpython":
        raise InputError("The target `host` needs CPython; name another target.")
    if system == "linux":
        libc, release = platform.libc_ver()
        if libc != "glibc":
            raise InputError(f"The target `host` needs glibc, this is {libc or 'another one'}.")
    else:
        release = platform.mac_ver()[0] if system == "darwin" else ""
    return Target(
        name="host",
        python=platform.python_version(),
        system=system,
        machine=environment["platform_machine"],
        release=release,
        source="the interpreter that ran rsna-bundle",
    )
