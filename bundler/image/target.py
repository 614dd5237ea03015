"""The machine that a wheelhouse is made for: its Python, its wheel tags, its packages.

A target is a JSON file: two are shipped in the folder `targets` beside this file (`making` wrote
them), `rsna-bundle target capture` writes one inside a notebook, and `host` is the interpreter that
runs this.
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

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.errors import InputError
from bundler.image import platforms
from bundler.image.distribution import Distribution, Knowledge, normalised
from bundler.result import Json
from inference.boot.fields import parse_as
from inference.boot.manifest import canonical

FORMAT = 1
HOST = "host"  # the target that is this interpreter
DIGEST = re.compile(r"(?:.*sha256:)?([0-9a-f]{8,64})")  # or its beginning
SHIPPED = Path(__file__).parent / "targets"
SYSTEMS = ("linux", "darwin", "win32")
# What says how large or fast a machine is, or of what it is a description, decides no wheel.
NOT_DIGESTED = (
    "image",
    "format",
    "name",
    "cpus",
    "memory_bytes",
    "core_seconds",
    "gpus",
    "estimate",
    "source",
)


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
    image: str | None = None  # the container image's reference, with its digest
    estimate: bool = False
    source: str = ""
    installed: tuple[Distribution, ...] = ()
    unversioned: tuple[str, ...] = ()  # requirements, each of a package of unknown version

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

    @functools.cached_property
    def unversioned_packages(self) -> dict[str, str]:
        """Return what is installed in a version that is not known: the line by normalised name."""
        return {canonicalize_name(Requirement(line).name): line for line in self.unversioned}

    @property
    def names(self) -> frozenset[str]:
        """Return the normalised names of all that is installed, in a known version or not."""
        return frozenset({*self.packages, *self.unversioned_packages})

    @property
    def knowledge(self) -> Knowledge:
        """Return how much of its packages is known."""
        return Knowledge(
            packages=len(self.installed) + len(self.unversioned),
            versions=len(self.installed),
            requirements=sum(one.requires is not None for one in self.installed),
            modules=sum(one.modules is not None for one in self.installed),
        )

    @property
    def glibc(self) -> str | None:
        """Return the version of the C library; None on other systems."""
        return self.release if self.system == "linux" else None

    @property
    def image_digest(self) -> str | None:
        """Return the digest of the container image, `sha256:…`; None where it is not known."""
        return (self.image or "").partition("@")[2] or None

    def without(self, names: Container[str]) -> "Target":
        """Return the target as if it lacked some packages."""
        left = tuple(package for package in self.installed if package.name not in names)
        return dataclasses.replace(self, installed=left)

    @functools.cached_property
    def platforms(self) -> list[str]:
        """Return the platform tags that fit, best first."""
        return platforms.platforms(self.system, self.release, self.machine)

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
        content = {k: v for k, v in self.as_dict().items() if k not in NOT_DIGESTED}
        content["installed"] = [package.about_version() for package in self.installed]
        return hashlib.sha256(canonical(content)).hexdigest()

    def as_dict(self) -> Mapping[str, Json]:
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
            **({"image": self.image} if self.image else {}),
            "estimate": self.estimate,
            "source": self.source,
            **({"unversioned": list(self.unversioned)} if self.unversioned else {}),
            "installed": [package.as_dict() for package in self.installed],
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
                f"  image {self.image or 'not known'}",
                f"  {self.knowledge.summary()}",
                *([f"  {self.source}"] if self.source else []),
            ]
        )

    def text(self) -> str:
        """Return the text of a target's file: one package on each line, so that git shows moves."""
        content = {key: value for key, value in self.as_dict().items() if key != "installed"}
        head = json.dumps(content, indent=1, ensure_ascii=False).removesuffix("\n}")
        packages = [json.dumps(one.as_dict(), ensure_ascii=False) for one in self.installed]
        lines = ",\n".join(f"  {package}" for package in packages)
        return f'{head},\n "installed": [\n{lines}\n ]\n}}\n'


