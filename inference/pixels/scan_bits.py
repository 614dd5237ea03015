"""Has a JPEG scan as many bits as its picture takes?

Decoders make up what a damaged scan lacks, and leave what is too much, without a word. But codes
that were damaged somewhere seldom end where the scan does: a sound scan holds just the bits of its
picture, and up to seven of padding (ISO/IEC 10918-1 F.1.2.3).
"""

import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from inference.pixels import jpeg, lossless
from inference.pixels.errors import DeclinedError
from inference.pixels.limits import MAX_STREAM_HEADER_BYTES
from inference.pixels.lossless import Scan

PADDING = 7  # bits that may be left over behind the last sample
NO_CODE = 1 << 20  # bits: more than any scan is short of for another reason
DRI, DQT = 0xDD, 0xDB
PEEKED_BYTES = 4  # what the walker may look at behind the end of a segment

# --- lossless: the pixels say how many bits they take ---


def missing_bits(data: memoryview | bytes, values: np.ndarray) -> int | None:
    """Return how many bits the scan lacks for uint16 [H, W] `values`, or None for another kind.

    The number follows from the values' differences to their predictions and the scan's Huffman
    table. 0 … -7 is right.
    """
    try:
        scan = lossless.read_scan(bytes(data[:MAX_STREAM_HEADER_BYTES]))
    except DeclinedError:
        return None
    costs = _look_up_costs(scan)
    values = values >> scan.shift if scan.shift else values
    differences = values - _predict(values, scan)  # modulo 2^16 (H.1.2.1)
    needed = sum(int(costs[row].sum()) for row in differences)
    return needed - 8 * _scan_bytes(np.frombuffer(data, np.uint8)[scan.start :])


def _predict(values: np.ndarray, scan: Scan) -> np.ndarray:
    """Return what each of uint16 [H, W] is predicted from (H.1.2.1, Table H.1)."""
    left = np.empty_like(values)
    left[:, 1:] = values[:, :-1]
    left[1:, 0] = values[:-1, 0]
    left[0, 0] = 1 << (scan.precision - scan.shift - 1)
    if scan.predictor > 1:  # which the first row and the first column do without
        a = values[1:, :-1].astype(np.int32)
        b, c = values[:-1, 1:].astype(np.int32), values[:-1, :-1].astype(np.int32)
        predictions: dict[int, Callable[[], np.ndarray]] = {
            2: lambda: b,
            3: lambda: c,
            4: lambda: a + b - c,
            5: lambda: a + ((b - c) >> 1),
            6: lambda: b + ((a - c) >> 1),
            7: lambda: (a + b) >> 1,
        }
        left[1:, 1:] = predictions[scan.predictor]()
    return left


def _look_up_costs(scan: Scan) -> np.ndarray:
    """Return int64 [2^16]: the bits that each difference, modulo 2^16, takes in this scan."""
    lengths = np.full(17, NO_CODE, np.int64)
    codes = iter(scan.categories)
    for length, count in enumerate(scan.counts, 1):
        for category in itertools.islice(codes, count):
            if category <= 16:
                # Table H.2: the difference 32768, of category 16, has no bits behind its code.
                lengths[category] = length + category % 16
    magnitudes = np.abs(np.arange(1 << 16, dtype=np.int32).astype(np.int16).astype(np.int32))
    return lengths[np.frexp(magnitudes)[1]]


def _scan_bytes(stream: np.ndarray) -> int:
    """Return the entropy-coded bytes up to the next marker, without the stuffed ones (B.1.1.5)."""
    marks = np.flatnonzero(stream[:-1] == 0xFF)
    markers = marks[stream[marks + 1] != 0]
    end = int(markers[0]) if len(markers) else len(stream)
    return end - int(np.searchsorted(marks, end))


# --- baseline and extended: the codes are walked ---


@dataclass(frozen=True, kw_only=True)
class DctScan:
    """A sequential scan of one component: its Huffman tables, and where it begins."""

    blocks: int
    interval: int  # blocks between two restart markers, 0 for none (B.2.4.4)
    dc: np.ndarray  # int32 [2^16], by the next 16 bits: length << 8 | symbol; 0 where no code is
    ac: np.ndarray
    start: int


def surplus_bits(data: memoryview | bytes) -> int | None:
    """Return the bits left over in a baseline or extended scan; negative where they run out.

    None where the scan is of another kind, or Numba is not there: in plain Python, walking the
    codes takes seconds. 0 … 7 is right. The first call compiles the walk, in about a second.
    """
    scan = _read_dct_scan(bytes(data))
    if scan is None or find_spec("numba") is None:
        return None
    walk, left, surplus = _compiled_walk(), scan.blocks, 0
    for segment in _segments(np.frombuffer(data, np.uint8)[scan.start :]):
        blocks = min(left, scan.interval or left)
        padded = np.append(segment, np.zeros(PEEKED_BYTES, np.uint8))
        used = walk(padded, scan.dc, scan.ac, blocks)
        surplus, left = 8 * len(segment) - used if used >= 0 else -1, left - blocks
        if not 0 <= surplus <= PADDING:
            return surplus
    return -1 if left else surplus


