"""A competition's folder as Kaggle lists it: its small tables, and a few names of each folder.

What `rsna-bundle competition` reads where the files are not on this machine. Of a folder only the
first page is asked for, never a listing of hundreds of thousands of files.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.competition.gateway import package
from bundler.competition.table import SUFFIXES
from bundler.errors import InputError
from bundler.progress import SILENT, Progress
from bundler.publish.client import Client

PAGE = 100  # entries that are asked for of one folder
FOLLOWED = 3  # folders of a folder that are looked into
DEEPEST = 4
LARGEST = 64 << 20  # bytes of a table that is downloaded
READ = (*SUFFIXES, ".json")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One page of a folder at Kaggle."""

    files: tuple[tuple[str, int], ...]  # name, bytes
    folders: tuple[str, ...]


def fetch(client: Client, slug: str, folder: Path, progress: Progress = SILENT) -> tuple[str, ...]:
    """Lay out in `folder` what the competition's looks like; return what is not there, and why.

    Tables and the gateway's package are real, all other files empty. Raises KaggleError, as where
    the competition's rules are not accepted.
    """
    progress.step(f"Listing the files of {slug} at Kaggle")
    top = _list(client, slug, "")
    if not top.files and not top.folders:
        raise InputError(f"Kaggle lists no files of {slug}. Is that its slug?")
    left_out = []
    for name, size in top.files:
        if not name.endswith(READ):
            (folder / name).touch()
        elif size > LARGEST:
            left_out.append(f"{name} ({size / 1e6:,.0f} MB) is not downloaded to be read")
        else:
            _download(client, slug, name, folder / name)
    for name in top.folders:
        for path, size in _sample(client, slug, name, DEEPEST):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # Of an empty file, such as an __init__.py, the client 2.2.5 writes nothing.
            if name == package.NAME and path.endswith(".py") and size:
                _download(client, slug, path, target)  # it is read, never run
            else:
                target.touch()
    return tuple(left_out)


def _sample(client: Client, slug: str, path: str, depth: int) -> Iterator[tuple[str, int]]:
    """Yield path and bytes of files below a folder: the first ones, of its first folders."""
    page = _list(client, slug, path)
    yield from ((f"{path}/{name}", size) for name, size in page.files)
    for number, name in enumerate(page.folders):
        if number < FOLLOWED and depth:
            yield from _sample(client, slug, f"{path}/{name}", depth - 1)


def _list(client: Client, slug: str, path: str) -> Listed:
    from kagglesdk.competitions.types.competition_api_service import ApiListDataTreeFilesRequest

    request = ApiListDataTreeFilesRequest()
    request.competition_name, request.path, request.page_size = slug, path, PAGE
    answer = client.ask(
        f"list the files of {slug}",
        lambda sdk: sdk.competitions.competition_api_client.list_data_tree_files(request),
    )
    return Listed(
        files=tuple((file.name, int(file.total_bytes or 0)) for file in _each(answer.files)),
        folders=tuple(entry.name for entry in _each(answer.directories)),
    )


def _each(entries: Sequence[Any] | None) -> list[Any]:
    return [entry for entry in entries or () if entry is not None]


def _download(client: Client, slug: str, name: str, target: Path) -> None:
    """Download one file to `target`, which Kaggle may have packed."""
    with tempfile.TemporaryDirectory() as scratch:
        client.call(
            f"download {name} of {slug}",
            lambda: client.api.competition_download_file(slug, name, scratch, quiet=True),
        )
        # Clients from 2.2.5 on keep the folders of the name, those before do not.
        for packed in list(Path(scratch).rglob(f"{target.name}.zip")):
            with zipfile.ZipFile(packed) as archive:
                archive.extractall(packed.parent)
        for path in Path(scratch).rglob(target.name):
            shutil.move(path, target)
            return
    raise InputError(
        f"Kaggle sent no {name} of {slug}. Download it by hand and use --competition-dir."
    )
