"""bundle.json, typed: what each kind of bundle says of itself.

Writer and reader share these dataclasses: a field is declared here (and in `card`, for what an
ONNX file says of itself) and nowhere else. `rsna-bundle` writes a manifest with `compose`;
`parsing` reads it, before any file of the bundle is touched.

The notebook's first cell carries this source: the standard library, `card` and `fields` only.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, get_args

from inference.boot.card import Golden, OnnxModel, Preprocess
from inference.boot.fields import plain

FORMAT = 2
MANIFEST = "bundle.json"
Kind = Literal["libs", "model", "code", "cache"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MANIFEST_LIMIT = 64 << 20  # bytes; a larger one is no manifest of ours
LONGEST_NAME = 255  # bytes of a file's name on the notebook's file system
SHA256 = re.compile("[0-9a-f]{64}")

# --- files ---


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file inside an archive; `members` where it is an archive in turn."""

    name: str
    sha256: str
    members: "tuple[Member, ...]" = ()

    def __post_init__(self) -> None:
        """Refuse a name that leaves its folder, and what is no digest."""
        check_name(self.name)
        if not SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256 {self.sha256!r} is not 64 hexadecimal digits")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names under which the file may lie."""
        return (self.name,)


@dataclass(frozen=True, kw_only=True)
class File(Member):
    """A file of the bundle: it travels as `shipped`, flat; `name` may have folders."""

    shipped: str
    bytes: int

    def __post_init__(self) -> None:
        """Refuse names that Kaggle or the notebook could not hold, and a negative size."""
        super().__post_init__()
        check_name(self.shipped)
        if "/" in self.shipped or self.shipped == MANIFEST:
            raise ValueError(f"unsafe file name {self.shipped!r}")
        if self.bytes < 0:
            raise ValueError(f"bytes is {self.bytes}")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names under which the file may lie: as it was shipped, or its own."""
        return (self.shipped, self.name)


def check_name(name: str) -> None:
    """Raise ValueError for a name that is not a plain relative path inside a folder."""
    parts = name.split("/")
    odd = "\\" in name or any(ord(letter) < 32 or letter == "\x7f" for letter in name)
    if odd or PurePosixPath(name).is_absolute() or {"", ".", ".."} & set(parts):
        raise ValueError(f"unsafe file name {name!r}")
    if max(len(part.encode()) for part in parts) > LONGEST_NAME:
        raise ValueError(f"the file name {name[:40]!r}… is longer than {LONGEST_NAME} bytes")


def is_safe(name: object) -> bool:
    """Say whether a member's name stays inside the folder it is unpacked into."""
    try:
        check_name(name if isinstance(name, str) else "")
    except ValueError:
        return False
    return True


# --- libs ---


@dataclass(frozen=True, kw_only=True)
class LibsTarget:
    """The wheels for one image: requirement lines with hashes, what the image has, what is hidden.

    `excluded` are the image's own packages that the lock relies on (`name==version`), `shadowed`
    those that the bundle's versions hide (`name old → new`). `glibc` is the image's C library
    (None: not on Linux, or not known), `image` its reference with a digest, where that is known.
    """

    name: str
    digest: str
    python: str
    lock: tuple[str, ...]
    excluded: tuple[str, ...]
    shadowed: tuple[str, ...]
    glibc: str | None = None
    image: str | None = None

    def __str__(self) -> str:
        """Return the target with what it fits, for people."""
        glibc = f", glibc {self.glibc}" if self.glibc else ""
        return f"{self.name} (Python {self.python}{glibc})"

    def fits(self, python: str, glibc: str | None) -> bool:
        """Say whether wheels for this image run there: its Python's first two numbers, its glibc.

        What is not known of either glibc decides nothing.
        """
        same_python = python.split(".")[:2] == self.python.split(".")[:2]
        if not same_python or not self.glibc or not glibc:
            return same_python
        return _numbers(self.glibc) <= _numbers(glibc)

    def is_image(self, reference: str | None) -> bool:
        """Say whether this is the image of a reference, by its digest."""
        digest = (self.image or "").partition("@")[2]
        return bool(digest) and digest == (reference or "").partition("@")[2]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@dataclass(frozen=True, kw_only=True)
class Libs:
    """Wheels; the notebook takes the target that fits it."""

    targets: tuple[LibsTarget, ...]

    def __post_init__(self) -> None:
        """Refuse wheels for nothing, and two targets of one name."""
        if not self.targets:
            raise ValueError("targets is empty")
        if len({one.name for one in self.targets}) < len(self.targets):
            raise ValueError("targets names one target twice")

    def fitting(
        self, python: str, glibc: str | None = None, image: str | None = None
    ) -> LibsTarget | None:
        """Return the target that fits a Python and a glibc best; None where none does.

        Of several the one for this very image, else the one with the newest glibc, else the first.
        """
        fitting = [one for one in self.targets if one.fits(python, glibc)]
        same = [one for one in fitting if one.is_image(image)]
        return max(same or fitting, key=lambda one: _numbers(one.glibc or ""), default=None)


# --- model ---


@dataclass(frozen=True, kw_only=True)
class Model:
    """ONNX files for `inference.run`."""

    models: tuple[OnnxModel, ...]
    golden: Golden


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What the name or the content of a file of weights says of their training."""

    name: str
    fold: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Any files, byte for byte, for a command of the user's own.

    `volumes` name those files of the bundle that are tars of small ones, whose members are the
    user's files; `weights` says what is known of single files, of volumes' members, too;
    `folders` are those without a file, which are restored all the same.
    """

    volumes: tuple[str, ...]
    weights: tuple[Weights, ...]
    folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse names that stand twice, and folders outside of the restored one."""
        for folder in self.folders:
            check_name(folder)
        names = [one.name for one in self.weights]
        if len(set(names)) != len(names) or len(set(self.volumes)) != len(self.volumes):
            raise ValueError("volumes or weights name one file twice")


# --- code and cache ---


@dataclass(frozen=True, kw_only=True)
class Code:
    """A commit's tree. `run` is the command that the settings named, `runner` our version."""

    commit: str
    dirty: bool
    branch: str | None
    runner: str
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Cache:
    """A prepared training cache: how its images were prepared, how many, in how many tars."""

    preprocess: Preprocess
    images: int | None
    shards: int


# --- the manifest ---

Part = Libs | Model | ModelFiles | Code | Cache


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A bundle.json."""

    id: str
    tool: str
    files: tuple[File, ...]
    part: Part

    @property
    def kind(self) -> Kind:
        """Return the kind of bundle."""
        return kind_of(self.part)


def kind_of(part: Part) -> Kind:
    """Return the kind of bundle that a part belongs to."""
    kinds: dict[type[Part], Kind] = {Libs: "libs", Code: "code", Cache: "cache"}
    return kinds.get(type(part), "model")


def content_id(manifest: Mapping[str, object]) -> str:
    """Return the digest of all that a manifest says, but for `id` and `tool` themselves."""
    content = {key: value for key, value in manifest.items() if key not in ("id", "tool")}
    return hashlib.sha256(canonical(content)).hexdigest()


def canonical(value: object) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def compose(files: tuple[File, ...], part: Part, tool: str) -> tuple[str, str]:
    """Return the id and the text of a manifest; equal content, equal bytes."""
    kind = kind_of(part)
    content = {"format": FORMAT, "kind": kind, "files": plain(files), **plain(part)}
    identity = content_id(content)
    whole = {**content, "id": identity, "tool": tool}
    text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return identity, text + "\n"