def _read_dct_scan(data: bytes) -> DctScan | None:
    """Read the headers up to the scan (B.2); None where it is none of a sequential DCT."""
    tables: dict[int, np.ndarray] = {}
    frame = jpeg.read_frame_header(data)
    position, interval = 2, 0
    while frame is not None and position + 4 <= min(len(data), MAX_STREAM_HEADER_BYTES):
        if data[position : position + 2] == b"\xff\xff":  # a fill byte (B.1.1.2)
            position += 1
            continue
        mark, marker, length = struct.unpack(">BBH", data[position : position + 4])
        segment = data[position + 4 : position + 2 + length]
        position += 2 + length
        if mark != 0xFF or len(segment) != length - 2:
            return None
        if marker == lossless.DHT:
            tables |= _read_tables(segment)
        elif marker == DRI:
            interval = int.from_bytes(segment[:2], "big")
        elif marker == lossless.SOS:
            if segment[:1] != b"\1" or segment[3:] != b"\0\x3f\0":
                return None
            dc, ac = tables.get(segment[2] >> 4), tables.get(16 | segment[2] & 15)
            blocks = -(-frame.rows // 8) * -(-frame.columns // 8)
            if dc is None or ac is None:
                return None
            return DctScan(blocks=blocks, interval=interval, dc=dc, ac=ac, start=position)
    return None


def _read_tables(segment: bytes) -> dict[int, np.ndarray]:
    """Read DHT (B.2.4.2): by class << 4 | destination, what the next 16 bits mean (Annex C)."""
    tables = {}
    while len(segment) >= 17:
        counts, symbols = segment[1:17], iter(segment[17:])
        table, used = np.zeros(1 << 16, np.int32), 0
        for length, count in enumerate(counts, 1):
            for symbol in itertools.islice(symbols, count):
                step = 1 << (16 - length)
                table[used : used + step] = length << 8 | symbol
                used += step
        tables[segment[0]] = table
        segment = segment[17 + sum(counts) :]
    return tables


def _segments(stream: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the bytes between restart markers, up to another marker, without the stuffed ones."""
    marks = np.flatnonzero(stream[:-1] == 0xFF)
    following = stream[marks + 1]
    start = 0
    for at, marker in zip(marks[following != 0].tolist(), following[following != 0], strict=True):
        if marker == 0xFF:  # a fill byte
            continue
        end = at
        while end > start and stream[end - 1] == 0xFF:
            end -= 1
        yield _unstuffed(stream[start:end])
        start = at + 2
        if not 0xD0 <= marker <= 0xD7:
            return
    yield _unstuffed(stream[start:])


def _unstuffed(segment: np.ndarray) -> np.ndarray:
    kept = np.ones(len(segment), bool)
    kept[1:] = (segment[:-1] != 0xFF) | (segment[1:] != 0)
    return segment[kept]


@cache
def _compiled_walk() -> Callable[..., int]:
    import numba

    signature = (numba.uint8[::1], numba.int32[::1], numba.int32[::1], numba.int64)
    walk: Callable[..., int] = numba.njit(numba.int64(*signature), nogil=True)(_walk)
    return walk


def _walk(stream: Any, dc: Any, ac: Any, blocks: int) -> int:
    """Return the bits that so many blocks take (F.1.2); -1 where a code is none, or they run out.

    `stream` has PEEKED_BYTES more than the scan.
    """
    bits = 8 * (len(stream) - 4)
    position = 0
    for _ in range(blocks):
        coefficient = 0
        while coefficient < 64:
            if position > bits:
                return -1
            byte, shift = position >> 3, 8 - (position & 7)
            word = np.int64(stream[byte]) << 16 | np.int64(stream[byte + 1]) << 8
            window = ((word | np.int64(stream[byte + 2])) >> shift) & 0xFFFF
            entry = dc[window] if coefficient == 0 else ac[window]
            if entry == 0:
                return -1
            size, run = entry & 15, (entry >> 4) & 15
            position += (entry >> 8) + size
            if coefficient == 0:
                coefficient = 1
            elif size:
                coefficient += run + 1
                if coefficient > 64:
                    return -1
            elif run == 15:
                coefficient += 16
            else:  # the end of the block
                break
    return position if position <= bits else -1
