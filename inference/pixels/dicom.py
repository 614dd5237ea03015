"""A DICOM file → its stored values, decoded no larger than needed."""

import os
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import BinaryIO

import numpy as np

from inference.pixels.frame import find_frame
from inference.pixels.header import VoiFunction, VoiLut, Window, read_header
from inference.pixels.source import Source
from inference.pixels.stored import BY_WAVELET, PixelData, StoredValues


@dataclass(frozen=True, kw_only=True)
class DicomImage:
    """Stored values and what is needed to interpret them.

    `pixels` is [H, W] of the data set's own type (u1, i1, u2, i2); with a `reduction` r, H and W
    are the `rows` and `columns` of the file divided by 2^r, rounded up.
    """

    pixels: np.ndarray
    rows: int
    columns: int
    reduction: int
    transfer_syntax: str
    photometric: str
    bits_stored: int
    signed: bool
    slope: float
    intercept: float
    windows: tuple[Window, ...]
    voi_function: VoiFunction
    voi_lut: VoiLut | None
    laterality: str
    view: str
    decoder: str
    bytes_read: int
    suspicious: tuple[str, ...] = ()  # why the file may be damaged, though it was decoded

    @cached_property
    def extremes(self) -> tuple[int, int]:
        """Return the smallest and the largest stored value."""
        return int(self.pixels.min()), int(self.pixels.max())

    @property
    def peak(self) -> int:
        """Return the largest magnitude among the stored values."""
        return max(map(abs, self.extremes))


class OpenDicom:
    """A file whose header is read and whose pixels may be decoded at several sizes."""

    def __init__(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        self._file = Source(path)
        self._decoded: dict[tuple[int, int], DicomImage] = {}
        try:
            begin = perf_counter()
            self.header, source = read_header(self._file)
            self._pixels = PixelData(frame=find_frame(source, self.header), header=self.header)
            self._parsing = perf_counter() - begin - self._file.seconds
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "OpenDicom":
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    @property
    def bytes_read(self) -> int:
        """Return how many bytes of the file were fetched so far."""
        return self._file.bytes_read

    @property
    def read_seconds(self) -> float:
        """Return the seconds spent fetching bytes and parsing the header."""
        return self._parsing + self._file.seconds

    def decode(
        self, at_least: tuple[int, int] | None = None, definition: int = BY_WAVELET
    ) -> DicomImage:
        """Return the smallest image, reduced by powers of two, no smaller than `at_least`.

        `definition` says what reduced means (see `inference.pixels.stored`).
        """
        reduction = self._pixels.choose_reduction(at_least, definition)
        key = reduction, definition
        if key not in self._decoded:
            self._decoded[key] = self._describe(self._pixels.decode(reduction, definition))
        return self._decoded[key]

    def _describe(self, values: StoredValues) -> DicomImage:
        header = self.header
        return DicomImage(
            pixels=values.pixels,
            rows=header.rows,
            columns=header.columns,
            reduction=values.reduction,
            transfer_syntax=header.transfer_syntax,
            photometric=header.photometric,
            bits_stored=header.bits_stored,
            signed=header.signed,
            slope=header.slope,
            intercept=header.intercept,
            windows=header.windows,
            voi_function=header.voi_function,
            voi_lut=header.voi_lut,
            laterality=header.laterality,
            view=header.view,
            decoder=values.decoder,
            bytes_read=self.bytes_read,
            suspicious=values.suspicious,
        )


def read(
    path: str | os.PathLike[str] | BinaryIO, at_least: tuple[int, int] | None = None
) -> DicomImage:
    """Read one monochrome image, in full or reduced by a power of two.

    `at_least` (height, width) asks for the largest reduction whose result is no smaller. The
    result depends on the pixels, not on the transfer syntax that they are stored in; but JPEG 2000
    and HTJ2K are read and decoded no further than needed, others in full. Raises ImageError.
    """
    with OpenDicom(path) as file:
        return file.decode(at_least)
