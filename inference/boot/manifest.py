"""bundle.json, typed: what each kind of bundle says of itself, parsed whole when it is read.

Writer and reader share these dataclasses: a field is declared here (and in `card`, for what an
ONNX file says of itself) and nowhere else. `rsna-bundle` writes a manifest with `compose`; the
notebook reads it with `parse`, before it touches a file of the bundle.

The notebook's first cell carries this source: the standard library and `BundleError` only.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from inference.boot.card import Golden, OnnxModel, Preprocess
from inference.boot.fields import Malformed, load_json, parse_as, plain
from inference.errors import BundleError

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
    those that the bundle's versions hide (`name old → new`).
    """

    name: str
    digest: str
    python: str
    lock: tuple[str, ...]
    excluded: tuple[str, ...]
    shadowed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Libs:
    """Wheels; the notebook takes the target that fits it."""

    targets: tuple[LibsTarget, ...]

    def __post_init__(self) -> None:
        """Refuse wheels for nothing."""
        if not self.targets:
            raise ValueError("targets is empty")

    def fitting(self, python: str) -> LibsTarget | None:
        """Return what was made for a Python, by its first two numbers; None where nothing was."""
        release = python.split(".")[:2]
        return next((one for one in self.targets if one.python.split(".")[:2] == release), None)


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


# --- parsing ---


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a manifest of any kind says; the fields of its own kind stand beside these."""

    format: int
    kind: Kind
    id: str
    tool: str
    files: tuple[File, ...]


def parse(content: bytes, path: Path) -> Manifest:
    """Parse the bytes of the manifest at `path`, and check its format, every field and its id.

    Raises BundleError for whatever is not a manifest of this format, naming the field.
    """
    try:
        raw = load_json(content)
    except ValueError as error:
        raise BundleError(
            f"{path} is not valid JSON: {error}. Build and upload the bundle again."
        ) from error
    if not isinstance(raw, dict) or "format" not in raw:
        raise BundleError(f"{path} is not the manifest of a bundle: it names no format.")
    again = _how_to_rebuild(raw.get("kind"))
    if type(raw["format"]) is not int or raw["format"] != FORMAT:
        raise BundleError(
            f"{path} has format {str(raw['format'])[:20]}; this version of rsna-bundle reads "
            f"format {FORMAT} only. {again}, publish it, and write the notebook again."
        )
    try:
        manifest = _parse_parts(raw)
        digest = content_id(raw)
    except (ValueError, RecursionError) as error:  # a lone surrogate has no UTF-8, for one
        raise BundleError(f"{path} is malformed: {error}. {again}.") from error
    if digest != manifest.id:
        raise BundleError(
            f"{path} was altered: its content has the id {digest[:12]}, it says "
            f"{manifest.id[:12]}. Build and upload the bundle again."
        )
    return manifest


def _how_to_rebuild(kind: object) -> str:
    command = {"cache": "rsna-bundle publish cache"}.get(str(kind), f"rsna-bundle {kind}")
    known = f": `{command}`" if kind in KINDS else ""
    return f"Build the bundle again with this version{known}"


def _parse_parts(raw: Mapping[str, object]) -> Manifest:
    names = Head.__dataclass_fields__.keys()
    head = parse_as(Head, {key: value for key, value in raw.items() if key in names})
    _check_names(head.files)
    if not SHA256.fullmatch(head.id):
        raise Malformed("id", "is not 64 hexadecimal digits")
    parts: dict[Kind, type[Part]] = {"libs": Libs, "model": Model, "code": Code, "cache": Cache}
    if head.kind == "model" and "weights" in raw:
        parts["model"] = ModelFiles
    own = {key: value for key, value in raw.items() if key not in names}
    part: Part = parse_as(parts[head.kind], own)
    _check_references(head.files, part)
    return Manifest(id=head.id, tool=head.tool, files=head.files, part=part)


def _check_references(files: tuple[File, ...], part: Part) -> None:
    """Refuse a part that speaks of files which the bundle does not hold."""
    known = {file.name for file in files}
    wanted: list[tuple[str, str]] = []
    if isinstance(part, Model):
        wanted += [(f"models[{i}].file", one.file) for i, one in enumerate(part.models)]
        wanted += [(f"golden.dicoms[{i}].file", x.file) for i, x in enumerate(part.golden.dicoms)]
        predictions = enumerate(part.golden.predictions)
        wanted += [(f"golden.predictions[{i}].images", one.images) for i, one in predictions]
    if isinstance(part, ModelFiles):
        wanted += [(f"volumes[{i}]", name) for i, name in enumerate(part.volumes)]
        known |= {member.name for file in files for member in file.members}
        wanted += [(f"weights[{i}].name", one.name) for i, one in enumerate(part.weights)]
    for where, name in wanted:
        if name not in known:
            raise Malformed(where, f"names {name!r}, which files does not list")


def _check_names(files: tuple[File, ...]) -> None:
    for names in ([file.name for file in files], [file.shipped for file in files]):
        if len(set(names)) != len(names):
            raise Malformed("files", "has one name twice")
    taken = {file.name for file in files}
    for name in taken:
        if taken & {str(parent) for parent in PurePosixPath(name).parents}:
            raise Malformed("files", f"has a file in the place of a folder of {name!r}")
