"""JPEG Lossless, the usual kind, by a loop that Numba compiles: half of libjpeg-turbo's time.

A mammogram's scan is one Huffman-coded difference per pixel to the pixel on its left (ISO/IEC
10918-1 Annex H, predictor 1). libjpeg-turbo looks up a code, then fetches the difference's bits;
here one look-up of twelve bits yields up to two whole differences. Whatever is not exactly that
kind, and sound to its last byte, is declined: another decoder judges it.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from inference.pixels import jpeg
from inference.pixels.errors import DeclinedError
from inference.pixels.limits import MAX_STREAM_HEADER_BYTES

DHT, SOS, COM, APP0, APP15 = 0xC4, 0xDA, 0xFE, 0xE0, 0xEF
LONGEST_CODE = 16
PEEKED = 12  # bits looked up at a time: the table then fits the processor's first cache


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The one scan of a stream: its shape and precision, its Huffman table, where it begins."""

    rows: int
    columns: int
    precision: int
    predictor: int  # Table H.1
    shift: int  # the point transform (A.4): values are stored without so many lower bits
    counts: bytes  # of codes with 1 … 16 bits (B.2.4.2)
    categories: bytes  # of the differences, in the order of their codes
    start: int


def decode(data: memoryview | bytes) -> np.ndarray:
    """Return uint16 [H, W]; DeclinedError for another kind of stream, or a faulty one.

    The first call compiles the loop, which takes about two seconds.
    """
    scan = read_scan(bytes(data[:MAX_STREAM_HEADER_BYTES]))
    if scan.predictor != 1 or scan.shift:
        raise DeclinedError("another predictor")
    if scan.precision <= 8:
        raise DeclinedError("of 8 bits and fewer")
    if not 0 < scan.rows * scan.columns <= 8 * len(data):
        raise DeclinedError("no pixels, or fewer bits than pixels")
    singles = _look_up_singles(scan)
    values = np.empty((scan.rows, scan.columns), np.uint16)
    stream = np.frombuffer(data, np.uint8)
    pairs = _look_up_pairs(singles)
    end = _compiled()(stream, scan.start, singles, pairs, 1 << (scan.precision - 1), values)
    if end < 0 or not jpeg.is_end(data, end):
        raise DeclinedError("the scan does not end with its last pixel")
    if int(values.max()) >> scan.precision:
        raise DeclinedError("values beyond the precision")
    return values


def read_scan(data: bytes) -> Scan:
    """Read the headers up to the scan (Annex B); DeclinedError where it is of another kind."""
    frame = jpeg.read_frame_header(data)
    if frame is None or frame.process != jpeg.LOSSLESS or not 2 <= frame.precision <= 16:
        raise DeclinedError("not lossless")
    tables: dict[int, tuple[bytes, bytes]] = {}
    component, position = b"", 2
    while position + 4 <= len(data):
        if data[position : position + 2] == b"\xff\xff":  # a fill byte (B.1.1.2)
            position += 1
            continue
        mark, marker, length = struct.unpack(">BBH", data[position : position + 4])
        segment = data[position + 4 : position + 2 + length]
        position += 2 + length
        if mark != 0xFF or len(segment) != length - 2:
            break
        if marker == DHT:
            tables |= _read_tables(segment)
        elif marker == SOS:
            # One component; Ss is the predictor, Al the point transform (B.2.3, Table H.1).
            if segment[:2] != b"\1" + component or len(segment) != 6 or segment[4]:
                break
            if not 1 <= segment[3] <= 7 or segment[5] >= frame.precision:
                break
            if (table := tables.get(segment[2] >> 4)) is None or segment[2] & 15:
                break
            return Scan(
                rows=frame.rows,
                columns=frame.columns,
                precision=frame.precision,
                predictor=segment[3],
                shift=segment[5],
                counts=table[0],
                categories=table[1],
                start=position,
            )
        elif marker == jpeg.LOSSLESS:
            if component or len(segment) != 9 or segment[5] != 1 or segment[7] != 0x11:
                break
            component = segment[6:7]
        elif marker != COM and not APP0 <= marker <= APP15:
            break  # restart intervals, arithmetic coding, hierarchies
    raise DeclinedError("another kind of scan")


def _read_tables(segment: bytes) -> dict[int, tuple[bytes, bytes]]:
    """Read DHT (B.2.4.2): by destination, how many codes of each length, and what they mean."""
    tables = {}
    while segment:
        counts = segment[1:17]
        stop = 17 + sum(counts)
        if len(segment) < stop or segment[0] > 3:  # class 0, destinations 0 to 3
            raise DeclinedError("no Huffman table of a lossless scan")
        tables[segment[0]] = (counts, segment[17:stop])
        segment = segment[stop:]
    return tables


def _look_up_singles(scan: Scan) -> np.ndarray:
    """Return int32 [2^16], by the next 16 bits: length << 8 | category; 0 where no code begins."""
    table = np.zeros(1 << LONGEST_CODE, np.int32)
    position = used = 0
    for length, count in enumerate(scan.counts, 1):  # Annex C: codes in ascending order
        for category in scan.categories[position : position + count]:
            step = 1 << (LONGEST_CODE - length)
            if category > 16 or used + step > table.size:
                raise DeclinedError("no Huffman table")
            table[used : used + step] = length << 8 | category
            used += step
        position += count
    return table


