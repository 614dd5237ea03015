"""A DICOM file read from its head, no further than needed."""

import io
import os
import stat
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from inference.pixels.errors import ImageError
from inference.pixels.limits import MAX_FILE_BYTES, MAX_HEADER_BYTES

# Longer than the header of a mammogram, short beside its pixel data.
BLOCK = 8192


class Source(io.RawIOBase):
    """The bytes of a file, fetched in order and kept.

    It reads as a binary file, so that pydicom can walk it, and gives views without copies.
    """

    def __init__(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        super().__init__()
        if isinstance(path, (str, os.PathLike)):
            self.name = str(path)
            self._file, self.size = _open(Path(path))
            self._owned = True
        else:
            self.name = str(getattr(path, "name", "the given file"))
            self._file, self.size = path, path.seek(0, io.SEEK_END)
            self._owned = False
            path.seek(0)
        if self.size == 0:
            self.close()
            raise ImageError("empty", f"{self.name} is empty; copy or download it again.")
        if self.size > MAX_FILE_BYTES:
            self.close()
            raise ImageError(
                "too-large",
                f"{self.name} has {self.size} bytes; at most {MAX_FILE_BYTES} are read. "
                "No mammogram is this large: look at how the file came about.",
            )
        self._buffer = memoryview(bytearray(self.size))
        self._position = 0
        self._fetched = 0
        self._peeked = 0
        self.seconds = 0.0

    def view(self, start: int, stop: int) -> memoryview:
        """Return bytes `start` to `stop`, fewer where the file ends; nothing is copied."""
        stop = min(stop, self.size)
        self._fetch(stop)
        return self._buffer[start:stop]

    def peek(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` without fetching what lies before them."""
        stop = min(stop, self.size)
        if start <= self._fetched + BLOCK:
            return bytes(self.view(start, stop))
        self._file.seek(start)
        data = self._file.read(stop - start)
        self._file.seek(self._fetched)
        self._peeked += len(data)
        return data

    @property
    def bytes_read(self) -> int:
        """Return how many bytes of the file were read."""
        return self._fetched + self._peeked

    def _fetch(self, stop: int) -> None:
        begin = perf_counter()
        while self._fetched < stop:
            count = self._file.readinto(self._buffer[self._fetched : stop])  # type: ignore[attr-defined]
            if not count:
                self.size = self._fetched
                break
            self._fetched += count
        self.seconds += perf_counter() - begin

    # What pydicom asks of a file.

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be sought."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position of the next read; nothing is fetched."""
        base = (0, self._position, self.size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, count: int = -1) -> bytes:
        """Return the next `count` bytes, fewer at the end, fetching whole blocks."""
        start = min(self._position, self.size)
        stop = self.size if count < 0 else min(start + count, self.size)
        if stop > MAX_HEADER_BYTES and count >= 0:
            raise ImageError(
                "too-large",
                f"{self.name} has more than {MAX_HEADER_BYTES} bytes before its pixel data.",
            )
        if stop > self._fetched:
            self._fetch(min(-(-stop // BLOCK) * BLOCK, self.size))
        data = bytes(self._buffer[start : min(stop, self.size)])
        self._position = start + len(data)
        return data

    def close(self) -> None:
        """Close the file, where this opened it."""
        if self._owned and not self.closed:
            self._file.close()
        super().close()


def _open(path: Path) -> tuple[BinaryIO, int]:
    """Open a regular file: a pipe or a device would block for ever."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("missing", f"{path} is no regular file; give the path of a DICOM.")
        return path.open("rb", buffering=0), status.st_size
    except (OSError, ValueError) as error:
        raise ImageError("missing", f"{path} cannot be opened: {error}.") from error
