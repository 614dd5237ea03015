"""The bytes of a bundle.json → its dataclasses, or an error that names the field.

The notebook's first cell carries this source: the standard library and its neighbours only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inference.boot.fields import Malformed, load_json, parse_as
from inference.boot.manifest import (
    FORMAT,
    KINDS,
    SHA256,
    Cache,
    Code,
    File,
    Kind,
    Libs,
    Manifest,
    Model,
    ModelFiles,
    Part,
    content_id,
)
from inference.errors import BundleError


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
    if head.kind == "model" and {"weights", "volumes"} & raw.keys():
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
