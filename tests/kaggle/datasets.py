"""Datasets as Kaggle keeps them: versions, archives unpacked on upload, blobs with resume."""

import io
import re
import tarfile
import zipfile
from dataclasses import dataclass, field
from typing import Any

from tests.kaggle.faults import Faults

ZIPS, TARS = (".zip", ".whl", ".pth", ".pt"), (".tar", ".tar.gz", ".tgz")
MOST_FILES = 50
PAGE = 20


class Refused(Exception):
    """An answer with an error's status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(kw_only=True)
class Blob:
    """An upload: what has arrived of it."""

    token: str
    name: str
    size: int
    data: bytearray = field(default_factory=bytearray)
    lost: bool = False

    @property
    def complete(self) -> bool:
        """Say whether all bytes are there."""
        return len(self.data) == self.size


@dataclass(kw_only=True)
class Version:
    """One version of a dataset: its files as they are mounted."""

    number: int
    notes: str
    files: dict[str, bytes]
    failed: bool = False
    processing: int = 0
    stale: int = 0


@dataclass(kw_only=True)
class Dataset:
    """A dataset and all its versions."""

    ref: str
    title: str
    private: bool
    versions: list[Version] = field(default_factory=list)

    @property
    def served(self) -> Version | None:
        """Return the version that is served now: the newest one that is through."""
        through = [v for v in self.versions if not (v.processing or v.stale or v.failed)]
        return through[-1] if through else None


class Datasets:
    """The datasets' part of the service."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.all: dict[str, Dataset] = {}
        self.blobs: dict[str, Blob] = {}
        self.bytes_received = 0

    # --- blobs ---

    def start_blob(self, body: dict[str, Any], url: str) -> dict[str, Any]:
        """Begin an upload; a blob is known by the token in its address."""
        token = f"blob-{len(self.blobs) + 1}"
        size = int(body.get("contentLength", 0))
        self.blobs[token] = Blob(token=token, name=body["name"], size=size)
        return {"token": token, "createUrl": f"{url}/upload/{token}"}

    def blob(self, token: str) -> Blob:
        """Return an upload that was begun."""
        if token not in self.blobs:
            raise Refused(404, "Upload not found")
        return self.blobs[token]

    # --- versions ---

    def create(self, body: dict[str, Any], user: str) -> dict[str, Any]:
        """Make a dataset with its first version."""
        owner, slug, title = body["ownerSlug"], body["slug"], body["title"]
        ref = f"{owner}/{slug}"
        self._check_owner(owner, user)
        if ref in self.all or any(d.title == title for d in self.all.values()):
            return {
                "status": "error",
                "error": f'The requested title "{title}" is already in use by a dataset.',
            }
        if not (6 <= len(slug) <= 50 and 6 <= len(title) <= 50):
            return {"status": "error", "error": "The title must be between 6 and 50 characters."}
        self.all[ref] = Dataset(ref=ref, title=title, private=bool(body.get("isPrivate")))
        return self._add(self.all[ref], body, "Initial release")

    def create_version(self, body: dict[str, Any], user: str) -> dict[str, Any]:
        """Make a new version of a dataset; nothing is inherited from the previous one."""
        self._check_owner(body["ownerSlug"], user)
        dataset = self.get(body)
        return self._add(dataset, body["body"], body["body"].get("versionNotes", ""))

    def _check_owner(self, owner: str, user: str) -> None:
        if owner != user:
            raise Refused(403, "Permission 'datasets.update' was denied")

    def _add(self, dataset: Dataset, body: dict[str, Any], notes: str) -> dict[str, Any]:
        blobs = [self.blob(entry["token"]) for entry in body.get("files", ())]
        if len(blobs) > MOST_FILES:
            return {"status": "error", "error": f"More than {MOST_FILES} top-level files"}
        files: dict[str, bytes] = {}
        for blob in blobs:
            if blob.name in self.faults.lose:
                self.faults.lose.discard(blob.name)
            elif blob.complete:
                files |= self._stored(blob.name, self._content(blob))
        number = len(dataset.versions) + 1
        first = number == 1
        dataset.versions.append(
            Version(
                number=number,
                notes=notes,
                files=files,
                failed=self.faults.processing_fails,
                processing=self.faults.processing,
                stale=0 if first else self.faults.stale,
            )
        )
        url = f"https://www.kaggle.com/datasets/{dataset.ref}"
        return {"status": "ok", "ref": dataset.ref, "url": url}

    def _content(self, blob: Blob) -> bytes:
        content = bytes(blob.data)
        if blob.name in self.faults.damage:
            self.faults.damage.discard(blob.name)
            content = content[:-1] + bytes([content[-1] ^ 1])
        return content

    def _stored(self, name: str, content: bytes) -> dict[str, bytes]:
        """Return what Kaggle makes of an uploaded file: an archive becomes its members."""
        looked = self.faults.unpack_by_content
        stem = re.sub(r"\.(zip|whl|pth|pt|tar\.gz|tgz|tar)(\.tmp)?$", "", name)
        if name.endswith(ZIPS) or (looked and content[:4] == b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                listed = [info for info in archive.infolist() if not info.is_dir()]
                members = {info.filename: archive.read(info) for info in listed}
        elif name.endswith(TARS) or (looked and content[257:262] == b"ustar"):
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                found = {m.name: tar.extractfile(m) for m in tar if m.isfile()}
                members = {key: stream.read() for key, stream in found.items() if stream}
        else:
            return {name: content}
        prefix = {"flat": "", "name": f"{stem}/", "name/name": f"{stem}/{stem}/"}
        return {prefix[self.faults.layout] + key: value for key, value in members.items()}

    # --- reading ---

    def get(self, body: dict[str, Any]) -> Dataset:
        """Return the dataset that a call names."""
        ref = f"{body.get('ownerSlug')}/{body.get('datasetSlug')}"
        if ref not in self.all:
            raise Refused(404, "Dataset not found")
        return self.all[ref]

    def status(self, body: dict[str, Any]) -> dict[str, Any]:
        """Say how far the newest version is; `ready` may mean the previous one."""
        newest = self.get(body).versions[-1]
        if newest.failed:
            return {"status": "FAILED"}
        if newest.processing:
            newest.processing -= 1
            return {"status": "BLOBS_RECEIVED"}
        return {"status": "READY"}

    def version(self, body: dict[str, Any]) -> Version:
        """Return the version that a call names, or the one that is served."""
        dataset = self.get(body)
        newest = dataset.versions[-1]
        if newest.stale:
            newest.stale -= 1
            served = dataset.versions[-2] if len(dataset.versions) > 1 else None
        else:
            served = dataset.served
        if number := body.get("datasetVersionNumber"):
            served = dataset.versions[number - 1]
        if served is None:
            raise Refused(404, "Dataset version is not ready")
        return served

    def list_files(self, body: dict[str, Any]) -> dict[str, Any]:
        """List a version's files, a page at a time."""
        files = sorted(self.version(body).files.items())
        start = int(body.get("pageToken") or 0)
        end = start + int(body.get("pageSize") or PAGE)
        answer: dict[str, Any] = {
            "datasetFiles": [
                {"name": name, "totalBytes": len(content), "creationDate": "2026-01-01T00:00:00Z"}
                for name, content in files[start:end]
            ]
        }
        return answer | ({"nextPageToken": str(end)} if end < len(files) else {})

    def about(self, body: dict[str, Any]) -> dict[str, Any]:
        """Describe a dataset."""
        dataset = self.get(body)
        served = dataset.served
        return {
            "ref": dataset.ref,
            "title": dataset.title,
            "isPrivate": dataset.private,
            "currentVersionNumber": served.number if served else 0,
        }
