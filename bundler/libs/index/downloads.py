"""Fetch the files of a lock: in parallel, resumed, verified, kept by their hash."""

import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bundler import cache
from bundler.errors import BundlerError, InputError, NetworkError
from bundler.libs import wheels
from bundler.libs.index import simple_api, web
from bundler.libs.index.sources import Sources
from bundler.libs.resolve.resolution import Pin
from bundler.libs.wheels import Wheel

PARALLEL = 4
TRIES = 4  # connections for one file
BAR = 24  # characters
PIECE = 1 << 18  # bytes between two looks at the bar: half a second at 4 Mbit/s


def fetch(pins: Iterable[Pin], sources: Sources, *, quiet: bool = False) -> dict[str, Path]:
    """Return where each pin's file lies, by its name, downloading what the cache lacks.

    Raises InputError where a file has vanished or is another one, NetworkError, BundlerError.
    """
    pins = list(pins)
    with ThreadPoolExecutor(PARALLEL) as pool:
        kept = dict(zip((pin.file for pin in pins), pool.map(cached, pins), strict=True))
        missing = [pin for pin in pins if kept[pin.file] is None]
        if missing:
            with _Bar(missing, quiet) as bar:
                for pin, path in pool.map(lambda pin: (pin, _fetch(pin, sources, bar)), missing):
                    kept[pin.file] = path
    return {name: path for name, path in kept.items() if path}


def cached(pin: Pin) -> Path | None:
    """Return a pin's file from the cache, where it is there and as it should be."""
    path = cache.wheel(pin.sha256, pin.file)
    try:
        if _state(path) == _mark_of(path).read_text():
            return path  # nobody has touched it since it was hashed
    except FileNotFoundError:
        if not path.is_file():
            return None
    if digest(path) == pin.sha256:
        _mark(path)
        return path
    path.unlink()
    return None


def _mark(path: Path) -> None:
    _mark_of(path).write_text(_state(path))


def _mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified")


def _state(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def digest(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def keep(path: Path, sha256: str) -> Path:
    """Copy a file that was made here into the cache."""
    place = cache.wheel(sha256, path.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.{os.getpid()}.part")
    partial.write_bytes(path.read_bytes())
    partial.replace(place)
    return place


def _fetch(pin: Pin, sources: Sources, bar: "_Bar") -> Path:
    place = cache.wheel(pin.sha256, pin.file)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(place.name + ".part")
    url = pin.url or locate(pin, sources)
    try:
        with _locked(partial):
            for _ in range(2):  # what an interrupted run left may be wrong: then all of it again
                if place.is_file():  # another run was faster
                    return place
                if _receive(url, partial, bar) == pin.sha256:
                    partial.replace(place)
                    _mark(place)
                    return place
                partial.write_bytes(b"")
    except web.AbsentError as error:
        raise InputError(
            f"{pin.file} has vanished from the index: {error} Ask for another release with "
            f"`rsna-bundle libs --upgrade {pin.name}`."
        ) from error
    except OSError as error:
        raise BundlerError(
            f"{pin.file} cannot be kept in {place.parent}: {error.strerror or error}. Make room "
            "there, or name another cache folder with RSNA_BUNDLE_CACHE; what was downloaded "
            "so far is resumed."
        ) from error
    raise InputError(
        f"{web.shown(url)} is not the file that was locked, or that the index names: its sha256 "
        f"is not {pin.sha256[:12]}…. A proxy may have changed it. If the new file is right, lock "
        f"it with `rsna-bundle libs --upgrade {pin.name}`."
    )


def locate(pin: Pin, sources: Sources) -> str:
    """Return the URL of a locked file, which a lock does not hold. Raises InputError."""
    try:
        listed = simple_api.files(sources, pin.name)
    except NetworkError as error:
        raise NetworkError(
            f"{pin.file} is not in the cache, and {error} Connect, and run `rsna-bundle libs` "
            "again: what is in the cache already is not downloaded twice."
        ) from error
    for file in listed:
        if file.name == pin.file and file.sha256 in (None, pin.sha256):
            return file.url
    raise InputError(
        f"{pin.file} has vanished from the index (or was replaced by a file with another hash). "
        f"Lock another release with `rsna-bundle libs --upgrade {pin.name}`."
    )


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """Keep two runs from writing one partial file (where the system knows such locks)."""
    with partial.open("ab") as stream:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _receive(url: str, partial: Path, bar: "_Bar") -> str:
    """Append to `partial` what it lacks, going on where a connection broke off; its sha256."""
    for attempt in range(TRIES):
        try:
            return _append(url, partial, bar)
        except web.AbsentError:
            raise
        except NetworkError as error:
            if "answered 416" in str(error):  # all of it was there already
                return digest(partial)
            if attempt == TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def _append(url: str, partial: Path, bar: "_Bar") -> str:
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
                bar.show(partial.name, start + came)
        promised = web.headers_of(stream).get("Content-Length")
    if promised and came < int(promised):
        raise NetworkError(f"{web.shown(url)} broke off after {came} of {promised} bytes.")
    return seen.hexdigest()


class _Bar:
    """One line on standard error: how much has come; where that is no terminal, what will come."""

    def __init__(self, pins: list[Pin], quiet: bool) -> None:
        self.total = sum(pin.bytes or 0 for pin in pins)
        self.came: dict[str, int] = {}  # bytes of each file that are here
        self.visible = not quiet and sys.stderr.isatty()
        self.lock = threading.Lock()
        files = f"{len(pins)} file{'s' * (len(pins) > 1)}"
        self.head = f"downloading {files}"
        if not quiet and not self.visible:
            size = f", {self.total / 1e6:.1f} MB" if self.total else ""
            print(f"{self.head}{size}", file=sys.stderr, flush=True)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self.visible:
            print(file=sys.stderr)

    def show(self, file: str, size: int) -> None:
        """Show that so many bytes of a file are here, those of an earlier run among them."""
        with self.lock:
            self.came[file] = size
            if self.visible:
                done = sum(self.came.values())
                share = min(1.0, done / self.total) if self.total else 0.0
                bar = "█" * round(BAR * share) + "·" * (BAR - round(BAR * share))
                of = f" of {self.total / 1e6:.1f}" if self.total else ""
                text = f"\r{self.head} {bar} {done / 1e6:.1f}{of} MB"
                print(text, end="", file=sys.stderr, flush=True)


def metadata(pin: Pin, sources: Sources, *, quiet: bool = False) -> Wheel:
    """Return what a wheel says of itself, without fetching all of it where the index can."""
    if cached(pin) is None and (pin.url or "").startswith(("http://", "https://")):
        with contextlib.suppress(web.AbsentError), web.opened(f"{pin.url}.metadata") as stream:
            text = stream.read().decode("utf-8", errors="replace")
            return Wheel(Path(pin.file), pin.name, pin.version, text, ())
    return wheels.read(fetch([pin], sources, quiet=quiet)[pin.file])
