"""What the indexes hold of a package: its files, read from the simple API (PEP 503, 691, 700)."""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
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
from packaging.version import InvalidVersion

from bundler import atomic, cache
from bundler.errors import NetworkError
from bundler.libs.index import web
from bundler.libs.index.sources import Sources
from inference.boot.fields import parse_as

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.2, */*;q=0.1"
METADATA = ("core-metadata", "data-dist-info-metadata")  # PEP 714: the second is the old name
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
    has_metadata: bool = False  # beside the file, under its URL and `.metadata` (PEP 658)
    uploaded: str | None = None  # when, in ISO 8601, where the index says it (PEP 700)
    origin: str = ""  # the index, the folder or the reference that it is of; no credentials
    commit: str = ""  # of a git repository

    @property
    def is_wheel(self) -> bool:
        """Say whether it is a wheel; the rest are sdists."""
        return self.name.endswith(".whl")


@dataclass(frozen=True, kw_only=True)
class Head:
    """What is kept of an index's page of a package, apart from its long list of files."""

    etag: str
    digest: str  # of the list of files that belongs to it
    until: float  # seconds since the epoch, when it has to be asked for again


def files(sources: Sources, name: str, *, refresh: bool = False) -> list[File]:
    """Return the files of a package: of the first index that has it, and of folders of links.

    Of a package that is required from one place, or pinned to one index, nothing else counts. With
    `refresh`, an index is asked also within the time for which its last answer holds. Raises
    NetworkError, which names the index, where one cannot be asked.
    """
    name = canonicalize_name(name)
    if name in sources.direct:
        return [sources.given[name]] if name in sources.given else []
    holders = _holders(sources, name, refresh)
    listed = next((files for _, files in holders), [])
    if name in sources.pinned:
        return listed
    return [*listed, *(file for link in sources.links for file in _of_link(sources, link, name))]


def indexes_of(sources: Sources, name: str) -> list[str]:
    """Return which indexes have a package, without passwords; the first is the one that counts."""
    if name in sources.direct:
        return []
    return [sources.shown(index) for index, _ in _holders(sources, name, refresh=False)]


def _holders(sources: Sources, name: str, refresh: bool) -> Iterator[tuple[str, list[File]]]:
    for known in sources.indexes:  # of which another tool's lock may name one without a password
        web.remember(known)
    for index in sources.indexes_for(name):
        # Before its page is asked for: the credentials hold for all of the index.
        plain = index if _is_folder(index) else web.remember(index)
        try:
            listed = _listed(f"{plain}/{name}/", name, refresh)
        except web.AbsentError:
            continue
        except NetworkError as error:
            # Not passed over: what it has may not be taken from another one.
            raise NetworkError(
                f"The index {sources.shown(index)} does not answer for {name}: {error}"
            ) from error
        if listed:
            origin = sources.shown(index)
            yield index, [replace(file, origin=origin) for file in listed]


def _of_link(sources: Sources, link: str, name: str) -> list[File]:
    origin = sources.shown(link)
    return [replace(file, origin=origin) for file in _linked(link, name)]


def _listed(url: str, name: str, refresh: bool) -> list[File]:
    """Return the files on an index's page, asked again only when its time is over."""
    if _is_folder(url):
        return _folder_page(url, name)
    head = _fresh(url, name, refresh)
    return [File(**entry) for entry in json.loads(_files_path(head, url).read_bytes())]


def _is_folder(url: str) -> bool:
    return "://" not in url or url.startswith("file:")


def _fresh(url: str, name: str, refresh: bool) -> Head:
    """Return what is kept of an index's page, asked again when the index's time for it is over."""
    known = _kept(url)
    if known and not refresh and time.time() < known.until:
        return known
    unchanged = {"If-None-Match": known.etag} if known and known.etag else {}
    with web.opened(url, {"Accept": ACCEPT, **unchanged}) as stream:
        headers = web.headers_of(stream)
        if known and web.status_of(stream) == 304:
            head = known
        else:
            head = _keep_files(list(_parse(stream.read(), url, name)), url, headers.get("ETag"))
    age = MAX_AGE.search(headers.get("Cache-Control") or "")
    head = replace(head, until=time.time() + (int(age[1]) if age else 0))
    atomic.write_text(_head_path(url), json.dumps(asdict(head)))
    return head


def _keep_files(files: list[File], url: str, etag: str | None) -> Head:
    """Write the list of files to the cache, and return its head, which is never fresh yet.

    An index may put a password into the address of a file; the cache gets the address without it.
    """
    text = json.dumps([asdict(replace(file, url=web.remember(file.url))) for file in files])
    digest = hashlib.sha256(text.encode()).hexdigest()
    head = Head(etag=etag or "", digest=digest, until=0)
    atomic.write_text(_files_path(head, url), text)
    return head


def _head_path(url: str) -> Path:
    return cache.folder("index") / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"


def _files_path(head: Head, url: str) -> Path:
    """Return where the list of files lies that belongs to a head, and to no other."""
    return _head_path(url).with_suffix(f".{head.digest[:16]}.json")


def _kept(url: str) -> Head | None:
    """Return the head in the cache, or None where there is none that this version wrote."""
    try:
        head = parse_as(Head, json.loads(_head_path(url).read_bytes()))
        return head if _files_path(head, url).is_file() else None
    except (OSError, ValueError):
        return None


def _folder_page(url: str, name: str) -> list[File]:
    root = _local_path(url)
    if (root / "index.html").is_file():
        page = (root / "index.html").read_bytes()
        return list(_parse(page, f"{root.resolve().as_uri()}/", name))
    return _linked(str(root), name)


def _linked(link: str, name: str) -> list[File]:
    """Return a package's files in a folder, or on a page of links to files of any package."""
    if link.startswith(("http://", "https://")):
        with web.opened(link) as stream:
            return list(_parse(stream.read(), link, name))
    root = _local_path(link)
    if not root.is_dir():
        return []
    paths = sorted(root.iterdir())
    links = [_Link(filename=path.name, url=path.resolve().as_uri()) for path in paths]
    return list(_files(links, name))


def _local_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path) if url.startswith("file:") else url)


def _parse(page: bytes, url: str, name: str) -> Iterator[File]:
    """Yield the files that a page lists, in JSON (PEP 691) or in HTML (PEP 503)."""
    text = page.decode("utf-8", errors="replace")
    if text.lstrip().startswith("{"):
        links = [_from_json(entry, url) for entry in json.loads(text).get("files", [])]
    else:
        reader = _HtmlReader(url)
        reader.feed(text)
        links = reader.links
    return _files(links, name)


@dataclass(frozen=True, kw_only=True)
class _Link:
    """A link on a page, to a file of any package."""

    filename: str
    url: str
    sha256: str | None = None
    bytes: int | None = None
    requires_python: str | None = None
    yanked: str | None = None
    has_metadata: bool = False
    uploaded: str | None = None


def _from_json(entry: Any, url: str) -> _Link:
    yanked = entry.get("yanked")
    return _Link(
        filename=str(entry["filename"]),
        url=urljoin(url, entry["url"]),
        sha256=entry.get("hashes", {}).get("sha256"),
        bytes=entry.get("size"),
        requires_python=entry.get("requires-python"),
        yanked=(yanked if isinstance(yanked, str) else "") if yanked else None,
        has_metadata=any(entry.get(key) for key in METADATA),
        uploaded=entry.get("upload-time"),
    )


class _HtmlReader(HTMLParser):
    """Reads the links of a PEP 503 page."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.links: list[_Link] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the file that a link names."""
        values = dict(attrs)
        if tag != "a" or not values.get("href"):
            return
        address, _, fragment = urljoin(self.url, values["href"] or "").partition("#")
        digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        link = _Link(
            filename=unquote(address.rsplit("/", 1)[-1]),
            url=address,
            sha256=digest,
            requires_python=values.get("data-requires-python"),
            yanked=(values["data-yanked"] or "") if "data-yanked" in values else None,
            has_metadata=any(
                values.get(key) for key in ("data-core-metadata", "data-dist-info-metadata")
            ),
        )
        self.links.append(link)


def _files(links: Iterable[_Link], name: str) -> Iterator[File]:
    """Yield those of a page's links that are files of the package, with their versions."""
    for link in links:
        try:
            if link.filename.endswith(".whl"):
                project, version = parse_wheel_filename(link.filename)[:2]
            else:
                project, version = parse_sdist_filename(link.filename)
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
            continue
        if project == canonicalize_name(name):
            yield File(
                name=link.filename,
                url=link.url,
                version=str(version),
                sha256=link.sha256,
                bytes=link.bytes,
                requires_python=link.requires_python,
                yanked=link.yanked,
                has_metadata=link.has_metadata,
                uploaded=link.uploaded,
            )