def shipped() -> list[str]:
    """Return the names of the targets that come with the tool."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))


def load(name: str, root: Path | None = None) -> Target:
    """Return the target of a name, a file (relative to `root`), a digest, or `host`.

    A digest is that of the container image or the target's own, or the first 8 digits or more of
    it. Raises InputError.
    """
    if name == HOST:
        return host()
    folder = root or Path.cwd()
    path = SHIPPED / f"{name}.json"
    if not path.is_file():
        path = folder / name
    if not path.is_file():
        if match := DIGEST.fullmatch(name):
            return _of_digest(match[1], name, folder)
        known = ", ".join([*shipped(), HOST])
        raise InputError(
            f"Unknown target {name!r}. Choose one of {known}, or give a JSON file, which "
            "`rsna-bundle target capture --out FILE` writes where the bundle will be used."
        )
    return read(path)


def _of_digest(digits: str, name: str, folder: Path) -> Target:
    """Return the target of a digest among those that are shipped and the files in a folder."""
    matching = {
        target.digest: target
        for target in _nearby(folder)
        if any(digest.startswith(digits) for digest in _digests(target))
    }
    if len(matching) == 1:
        return next(iter(matching.values()))
    if matching:
        names = ", ".join(f"{one.name} ({one.digest[:12]})" for one in matching.values())
        raise InputError(f"The digest {name} is that of {names}. Choose one by its name.")
    raise InputError(
        f"No target has the digest {name}: neither one of {', '.join(shipped())} nor a file in "
        f"{folder}. Capture that image with `rsna-bundle target capture`."
    )


def _nearby(folder: Path) -> Iterator[Target]:
    for path in (*sorted(SHIPPED.glob("*.json")), *sorted(folder.glob("*.json"))):
        try:
            yield read(path)
        except InputError:
            continue  # any JSON may lie in a repository


def _digests(target: Target) -> list[str]:
    image = (target.image_digest or "").removeprefix("sha256:")
    return [target.digest, *([image] if image else [])]


def read(path: Path) -> Target:
    """Read a target's file. Raises InputError."""
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, RecursionError) as error:
        raise InputError(
            f"{path} is not a target: {error}. Write it again with `rsna-bundle target capture`."
        ) from error


def parse(content: object) -> Target:
    """Return the target that the JSON of a file describes. Raises ValueError, LookupError."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}, the one that this version reads")
    fields = {key: value for key, value in content.items() if key != "format"}
    target = parse_as(Target, fields)
    if target.system not in SYSTEMS:
        raise ValueError(f"system {target.system!r} is none of {', '.join(SYSTEMS)}")
    for line in target.unversioned:
        Requirement(line)  # InvalidRequirement is a ValueError
    if len(Version(target.python).release) < 2 or not target.tags:
        raise ValueError(f"python {target.python!r} is not a full version, such as 3.13.5")
    return dataclasses.replace(target, installed=normalised(target.installed))


def host() -> Target:
    """Return this interpreter on this machine as a target, with no package installed.

    Nothing counts as installed, since the environment that the bundle will meet is another one
    than the environment that the laptop's tool runs in.
    """
    environment = default_environment()
    system = environment["sys_platform"]
    if environment["implementation_name"] != "cpython":
        raise InputError("The target `host` needs CPython. Choose another target with --target.")
    if system == "linux":
        libc, release = platform.libc_ver()
        if libc != "glibc":
            raise InputError(
                f"The target `host` needs glibc, and this system has {libc or 'another'}. Choose "
                "another target with --target."
            )
    else:
        release = platform.mac_ver()[0] if system == "darwin" else ""
    return Target(
        name=HOST,
        python=platform.python_version(),
        system=system,
        machine=environment["platform_machine"],
        release=release,
        source="the interpreter that ran rsna-bundle",
    )
