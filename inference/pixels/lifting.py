"""Reduce an image by powers of two: the low-pass band of the reversible 5/3 wavelet.

This is how preprocessing defines "half the size", for files of every transfer syntax. The head of a
JPEG 2000 lossless stream holds exactly this image (ISO/IEC 15444-1, Annex F), so such a file need
not be decoded in full; any other file is, and gets the very same integers by the lifting below.

One level, first down the columns, then along the rows (F.3.8.2 and F.4.8.1, an image at the origin
of the reference grid, mirrored at its edges):

    d[n] = x[2n + 1] - floor((x[2n] + x[2n + 2]) / 2)
    s[n] = x[2n] + floor((d[n - 1] + d[n] + 2) / 4)

and the s are kept. After the last level the values are clipped to the range of the bits stored, as
a JPEG 2000 decoder does; not between levels, since the encoder saw no clipping there.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from inference.pixels.errors import DeclinedError
from inference.pixels.proven import Proven

# What NumPy does in 60 ms for 8 megapixels takes the compiled loop 3 ms.
COMPILED_TYPES = ("uint8", "int8", "uint16", "int16", "int32")


class Pyramid:
    """An image at 1/2, 1/4, … of its sides, each made once, of the one before."""

    def __init__(self, pixels: np.ndarray) -> None:
        """Start from the full image: integers of at most 16 bits, [H, W]."""
        self._bands = [pixels]

    def band(self, reduction: int) -> np.ndarray:
        """Return the integers [H, W] at 1/2^reduction, sides rounded up, not clipped yet."""
        while len(self._bands) <= reduction:
            self._bands.append(_halve(self._bands[-1]))
        return self._bands[reduction]


def clip(band: np.ndarray, bits: int, signed: bool, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the band as `dtype`, clipped to what so many bits hold."""
    low = -(1 << (bits - 1)) if signed else 0
    high = low + (1 << bits) - 1
    if band.dtype == dtype and (low, high) == (np.iinfo(dtype).min, np.iinfo(dtype).max):
        return band
    clipped: np.ndarray = np.clip(band, low, high).astype(dtype, copy=False)
    return clipped


def _halve(pixels: np.ndarray) -> np.ndarray:
    try:
        return _fast(pixels)
    except DeclinedError:
        return halve_by_numpy(pixels)


def halve_by_numpy(pixels: np.ndarray) -> np.ndarray:
    """Return int32 [ceil(H / 2), ceil(W / 2)]: one level."""
    return _low_pass(_low_pass(pixels).T).T


def _low_pass(values: np.ndarray) -> np.ndarray:
    """Return int32 [ceil(H / 2), W]: one level down the columns."""
    even = values[0::2].astype(np.int32)
    if len(values) == 1:  # F.3.6: a single sample at an even place stays as it is
        return even
    odd = values[1::2].astype(np.int32)
    # The even rows behind each odd one; behind the last, the one before it is mirrored.
    following = np.concatenate([even[1:], even[-1:]])[: len(odd)]
    high = odd - ((even[: len(odd)] + following) >> 1)
    # d[n - 1] and d[n] around each even row, mirrored at both ends.
    before = np.concatenate([high[:1], high])[: len(even)]
    after = np.concatenate([high, high[-1:]])[: len(even)]
    return np.asarray(even + ((before + after + 2) >> 2))


def halve_compiled(pixels: np.ndarray) -> np.ndarray:
    """Return what `halve_by_numpy` returns, by a loop that Numba compiles at its first call."""
    if pixels.dtype.name not in COMPILED_TYPES:
        raise DeclinedError("another type")
    return _compiled(pixels.dtype.name)(np.ascontiguousarray(pixels))


# It compiles once for the pixels' type, and once for the int32 of the levels after the first.
_fast = Proven(halve_compiled, judge=halve_by_numpy)


@cache
def _compiled(kind: str) -> Callable[[np.ndarray], np.ndarray]:
    import numba

    array = numba.types.Array(getattr(numba, kind), 2, "C", readonly=True)
    compile_loop = numba.njit(numba.int32[:, ::1](array), nogil=True)
    loop: Callable[[np.ndarray], np.ndarray] = compile_loop(_halve_rows)
    return loop


def _halve_rows(values: Any) -> Any:
    """Return int32 [ceil(H / 2), ceil(W / 2)] in one pass: a few rows at a time stay in the cache.

    Each inner loop is over one row and without a branch, so that the compiler makes vector
    instructions of it; the mirrored ends stand outside.
    """
    rows, columns = values.shape
    out = np.empty(((rows + 1) // 2, (columns + 1) // 2), np.int32)
    one, two = np.int32(1), np.int32(2)
    before = np.zeros(columns, np.int32)  # d of the row pair above
    after = np.zeros(columns, np.int32)  # d of this one
    smooth = np.empty(columns, np.int32)  # s down the columns
    detail = np.zeros(out.shape[1], np.int32)  # d along the row
    for row in range(out.shape[0]):
        even = values[2 * row]
        if 2 * row + 1 < rows:
            odd = values[2 * row + 1]
            following = values[2 * row + 2] if 2 * row + 2 < rows else even
            for column in range(columns):
                pair = np.int32(even[column]) + np.int32(following[column])
                after[column] = np.int32(odd[column]) - (pair >> one)
        else:
            after[:] = before
        if row == 0:
            before[:] = after
        for column in range(columns):
            correction = (before[column] + after[column] + two) >> two
            smooth[column] = np.int32(even[column]) + correction
        if rows == 1:
            smooth[:] = even
        before, after = after, before
        line = out[row]
        if columns == 1:
            line[0] = smooth[0]
            continue
        for n in range((columns - 1) // 2):
            pair = smooth[2 * n] + smooth[2 * n + 2]
            detail[n] = smooth[2 * n + 1] - (pair >> one)
        if columns % 2:
            detail[columns // 2] = detail[columns // 2 - 1]
        else:
            detail[columns // 2 - 1] = smooth[columns - 1] - smooth[columns - 2]
        line[0] = smooth[0] + ((detail[0] + detail[0] + two) >> two)
        for n in range(1, len(line)):
            line[n] = smooth[2 * n] + ((detail[n - 1] + detail[n] + two) >> two)
    return out
