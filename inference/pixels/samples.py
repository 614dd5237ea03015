"""A decoder's samples → the data set's own type: its sign, and the bits that it stores."""

import numpy as np

from inference.pixels import decoders
from inference.pixels.claims import JPEG_PROCESSES
from inference.pixels.decoders import Layout
from inference.pixels.header import Header


def as_declared(pixels: np.ndarray, header: Header, layout: Layout) -> np.ndarray:
    """Bring a stream's samples to the data set's type.

    Where stream and data set differ in sign, the sample's bits are read anew in the data set's
    sign, as pydicom does; JPEG and JPEG-LS know no sign.
    """
    dtype = np.dtype(f"{'i' if header.signed else 'u'}{header.bits_allocated // 8}")
    same = pixels.dtype.itemsize == dtype.itemsize
    values = pixels.view(dtype) if same else pixels.astype(dtype)
    unused = 8 * dtype.itemsize - layout.precision
    if header.transfer_syntax in decoders.WAVELET:
        return values if layout.signed == header.signed else _extend(values, unused)
    if header.transfer_syntax in decoders.JPEG_LS and header.signed:
        return _extend(values, unused)
    if not header.signed and header.transfer_syntax in JPEG_PROCESSES:
        return values
    return drop_unused_bits(values, header)


def drop_unused_bits(values: np.ndarray, header: Header) -> np.ndarray:
    """Drop what stands above Bits Stored: overlays, or noise (PS3.5 8.1.1)."""
    unused = header.bits_allocated - header.bits_stored
    if not unused or (not header.signed and int(values.max()) >> header.bits_stored == 0):
        return values
    return _extend(values, unused)


def _extend(values: np.ndarray, unused: int) -> np.ndarray:
    """Return the values with the upper `unused` bits made zero, or the sign."""
    if not unused:
        return values
    shifted: np.ndarray = np.left_shift(values, unused)
    np.right_shift(shifted, unused, out=shifted)
    return shifted
