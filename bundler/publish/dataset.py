"""A bundle as a Kaggle dataset: uploaded, waited for, read back.

Kaggle's `ready` proves nothing: it may mean the previous version, and a file may be missing. A
version counts as published when its `bundle.json` was read back with the bundle's id, and every
file is listed with its size (or, where an upload was unpacked, each of its members).
"""

import functools
import io
import json
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.errors import InputError
from bundler.publish import staging
from bundler.publish.client import Client
from bundler.publish.failures import KaggleError, LostUploadError
from bundler.publish.slugs import Ref
from bundler.result import Json
from bundler.secrets.check import check_bundle
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.boot.manifest import MANIFEST, MANIFEST_LIMIT, Code, File, Model, ModelFiles

MOST_FILES = 50
MOST_BYTES = 200 * 10**9
UPLOADS = 3  # attempts, if Kaggle loses files
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 20.0  # seconds between two checks of a version
PATIENCE = 45 * 60.0  # seconds until a version counts as lost
LISTINGS = 4  # checks of the list of files, which may lag behind
PAGE = 200
ABSENT = (403, 404)  # what Kaggle answers about private datasets that do not exist


@dataclass(frozen=True, kw_only=True)
class Published:
    """A bundle that its dataset holds, verified."""

    kind: str
    id: str
    ref: str
    changed: bool
    files: int
    bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Json]:
        """Return what `--json` prints."""
        return vars(self) | {"url": f"https://www.kaggle.com/datasets/{self.ref}"}

    def summary(self) -> str:
        """Return one line for people."""
        if not self.changed:
            return f"{self.kind} {self.id[:12]} is already in {self.ref}; nothing was sent"
        return (
            f"{self.kind} {self.id[:12]} published as {self.ref}: {self.files} files, "
            f"{self.bytes / 1e6:.1f} MB, verified after {self.seconds:.0f} s"
        )


def publish(client: Client, folder: Path, ref: Ref) -> Published:
    """Make a bundle the newest version of its dataset, and verify it there.

    Raises BundleError if the bundle is damaged, InputError if a dataset cannot hold it, KaggleError
    if Kaggle refuses or loses it.
    """
    start = time.monotonic()
    bundle = reader.read(folder)
    size = check(bundle)
    changed = held_id(client, ref) != bundle.id
    # Published from another machine, or interrupted before the files were listed.
    if not changed and staging.verified_id(ref) != bundle.id:
        changed = bool(_missing(client, ref, bundle))
    if changed:
        reader.verify(folder)
        check_bundle(bundle, client.progress)
        _publish(client, bundle, ref)
    staging.remember(ref, bundle.id)
    return Published(
        kind=bundle.kind,
        id=bundle.id,
        ref=str(ref),
        changed=changed,
        files=len(bundle.files) + 1,
        bytes=size,
        seconds=time.monotonic() - start,
    )


def check(bundle: Bundle) -> int:
    """Return a bundle's size in bytes. Raises InputError over the limits of a dataset."""
    files, size = len(bundle.files) + 1, sum(file.bytes for file in bundle.files)
    if files > MOST_FILES or size > MOST_BYTES:
        raise InputError(
            f"{bundle.folder} has {files} files and {size / 1e9:.1f} GB, but a Kaggle dataset "
            f"holds at most {MOST_FILES} files at its top level and {MOST_BYTES / 1e9:.0f} GB. "
            "Leave something out, or split it."
        )
    return size


def _publish(client: Client, bundle: Bundle, ref: Ref) -> None:
    for last in (False,) * (UPLOADS - 1) + (True,):
        try:
            _upload(client, bundle, ref)
            _wait(client, bundle, ref)
            lost = _settled(client, ref, bundle)
            if not lost:
                return
            raise LostUploadError(f"Kaggle reported success, but {ref} lacks {', '.join(lost)}.")
        except LostUploadError as error:
            if last:
                raise LostUploadError(
                    f"{error} Gave up after {UPLOADS} attempts; run this again later. Until then "
                    "a notebook that needs the missing files stops."
                ) from error
            client.progress.warn(f"{error} Sending the bundle again.")


# --- sending ---


def _upload(client: Client, bundle: Bundle, ref: Ref) -> None:
    exists = status(client, ref) is not None
    files, size = len(bundle.files) + 1, sum(file.bytes for file in bundle.files)
    client.progress.step(
        f"Sending {bundle.kind} {bundle.id[:12]} to {ref} ({files} files, {size / 1e6:.1f} MB)"
    )
    with staging.staged(bundle, ref) as folder, staging.upload_state(folder.parent / "state"):
        arguments = (str(folder), notes(bundle)) if exists else (str(folder),)
        create = client.api.dataset_create_version if exists else client.api.dataset_create_new
        send = functools.partial(create, *arguments, quiet=True)
        answer = client.call(f"create a version of {ref}", send)
    if (answer.status or "").lower() != "ok":
        raise KaggleError(
            f"Kaggle refused a version of {ref}: {answer.error or 'no reason given'} "
            "If the name is taken, choose another one in [tool.rsna-bundle.datasets]."
        )