def _look_up_pairs(singles: np.ndarray) -> np.ndarray:
    """Return int64 [2^PEEKED], by the next bits, of the one or two differences wholly in them.

    From the low end: bits used (8), differences (8), the first (16), the sum of both (16), modulo
    2^16; 0 where not even one is complete.
    """
    bits = np.arange(1 << PEEKED) << (LONGEST_CODE - PEEKED)
    first, used = _difference(singles, bits, np.zeros_like(bits))
    second, more = _difference(singles, bits, used)
    count = (used > 0).astype(np.int64) + (more > 0)
    total = (first + np.where(more > 0, second, 0)) & 0xFFFF
    packed = total << 32 | (first & 0xFFFF) << 16 | count << 8 | np.maximum(used, more)
    return np.where(used > 0, packed, 0)


def _difference(
    singles: np.ndarray, bits: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the difference behind `used` bits, and the bits used then; 0 where not complete."""
    entry = singles[(bits << used) & 0xFFFF].astype(np.int64)
    length, category = entry >> 8, entry & 255
    then = used + length + category
    complete = (entry > 0) & (then <= PEEKED)
    category = np.where(complete, category, 0)
    rest = ((bits << (used + length)) & 0xFFFF) >> (LONGEST_CODE - category)
    low = rest < (1 << category) >> 1  # F.1.2.1: the lower half stands for negative ones
    return rest - np.where(low, (1 << category) - 1, 0), np.where(complete, then, 0)


@cache
def _compiled() -> Callable[..., int]:
    import numba

    stream = numba.types.Array(numba.uint8, 1, "C", readonly=True)
    signature = (
        stream,
        numba.int64,
        numba.int32[::1],
        numba.int64[::1],
        numba.int64,
        numba.uint16[:, ::1],
    )
    loop: Callable[..., int] = numba.njit(numba.int64(*signature), nogil=True)(_decode_rows)
    return loop


def _decode_rows(
    stream: Any, start: int, singles: Any, pairs: Any, middle: int, values: Any
) -> int:
    """Fill uint16 [H, W] from the scan; return where it ends, or -1 where it is faulty.

    The next bits stand at the upper end of `buffer`, `held` of them from the stream; behind its
    end there are zeros, and whoever used one of them has read too far.
    """
    rows, columns = values.shape
    position, end = start, len(stream)
    buffer, held, made_up = np.uint64(0), 0, 0
    for row in range(rows):
        line = values[row]
        value = np.int64(values[row - 1, 0]) if row else np.int64(middle)  # H.1.2.1
        column, last = 0, columns - 1
        while column < columns:
            while held <= 32:
                if position + 4 <= end:
                    word = (
                        np.uint32(stream[position]) << np.uint32(24)
                        | np.uint32(stream[position + 1]) << np.uint32(16)
                        | np.uint32(stream[position + 2]) << np.uint32(8)
                        | np.uint32(stream[position + 3])
                    )
                    inverse = ~word
                    marks = (inverse - np.uint32(0x01010101)) & word & np.uint32(0x80808080)
                    if not marks:  # no byte is FF
                        buffer |= np.uint64(word) << np.uint64(32 - held)
                        held += 32
                        position += 4
                        continue
                byte = np.uint64(0)
                if position < end and stream[position] != 0xFF:
                    byte = np.uint64(stream[position])
                    position += 1
                elif position + 1 < end and stream[position + 1] == 0:  # stuffed: B.1.1.5
                    byte = np.uint64(0xFF)
                    position += 2
                else:
                    made_up += 8
                buffer |= byte << np.uint64(56 - held)
                held += 8
            pair = pairs[buffer >> np.uint64(64 - PEEKED)]
            if pair and 0 < column < last:
                value_before = value
                value = (value + (pair >> 32)) & 0xFFFF
                line[column] = (value_before + (pair >> 16)) & 0xFFFF
                line[column + 1] = value
                column += (pair >> 8) & 255
                used = pair & 255
            else:
                single = singles[buffer >> np.uint64(64 - LONGEST_CODE)]
                if not single:
                    return -1
                length, category = np.int64(single >> 8), np.int64(single & 255)
                used, difference = length + category, np.int64(0)
                if category == 16:  # Table H.2: no bits follow
                    used, difference = length, np.int64(32768)
                elif category:
                    rest = np.int64(buffer << np.uint64(length) >> np.uint64(64 - category))
                    low = rest < np.int64(1) << (category - 1)
                    difference = rest - ((np.int64(1) << category) - 1 if low else 0)
                value = (value + difference) & 0xFFFF
                line[column] = value
                column += 1
            buffer <<= np.uint64(used)
            held -= used
    # Less than a byte of padding is left, else bits were made up, or left over (F.1.2.3).
    return position if 0 <= held - made_up < 8 else -1
