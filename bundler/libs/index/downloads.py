"""Fetch the files of a lock: in parallel, resumed, verified, kept by their hash."""

import hashlib
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bundler import atomic, cache
from bundler.errors import BundlerError, InputError, NetworkError
from bundler.libs.index import simple_api, snapshots, web
from bundler.libs.index.references import Reference
from bundler.libs.index.sources import Sources
from bundler.libs.resolve.resolution import Pin
from bundler.progress import SILENT, Advance, Progress

PARALLEL = 4
TRIES = 4  # connections for one file
PIECE = 1 << 18  # bytes between two moves of the bar: half a second at 4 Mbit/s


def fetch(pins: Iterable[Pin], sources: Sources, progress: Progress = SILENT) -> dict[str, Path]:
    """Return where each pin's file lies, by its name, downloading what the cache lacks.

    Raises InputError where a file has vanished or is another one, NetworkError, BundlerError.
    """
    pins = list(pins)
    with ThreadPoolExecutor(PARALLEL) as pool:
        kept = dict(zip((pin.file for pin in pins), pool.map(cached, pins), strict=True))
        missing = [pin for pin in pins if kept[pin.file] is None]
        if missing:
            with progress.bar(*_described(missing)) as advance:
                paths = pool.map(lambda pin: _fetch(pin, sources, advance), missing)
                kept |= dict(zip((pin.file for pin in missing), paths, strict=True))
    return {name: path for name, path in kept.items() if path}


def _described(pins: list[Pin]) -> tuple[str, int | None]:
    """Return what a bar says of a download, and its bytes where the index says all of them."""
    sizes = [pin.bytes for pin in pins if pin.bytes is not None]
    text = f"Downloading {len(pins)} file{'s' * (len(pins) > 1)}"
    return text, sum(sizes) if len(sizes) == len(pins) else None


def cached(pin: Pin) -> Path | None:
    """Return a pin's file from the cache, where it is there and as it should be."""
    path = cache.wheel(pin.sha256, pin.file)
    try:  # gigabytes are hashed once; later their size, time and inode stand for the hash
        if state(path) == _mark_of(path).read_text():
            return path  # nobody has touched it since it was hashed
    except FileNotFoundError:
        if not path.is_file():
            return None
    if digest(path) == pin.sha256:
        _mark(path)
        return path
    path.unlink()  # altered or half-written: it is downloaded again
    return None


def _mark(path: Path) -> None:
    _mark_of(path).write_text(state(path))


def _mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified")


def state(path: Path) -> str:
    """Return what shows that nobody has touched a file since: size, time and inode."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def digest(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def keep(source: Path, sha256: str) -> Path:
    """Copy a file that was made here into the cache."""
    path = cache.wheel(sha256, source.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with atomic.locked(partial):  # two runs at once may keep the same
        if not path.is_file():
            shutil.copyfile(source, partial)
            partial.replace(path)
    return path


def _fetch(pin: Pin, sources: Sources, advance: Advance) -> Path:
    path = cache.wheel(pin.sha256, pin.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    url = pin.url or locate(pin, sources)
    received = _Received(advance)
    try:
        with atomic.locked(partial):  # two runs must not write one partial file
            for _ in range(2):  # what an interrupted run left may be wrong: then all of it again
                if path.is_file():  # another run was faster
                    return path
                if _receive(url, partial, received) == pin.sha256:
                    partial.replace(path)
                    _mark(path)
                    return path
                partial.write_bytes(b"")
    except web.AbsentError as error:
        raise InputError(
            f"{pin.file} is no longer on the index: {error} Lock another release with "
            f"`rsna-bundle libs --upgrade {pin.name}`."
        ) from error
    except OSError as error:
        raise BundlerError(
            f"Cannot write {pin.file} to the cache ({path.parent}): {error.strerror or error}. "
            "Free disk space, or choose another cache folder with RSNA_BUNDLE_CACHE, and run it "
            "again: the download is resumed."
        ) from error
    raise InputError(
        f"The sha256 of {web.shown(url)} is not the one that was locked or that the index gives "
        f"({pin.sha256[:12]}…). A proxy may have altered the file. If the new file is right, lock "
        f"it with `rsna-bundle libs --upgrade {pin.name}`."
    )


def locate(pin: Pin, sources: Sources) -> str:
    """Return the URL of a locked file, which a lock does not hold. Raises InputError."""
    if reference := sources.direct.get(pin.name):
        return _locate_direct(pin, reference)
    try:
        listed = simple_api.files(sources, pin.name)
    except NetworkError as error:
        raise NetworkError(
            f"{pin.file} is not in the cache, and its index does not answer: {error}\nConnect to "
            "the network and run it again: files that are in the cache are not downloaded twice."
        ) from error
    for file in listed:
        if file.name == pin.file and file.sha256 in (None, pin.sha256):
            return file.url
    raise InputError(
        f"{pin.file} is no longer on the index, or has another hash there. Lock another release "
        f"with `rsna-bundle libs --upgrade {pin.name}`."
    )


def _locate_direct(pin: Pin, reference: Reference) -> str:
    """Return the URL of a file that is required from one place; its archive is made or fetched."""
    if reference.path is None and not reference.is_git:
        return reference.location
    taken = snapshots.take(replace(reference, commit=pin.commit or reference.commit))
    assert taken.archive is not None
    return taken.archive.as_uri()


def _receive(url: str, partial: Path, received: "_Received") -> str:
    """Append to `partial` what it lacks, going on where a connection broke off; its sha256."""
    for attempt in range(TRIES):
        try:
            return _append(url, partial, received)
        except web.AbsentError:
            raise
        except NetworkError as error:
            if "answered 416" in str(error):  # all of it was there already
                return digest(partial)
            if attempt == TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def _append(url: str, partial: Path, received: "_Received") -> str:
    have = partial.stat().st_size
    headers = {"Range": f"bytes={have}-"} if have else {}
    with web.opened(url, headers) as stream:
        goes_on = have and web.status_of(stream) == 206
        with partial.open("r+b", buffering=0) as sink:
            seen = hashlib.file_digest(sink, "sha256") if goes_on else hashlib.sha256()
            start = sink.tell()
            sink.truncate(start)
            came = 0
            while piece := stream.read(PIECE):
                sink.write(piece)
                seen.update(piece)
                came += len(piece)
                received.show(start + came)
        promised = web.headers_of(stream).get("Content-Length")
    if promised and came < int(promised):
        raise NetworkError(
            f"The download of {web.shown(url)} broke off after {came} of {promised} bytes."
        )
    return seen.hexdigest()


class _Received:
    """Tells a bar how many bytes of one file are here, those of an earlier run among them."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._shown = advance, 0

    def show(self, size: int) -> None:
        """Move the bar: backwards, too, where a file has to be received again."""
        self._advance(size - self._shown)
        self._shown = size
