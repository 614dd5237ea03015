"""What a repository already says for Kaggle's own client: kernel- and dataset-metadata.json."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundler.errors import UsageError

KERNEL, DATASET = "kernel-metadata.json", "dataset-metadata.json"
DEPTH = 2  # folders below the root that are looked into
SKIPPED = {"dist", "node_modules", "venv", "input", "working"}  # and whatever begins with a dot
# What the name of a dataset, or of the folder it is uploaded from, says of its content.
WORDS = {
    "libs": ("libs", "lib", "wheels", "wheelhouse", "packages", "deps", "dependencies"),
    "model": ("model", "models", "weights", "checkpoints", "ckpt", "ckpts"),
    "code": ("code", "src", "source", "repo", "scripts"),
    "cache": ("cache",),
}


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """What was read from metadata files; None or empty where they do not say it."""

    owner: str | None = None
    competition: str | None = None
    notebook: str | None = None
    accelerator: str | None = None
    script: str | None = None  # what the notebook ran, relative to the root
    datasets: Mapping[str, str] = field(default_factory=dict)  # kind → slug
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The keys of a kernel-metadata.json that are used."""

    path: Path
    owner: str | None
    slug: str | None
    code_file: str
    kernel_type: str
    internet: bool
    accelerator: str | None
    competitions: tuple[str, ...]
    datasets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The keys of a dataset-metadata.json that are used."""

    path: Path
    owner: str | None
    slug: str | None


def read(root: Path) -> Adopted:
    """Read the metadata files of a repository. Raises UsageError for one that is broken."""
    kernels = [_kernel(path) for path in _files(root, KERNEL)]
    datasets = [_dataset(path) for path in _files(root, DATASET)]
    notes: list[str] = []
    kernel = None
    if len(kernels) == 1 or (kernels and kernels[0].path.parent == root):
        kernel = kernels[0]  # the root's own comes first
    elif kernels:
        paths = ", ".join(str(one.path.relative_to(root)) for one in kernels)
        notes.append(f"Nothing was taken from {paths}: there are several.")
    slugs, dataset_notes = _by_kind(datasets, root)
    owners = {one.owner for one in kernels} | {one.owner for one in datasets}
    owners.discard(None)
    competition = kernel.competitions[0] if kernel and len(kernel.competitions) == 1 else None
    return Adopted(
        owner=owners.pop() if len(owners) == 1 else None,
        competition=competition,
        notebook=kernel.slug if kernel else None,
        accelerator=kernel.accelerator if kernel else None,
        script=_script(kernel, root) if kernel else None,
        datasets=slugs,
        notes=(*notes, *dataset_notes, *(_kernel_notes(kernel, slugs) if kernel else ())),
    )


def _files(root: Path, name: str) -> list[Path]:
    """Return the files of a name, at most DEPTH folders down, the shallowest first."""
    folders = level = [root]
    for _ in range(DEPTH):
        level = [inner for folder in level for inner in _subfolders(folder)]
        folders = [*folders, *level]
    # Asked for by name: the innermost may be a competition's images, hundreds of thousands.
    return [folder / name for folder in folders if (folder / name).is_file()]


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # what cannot be entered is not the user's own metadata
        return []
    return [folder / one for one in sorted(names) if one[0] != "." and one not in SKIPPED]


def _kernel(path: Path) -> Kernel:
    table = _table(path)
    owner, slug = _reference(table, path)
    # A machine without GPU or TPU is asked for by leaving the accelerator out.
    wants = _flag(table, "enable_gpu", path) or _flag(table, "enable_tpu", path)
    machine = _text(table, "machine_shape", path)
    has_flag = "enable_gpu" in table or "enable_tpu" in table
    return Kernel(
        path=path,
        owner=owner,
        slug=slug,
        code_file=_text(table, "code_file", path) or "",
        kernel_type=_text(table, "kernel_type", path) or "",
        internet=_flag(table, "enable_internet", path),
        accelerator=machine or ("none" if has_flag and not wants else None),
        competitions=_texts(table, "competition_sources", path),
        datasets=_texts(table, "dataset_sources", path),
    )


def _dataset(path: Path) -> Dataset:
    owner, slug = _reference(_table(path), path)
    return Dataset(path=path, owner=owner, slug=slug)


def _by_kind(datasets: Sequence[Dataset], root: Path) -> tuple[dict[str, str], list[str]]:
    """Return kind → slug for the datasets whose name says what they hold, and what to say."""
    slugs: dict[str, str] = {}
    notes = []
    for dataset in datasets:
        if dataset.slug is None:
            continue
        folder = "" if dataset.path.parent == root else dataset.path.parent.name
        kind = _kind(dataset.slug) or _kind(folder)
        if kind and kind not in slugs:
            slugs[kind] = dataset.slug
        else:
            where = dataset.path.relative_to(root)
            why = f"{kind} is {slugs[kind]}" if kind else "its name does not say what it holds"
            notes.append(
                f"The dataset {dataset.slug} of {where} was not taken: {why}. Bundles replace what "
                "a dataset holds; name it under [tool.rsna-bundle.datasets] if it may be used."
            )
    return slugs, notes


def _kind(name: str) -> str | None:
    parts = set(re.split(r"[^a-z0-9]+", name.lower()))
    kinds = [kind for kind, words in WORDS.items() if parts & set(words)]
    return kinds[0] if len(kinds) == 1 else None


def _script(kernel: Kernel, root: Path) -> str | None:
    """Return the script that the kernel ran, relative to the root; None for a notebook."""
    path = kernel.path.parent / kernel.code_file
    if path.suffix != ".py" or not path.is_file() or not path.resolve().is_relative_to(root):
        return None
    return path.resolve().relative_to(root).as_posix()


def _kernel_notes(kernel: Kernel, slugs: Mapping[str, str]) -> Iterator[str]:
    if kernel.code_file.endswith(".ipynb"):
        yield (
            f"{kernel.code_file} is a notebook, which `run` cannot name: move what it does into a "
            "script, and run that."
        )
    if kernel.internet:
        yield f"{KERNEL} turns the internet on; the notebook written here turns it off."
    if len(kernel.competitions) > 1:
        yield f"{KERNEL} names several competitions: {', '.join(kernel.competitions)}."
    others = [one for one in kernel.datasets if one.rpartition("/")[2] not in slugs.values()]
    if others:
        yield (
            f"The notebook mounted {', '.join(others)}, too. Bundle what your code needs of them "
            "by `rsna-bundle model --files PATH`."
        )


# --- JSON, typed ---


def _table(path: Path) -> Mapping[str, object]:
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Fix or remove it.") from error
    if not isinstance(table, dict):
        raise UsageError(f"{path} must hold a JSON object. Fix or remove it.")
    return table


def _reference(table: Mapping[str, object], path: Path) -> tuple[str | None, str | None]:
    """Return owner and slug of the key `id`; what `kaggle … init` leaves to be filled is None."""
    owner, _, slug = (_text(table, "id", path) or "").rpartition("/")
    return (
        None if owner in ("", "INSERT_OWNER_HERE") else owner,
        None if slug == "" or "INSERT_" in slug else slug,
    )


def _text(table: Mapping[str, object], key: str, path: Path) -> str | None:
    value = table.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UsageError(f"{path}: {key} is {value!r}; it must be text.")
    return value


def _texts(table: Mapping[str, object], key: str, path: Path) -> tuple[str, ...]:
    value = table.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{path}: {key} is {value!r}; it must be a list of texts.")
    return tuple(item for item in value if item)


def _flag(table: Mapping[str, object], key: str, path: Path) -> bool:
    value = table.get(key)
    # Kaggle's client wrote "true" as text for years, and still reads it.
    if value in (None, False, "false", "False"):
        return False
    if value in (True, "true", "True"):
        return True
    raise UsageError(f"{path}: {key} is {value!r}; it must be true or false.")
