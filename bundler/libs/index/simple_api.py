"""What the indexes hold of a package: its files, read from the simple API (PEP 503, 691, 700)."""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from bundler import atomic
from bundler.cache import folder
from bundler.libs.index import web
from bundler.libs.index.sources import Sources

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.2, */*;q=0.1"
PATIENCE = 600  # seconds for which the answer on the newest release will do
MAX_AGE = re.compile(r"max-age=(\d+)")


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a package on an index."""

    name: str
    url: str
    version: str
    sha256: str | None = None
    bytes: int | None = None
    requires_python: str | None = None
    yanked: str | None = None  # the reason, or "" where none was given

    @property
    def is_wheel(self) -> bool:
        """Say whether it is a wheel; the rest are sdists."""
        return self.name.endswith(".whl")


def files(sources: Sources, name: str) -> list[File]:
    """Return all files of a package in all sources; none where no source has it.

    Raises NetworkError where an index cannot be asked.
    """
    found: list[File] = []
    for index in sources.indexes:
        try:
            found += _listed(f"{index}/{canonicalize_name(name)}/", name)
        except web.AbsentError:
            continue
    for place in sources.links:
        found += _linked(place, name)
    return found


def _listed(url: str, name: str) -> list[File]:
    """Return the files on an index's page, asked again only when its time is over."""
    if "://" not in url or url.startswith("file:"):
        return _folder_page(url, name)
    head = _fresh(url, name)
    return [File(**entry) for entry in json.loads(_place(head, url).read_bytes())]


def newest(sources: Sources, name: str) -> str | None:
    """Return a package's newest release on the indexes, without yanked ones and pre-releases."""
    found = []
    for url in (f"{index}/{canonicalize_name(name)}/" for index in sources.indexes):
        if "://" not in url or url.startswith("file:"):
            found.append(_newest(_folder_page(url, name)))
            continue
        with contextlib.suppress(web.AbsentError):
            found.append(_fresh(url, name, patience=PATIENCE)["newest"])
    return max((version for version in found if version), key=Version, default=None)


def yanked(sources: Sources, name: str, version: str) -> str | None:
    """Return why the indexes withdrew a release ("" where no reason is given), or None."""
    for index in sources.indexes:
        url = f"{index}/{canonicalize_name(name)}/"
        if "://" in url and not url.startswith("file:"):
            with contextlib.suppress(web.AbsentError):
                reasons: dict[str, str] = _fresh(url, name, patience=PATIENCE)["yanked"]
                return reasons.get(str(Version(version)))
    return None


def _fresh(url: str, name: str, patience: float = 0) -> dict[str, Any]:
    """Return what is kept of an index's page, asked again when the index's time for it is over.

    With `patience`, what was asked in the last so many seconds will do. The head is apart from
    the long list of files, since most questions are about the newest.
    """
    known = _kept(url)
    if known and time.time() < max(known["until"], known["asked"] + patience):
        return known
    headers = {
        "Accept": ACCEPT,
        **({"If-None-Match": known["etag"]} if known and known["etag"] else {}),
    }
    with web.opened(url, headers) as stream:
        said = web.headers_of(stream)
        if known and web.status_of(stream) == 304:
            head = dict(known)
        else:
            files = list(_parse(stream.read(), url, name))
            text = json.dumps([asdict(file) for file in files])
            head = {"etag": said.get("ETag") or "", "newest": _newest(files)}
            head["yanked"] = {f.version: f.yanked for f in files if f.yanked is not None}
            head["digest"] = hashlib.sha256(text.encode()).hexdigest()
            atomic.write_text(_place(head, url), text)
    age = MAX_AGE.search(said.get("Cache-Control") or "")
    head["asked"] = time.time()
    head["until"] = head["asked"] + (int(age[1]) if age else 0)
    atomic.write_text(_head_place(url), json.dumps(head))
    return head


def _newest(files: Iterable[File]) -> str | None:
    versions = {Version(file.version) for file in files if file.yanked is None}
    released = [version for version in versions if not version.is_prerelease]
    return str(max(released or versions)) if versions else None


def _head_place(url: str) -> Path:
    return folder("index") / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"


def _place(head: Mapping[str, Any], url: str) -> Path:
    """Return where the list of files lies that belongs to a head, and to no other."""
    return _head_place(url).with_suffix(f".{head['digest'][:16]}.json")


def _kept(url: str) -> dict[str, Any] | None:
    try:
        head = json.loads(_head_place(url).read_bytes())
        whole = {"asked", "until", "etag", "newest", "yanked", "digest"} <= head.keys() and _place(
            head, url
        ).is_file()
    except (OSError, ValueError, AttributeError):
        return None
    return head if whole else None


def _folder_page(place: str, name: str) -> list[File]:
    root = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place)
    if (root / "index.html").is_file():
        page = (root / "index.html").read_bytes()
        return list(_parse(page, f"{root.resolve().as_uri()}/", name))
    return _linked(str(root), name)


def _linked(place: str, name: str) -> list[File]:
    """Return a package's files in a folder, or on a page of links to files of any package."""
    if place.startswith(("http://", "https://")):
        with web.opened(place) as stream:
            return list(_parse(stream.read(), place, name))
    root = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place)
    if not root.is_dir():
        return []
    paths = sorted(root.iterdir())
    return list(_files([(path.name, path.resolve().as_uri(), {}) for path in paths], name))


def _parse(page: bytes, url: str, name: str) -> Iterator[File]:
    """Yield the files that a page lists, in JSON or in HTML."""
    text = page.decode("utf-8", errors="replace")
    if text.lstrip().startswith("{"):
        entries = [_from_json(entry, url) for entry in json.loads(text).get("files", ())]
    else:
        reader = _Links(url)
        reader.feed(text)
        entries = reader.entries
    return _files(entries, name)


_Entry = tuple[str, str, dict[str, Any]]


def _from_json(entry: dict[str, Any], url: str) -> _Entry:
    yanked = entry.get("yanked")
    about = {
        "sha256": entry.get("hashes", {}).get("sha256"),
        "bytes": entry.get("size"),
        "requires_python": entry.get("requires-python"),
        "yanked": (yanked if isinstance(yanked, str) else "") if yanked else None,
    }
    return str(entry["filename"]), urljoin(url, entry["url"]), about


class _Links(HTMLParser):
    """Reads the links of a PEP 503 page."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.entries: list[_Entry] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the file that a link names."""
        values = dict(attrs)
        if tag != "a" or not values.get("href"):
            return
        address, _, fragment = urljoin(self.url, values["href"] or "").partition("#")
        digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        about = {
            "sha256": digest,
            "requires_python": values.get("data-requires-python"),
            "yanked": (values["data-yanked"] or "") if "data-yanked" in values else None,
        }
        self.entries.append((unquote(address.rsplit("/", 1)[-1]), address, about))


def _files(entries: list[_Entry], name: str) -> Iterator[File]:
    for filename, url, about in entries:
        try:
            if filename.endswith(".whl"):
                project, version = parse_wheel_filename(filename)[:2]
            else:
                project, version = parse_sdist_filename(filename)
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
            continue
        if project == canonicalize_name(name):
            yield File(name=filename, url=url, version=str(version), **about)
