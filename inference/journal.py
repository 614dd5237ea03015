"""Predictions on disk as they come, so that a run that was killed goes on where it stopped.

A file of lines, each with a checksum of its own; the first says what the predictions depend on. A
line that is torn or damaged is not there. One file for each output in the scratch folder, which
outlives the process; a run that has come to its end removes it.
"""

import contextlib
import hashlib
import json
import math
import os
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, TypeGuard

from inference.log import say
from inference.outcome import Prediction
from inference.submission import TestImage
from inference.workers import state_of

FORMAT = 2  # 1 had no predictions of single models
SYNC = 1.0  # seconds between two syncs, which only a crash of the whole machine makes matter
MOST_OF_TIME = 0.02  # that syncing may take on a slow disk
LONGEST = 1 << 16  # bytes of a line


@dataclass(frozen=True, kw_only=True)
class Key:
    """What decides the predictions; a journal of another key is begun anew, never mixed."""

    ids: Mapping[str, str]  # of the bundles
    table: str  # sha256 of test.csv
    images: str  # the folder of the images
    output: str
    flip: bool
    providers: tuple[str, ...]  # of each model, which are not alike in the last digit


class Journal:
    """An append-only file of predictions; a disk that is full ends it, not the run."""

    def __init__(self, path: Path, descriptor: int, predictions: list[Prediction]) -> None:
        self.predictions = predictions  # of earlier runs, whose files are as they were
        self._path, self._descriptor = path, descriptor
        self._next_sync = time.monotonic() + SYNC
        self._works = True

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions behind those that are there."""
        if not self._works or not predictions:
            return
        try:
            write_all(self._descriptor, b"".join(map(_line, map(_values, predictions))))
            self._sync()
        except OSError as error:
            self._works = False
            warn(self._path, error)

    def close(self, *, remove: bool) -> None:
        """Remove the file of a run that is at its end; leave it for one that goes on from it."""
        os.close(self._descriptor)
        if remove:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _sync(self) -> None:
        start = time.monotonic()
        if start < self._next_sync:
            return
        os.fsync(self._descriptor)
        took = time.monotonic() - start
        self._next_sync = time.monotonic() + max(SYNC, took / MOST_OF_TIME)


def open_journal(scratch: Path, key: Key, images: Sequence[TestImage]) -> Journal | None:
    """Open the journal of an output, with what earlier runs of the same key have predicted.

    None, and a warning, where the scratch folder cannot hold one. The output is locked by its
    run (`inference.output`), and so is its journal.
    """
    name = hashlib.sha256(key.output.encode()).hexdigest()[:16]
    path = scratch / f"predictions-{name}.journal"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            predictions, size = _read(path, key, images)
            os.ftruncate(descriptor, size)
            if not size:
                write_all(descriptor, _line(_header(key)))
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        warn(path, error)
        return None
    return Journal(path, descriptor, predictions)


def warn(path: Path, error: OSError) -> None:
    """Say that a run that is killed from now on would begin anew."""
    say(
        f"warning: {path} cannot be written ({error.strerror}): the run goes on, but predictions "
        "are no longer kept for the case that it is killed.",
        error=True,
    )


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write all bytes to a file, in as many calls as it takes. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


# --- lines ---


def _header(key: Key) -> object:
    return {"format": FORMAT, **asdict(key)}


def _values(one: Prediction) -> object:
    return [
        one.key,
        one.probability,
        list(one.members),
        int(one.coarse),
        one.transfer_syntax,
        one.decoder,
        list(one.suspicious),
        list(one.file or ()),
    ]


def _line(value: object) -> bytes:
    content = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _read(path: Path, key: Key, images: Sequence[TestImage]) -> tuple[list[Prediction], int]:
    """Return the predictions that still hold, and how many bytes of the file are whole."""
    expected = json.loads(json.dumps(_header(key)))
    by_key: dict[int, Prediction] = {}
    with path.open("rb") as stream:
        lines = _lines(stream)
        whole, header = next(lines, (0, None))
        if header != expected:
            return [], 0
        for end, value in lines:
            whole = end
            prediction = _parse(value)
            if prediction and 0 <= prediction.key < len(images):
                by_key[prediction.key] = prediction
    kept = [one for one in by_key.values() if one.file == state_of(images[one.key].path)]
    return kept, whole


def _lines(stream: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yield where each undamaged line ends, and its value."""
    position = 0
    while line := stream.readline(LONGEST):
        position += len(line)
        code, _, content = line.rstrip(b"\n").partition(b" ")
        if line.endswith(b"\n") and code == b"%08x" % zlib.crc32(content):
            with contextlib.suppress(ValueError, RecursionError):
                yield position, json.loads(content)


def _parse(value: object) -> Prediction | None:
    """Return a line's prediction; None for one of another shape, which is not trusted."""
    match value:
        case [
            int(key),
            float(probability),
            [*members],
            (0 | 1) as coarse,
            str(syntax),
            str(decoder),
            signs,
            [
                int(size),
                int(modified),
            ],
        ] if math.isfinite(probability) and _are_finite(members) and isinstance(signs, list):
            return Prediction(
                key=key,
                probability=probability,
                members=tuple(members),
                coarse=bool(coarse),
                transfer_syntax=sys.intern(syntax),
                decoder=sys.intern(decoder),
                suspicious=tuple(map(str, signs)),
                file=(size, modified),
            )
    return None


def _are_finite(values: list[object]) -> TypeGuard[list[float]]:
    return all(isinstance(value, float) and math.isfinite(value) for value in values)
