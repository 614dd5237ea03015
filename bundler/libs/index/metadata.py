"""What a wheel on an index says of itself, without fetching all of the wheel."""

import io
import zipfile
from pathlib import Path

from packaging.utils import parse_wheel_filename

from bundler import atomic, cache
from bundler.errors import InputError, NetworkError
from bundler.libs import wheels
from bundler.libs.index import downloads, releases, web
from bundler.libs.index.simple_api import File
from bundler.libs.index.sources import Sources

BLOCK = 1 << 16  # bytes of one range request; a wheel's central directory mostly fits


def text(file: File, sources: Sources) -> str:
    """Return the METADATA of a wheel: kept, served beside it, read by ranges, or from all of it.

    Raises InputError where the wheel or its index is wrong, NetworkError.
    """
    kept = cache.folder("metadata") / (file.sha256 or "unknown")
    if file.sha256 and kept.is_file():
        return kept.read_text(encoding="utf-8")
    content = _read(file, sources)
    if file.sha256:
        atomic.write_text(kept, content)
    return content


def _read(file: File, sources: Sources) -> str:
    name, version = parse_wheel_filename(file.name)[:2]
    pin = releases.pin(name, str(version), file)
    if (path := downloads.cached(pin)) is not None:
        return wheels.metadata(path)
    if file.url.startswith(("http://", "https://")):
        if file.has_metadata and (served := _served(file)) is not None:
            return served
        if (ranged := _by_ranges(file)) is not None:
            return ranged
    return wheels.metadata(downloads.fetch([pin], sources)[pin.file])


def _served(file: File) -> str | None:
    """Return the METADATA that an index serves beside a wheel (PEP 658)."""
    try:
        with web.opened(f"{file.url}.metadata") as stream:
            content = stream.read(wheels.LARGEST_METADATA + 1)
    except web.AbsentError:
        return None
    if len(content) > wheels.LARGEST_METADATA:
        raise InputError(wheels.too_large(file.name))
    return content.decode("utf-8", errors="replace").replace("\r\n", "\n")


def _by_ranges(file: File) -> str | None:
    """Return the METADATA read from parts of a wheel, or None where the server sends no parts."""
    try:
        with zipfile.ZipFile(io.BufferedReader(_Remote(file.url), BLOCK)) as archive:
            return wheels.read_metadata(archive, Path(file.name))
    except (_NoRangesError, NetworkError):
        return None  # some servers fail at the question; fetching it all says what is wrong
    except wheels.UNREADABLE as error:
        raise InputError(f"{file.name} cannot be read as a wheel: {error}.") from error


class _NoRangesError(Exception):
    """The server sends whole files only."""


class _Remote(io.RawIOBase):
    """A file on a server, of which parts can be read; each read is one request."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, self._position = url, 0
        # The first request fetches the end, where a zip archive has its table of contents.
        self._tail, self._size = self._fetch(f"-{BLOCK}")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that any part can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read bytes from the position on."""
        start, stop = self._position, min(self._position + len(buffer), self._size)
        if start >= stop:
            return 0
        tail = self._size - len(self._tail)
        if start >= tail:
            content = self._tail[start - tail : stop - tail]
        else:
            content = self._fetch(f"{start}-{stop - 1}")[0][: stop - start]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _fetch(self, span: str) -> tuple[bytes, int]:
        """Return a part and the size of the whole."""
        with web.opened(self._url, {"Range": f"bytes={span}"}) as stream:
            if web.status_of(stream) != 206:
                raise _NoRangesError
            size = web.headers_of(stream)["Content-Range"].rpartition("/")[2]
            return stream.read(), int(size)