def notes(bundle: Bundle) -> str:
    """Return a version's notes, which Kaggle shows on the dataset's page."""
    parts = [f"{bundle.kind} {bundle.id}"]
    part = bundle.manifest.part
    if isinstance(part, Code):
        parts.append(f"commit {part.commit}" + (" (dirty)" if part.dirty else ""))
    if isinstance(part, Model):
        for model in part.models:
            parts.append(f"{model.arch}: {', '.join(one.name for one in model.checkpoints)}")
    if isinstance(part, ModelFiles):
        parts += [one.name for one in part.weights]
    return "; ".join(parts)[:1000]


# --- reading ---


def held_id(client: Client, ref: Ref) -> str | None:
    """Return the id of the bundle that a dataset holds, or None where it holds none."""
    content = read_file(client, ref, MANIFEST)
    try:
        manifest = json.loads(content or b"null")
    except ValueError:
        return None
    return str(manifest.get("id")) if isinstance(manifest, dict) else None


def read_file(client: Client, ref: Ref, name: str) -> bytes | None:
    """Return a small file of a dataset's current version, or None where there is none."""
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug, request.file_name = ref.owner, ref.slug, name

    def download(connection: Any) -> bytes:
        response = connection.datasets.dataset_api_client.download_dataset(request)
        return bytes(response.raw.read(MANIFEST_LIMIT, decode_content=True))

    try:
        content = client.ask(f"read {name} of {ref}", download)
    except KaggleError as error:
        if error.status in ABSENT:
            return None
        raise
    return _unwrapped(content, name)


def _unwrapped(content: bytes, name: str) -> bytes:
    """Return a file that Kaggle sent inside a zip, as it does with large ones."""
    if not content.startswith(b"PK\x03\x04"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name if name in archive.namelist() else archive.namelist()[0])


def status(client: Client, ref: Ref) -> str | None:
    """Return the status of a dataset's newest version, or None if there is no dataset."""
    try:
        text = client.call(f"get the status of {ref}", lambda: client.api.dataset_status(str(ref)))
    except KaggleError as error:
        if error.status in ABSENT:
            return None
        raise
    return str(text)


def sizes(client: Client, ref: Ref) -> dict[str, int]:
    """Return every file of a dataset's current version with its size."""
    files: dict[str, int] = {}
    token = None
    while True:
        fetch = functools.partial(client.api.dataset_list_files, str(ref), token, PAGE)
        page = client.call(f"list the files of {ref}", fetch)
        if page.error_message:
            raise KaggleError(f"Kaggle could not list the files of {ref}: {page.error_message}")
        files |= {str(file.name): int(file.total_bytes) for file in page.files}
        token = page.next_page_token
        if not token:
            return files


def _wait(client: Client, bundle: Bundle, ref: Ref) -> None:
    """Wait until the dataset's current version is this bundle."""
    client.progress.step(f"Waiting for Kaggle to process {ref}")
    end, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
    state = held = None
    while True:
        state = status(client, ref)
        if state in ("failed", "deleted"):
            raise KaggleError(
                f"Kaggle could not process the new version of {ref} (its status is {state}). "
                "Notebooks still get the previous version, if there is one. Run this again."
            )
        if state == "ready":
            held = held_id(client, ref)
            if held == bundle.id:
                return
        if time.monotonic() > end:
            break
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
    raise KaggleError(
        f"After {PATIENCE / 60:.0f} minutes the status of {ref} is {state!r} and it still serves "
        f"{(held or 'no bundle')[:12]}, not {bundle.id[:12]}. Run this again later; what was sent "
        "is kept."
    )


def _settled(client: Client, ref: Ref, bundle: Bundle) -> list[str]:
    """Return the missing files, once the list had time to catch up."""
    pause = FIRST_PAUSE
    for _ in range(LISTINGS):
        missing = _missing(client, ref, bundle)
        if not missing:
            return []
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
    return missing


def _missing(client: Client, ref: Ref, bundle: Bundle) -> list[str]:
    """Return the files that the list lacks or gives another size."""
    listed = sizes(client, ref)
    return [file.shipped for file in bundle.files if not _is_listed(file, listed)]


def _is_listed(file: File, listed: dict[str, int]) -> bool:
    for name in (file.shipped, file.name):
        if name in listed:
            return listed[name] == file.bytes
    return bool(file.members) and all(
        any(name == member.name or name.endswith(f"/{member.name}") for name in listed)
        for member in file.members
        if not member.members  # an archive within the archive may be unpacked in turn
    )
