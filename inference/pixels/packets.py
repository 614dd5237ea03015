"""Where the packets of the lower resolutions end in a JPEG 2000 tile part.

A decoder that is given too little of a stream does not always notice: cut between two packets, it
takes the missing ones for empty and returns wrong pixels. So the packet headers are read here
(ISO/IEC 15444-1 B.10), which costs a few milliseconds and tells the exact byte.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product

from inference.pixels.jpeg2000 import LRCP, RLCP, Codestream, ceil_shift

SOP, EPH = b"\xff\x91", b"\xff\x92"
FIRST_LBLOCK = 3  # B.10.7.1
# No code-block's share of a packet header is longer in any sane stream.
BYTES_PER_BLOCK = 16


class Malformed(Exception):
    """The packets do not say what the standard lets them say."""


@dataclass
class TagTree:
    """A tag tree (B.10.2): for each leaf the nodes from the root, with bounds and what is known."""

    columns: int
    rows: int
    paths: list[tuple[int, ...]] = field(init=False)
    bounds: list[int] = field(init=False)
    known: list[bool] = field(init=False)

    def __post_init__(self) -> None:
        """Number the nodes level by level, the leaves first."""
        shapes = [(self.columns, self.rows)]
        while shapes[-1] != (1, 1):
            columns, rows = shapes[-1]
            shapes.append(((columns + 1) // 2, (rows + 1) // 2))
        offsets = [0]
        for columns, rows in shapes:
            offsets.append(offsets[-1] + columns * rows)
        levels = list(enumerate(shapes))[::-1]
        self.paths = [
            tuple(offsets[at] + (y >> at) * shape[0] + (x >> at) for at, shape in levels)
            for y, x in product(range(self.rows), range(self.columns))
        ]
        self.bounds = [0] * offsets[-1]
        self.known = [False] * offsets[-1]


@dataclass
class Band:
    """The code-blocks of one subband in one precinct, and what the packets so far hold of them."""

    columns: int
    rows: int
    inclusion: TagTree = field(init=False)
    zero_planes: TagTree = field(init=False)
    lblocks: list[int] = field(init=False)
    included: list[bool] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing known."""
        self.inclusion = TagTree(self.columns, self.rows)
        self.zero_planes = TagTree(self.columns, self.rows)
        self.lblocks = [FIRST_LBLOCK] * (self.columns * self.rows)
        self.included = [False] * (self.columns * self.rows)


class Bits:
    """The bits of a packet header as text, without those stuffed after 0xFF (B.10.1)."""

    def __init__(self, data: bytes) -> None:
        text = bin(int.from_bytes(b"\1" + data, "big"))[3:]
        self._stuffed: list[int] = []
        pieces, start, at = [], 0, data.find(b"\xff")
        while 0 <= at < len(data) - 1:
            self._stuffed.append(8 * (at + 1) - len(self._stuffed))
            pieces.append(text[start : 8 * (at + 1)])
            start = 8 * (at + 1) + 1
            at = data.find(b"\xff", at + 1)
        self.text = "".join([*pieces, text[start:]])
        self.position = 0
        self._data = data

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        start, self.position = self.position, self.position + count
        if self.position > len(self.text):
            raise Malformed
        return int(self.text[start : self.position], 2)

    def count_until(self, bit: str) -> int:
        """Return how many bits stand before the next such bit, and pass it."""
        try:
            index = self.text.index(bit, self.position)
        except ValueError:
            raise Malformed from None
        count, self.position = index - self.position, index + 1
        return count

    def bytes_used(self) -> int:
        """Return how many bytes the header takes: it ends on one, not on 0xFF (B.10.1)."""
        stuffed = sum(position < self.position for position in self._stuffed)
        used = -(-(self.position + stuffed) // 8)
        return used + (self._data[used - 1] == 0xFF)


def find_end(
    stream: Codestream, head: Callable[[int], memoryview | bytes], start: int, reduction: int
) -> int | None:
    """Return where the packets at 1/2^reduction end in a stream whose packets begin at `start`.

    `head(n)` returns the stream's first n bytes; it is called for no more than is needed. None
    where the packets make no sense.
    """
    position = start
    try:
        for bands, layer in _packets(stream, reduction):
            position = _skip_packet(stream, head, position, bands, layer)
    except Malformed:
        return None
    return position


def _packets(stream: Codestream, reduction: int) -> Iterator[tuple[list[Band], int]]:
    """Yield the bands and the layer of each packet, in the order of the progression (B.12)."""
    layers = range(stream.layers)
    for resolution in range(stream.levels - reduction + 1):
        precincts = list(_precincts(stream, resolution))
        if stream.progression in (LRCP, RLCP):
            order = ((bands, layer) for layer in layers for bands in precincts)
        else:
            order = ((bands, layer) for bands in precincts for layer in layers)
        yield from order


def _precincts(stream: Codestream, resolution: int) -> Iterator[list[Band]]:
    """Yield the bands of each precinct of a resolution, by rows (B.6, B.7)."""
    ppx, ppy = stream.precincts[resolution]
    shift = stream.levels - resolution
    x0, x1 = (ceil_shift(edge, shift) for edge in (stream.xosiz, stream.xsiz))
    y0, y1 = (ceil_shift(edge, shift) for edge in (stream.yosiz, stream.ysiz))
    if x0 == x1 or y0 == y1:
        return
    across = range(x0 >> ppx, ceil_shift(x1, ppx))
    down = range(y0 >> ppy, ceil_shift(y1, ppy))
    # At the lowest resolution there is LL; above it HL, LH and HH, each half as fine (B-15).
    half = int(resolution > 0)
    if min(ppx, ppy) < half:
        raise Malformed
    for y, x in product(down, across):
        bands = []
        for xob, yob in ((1, 0), (0, 1), (1, 1)) if half else ((0, 0),):
            columns = _blocks(
                stream.xosiz, stream.xsiz, xob, shift + half, x, ppx - half, stream.xcb
            )
            rows = _blocks(stream.yosiz, stream.ysiz, yob, shift + half, y, ppy - half, stream.ycb)
            if columns and rows:
                bands.append(Band(columns, rows))
        yield bands


def _blocks(low: int, high: int, odd: int, shift: int, cell: int, exponent: int, block: int) -> int:
    """Return how many code-blocks lie along one side of a subband, in one precinct (B.7)."""
    offset = odd << (shift - 1) if odd else 0
    first = max(ceil_shift(low - offset, shift), cell << exponent)
    last = min(ceil_shift(high - offset, shift), (cell + 1) << exponent)
    size = min(block, exponent)
    return ceil_shift(last, size) - (first >> size) if last > first else 0


def _skip_packet(
    stream: Codestream,
    head: Callable[[int], memoryview | bytes],
    position: int,
    bands: list[Band],
    layer: int,
) -> int:
    """Return where the packet that begins at `position` ends."""
    blocks = sum(band.columns * band.rows for band in bands)
    data = bytes(head(position + 64 + BYTES_PER_BLOCK * blocks)[position:])
    if stream.uses_sop and data[:2] == SOP:
        data, position = data[6:], position + 6
    if not data:
        raise Malformed
    bits = Bits(data)
    body = sum(_read_band(bits, band, layer) for band in bands) if bits.take(1) else 0
    used = bits.bytes_used()
    if stream.uses_eph and data[used : used + 2] == EPH:
        used += 2
    end = position + used + body
    if len(head(end)) < end:
        raise Malformed
    return end


def _read_band(bits: Bits, band: Band, layer: int) -> int:
    """Return how many bytes the packet holds of a band's code-blocks."""
    total = 0
    for block in range(band.columns * band.rows):
        if band.included[block]:
            if not bits.take(1):
                continue
        elif _is_included(bits, band.inclusion, block, layer):
            band.included[block] = True
            _skip_value(bits, band.zero_planes, block)
        else:
            continue
        passes = _read_passes(bits)
        band.lblocks[block] += bits.count_until("0")
        total += bits.take(band.lblocks[block] + passes.bit_length() - 1)
    return total


def _is_included(bits: Bits, tree: TagTree, leaf: int, layer: int) -> bool:
    """Say whether a code-block's first layer is this one (B.10.4)."""
    low = 0
    for node in tree.paths[leaf]:
        low = tree.bounds[node] = max(low, tree.bounds[node])
        while low <= layer and not tree.known[node]:
            if bits.take(1):
                tree.known[node] = True
            else:
                low += 1
        tree.bounds[node] = low
    return low <= layer


def _skip_value(bits: Bits, tree: TagTree, leaf: int) -> None:
    """Pass the number of missing bit planes (B.10.5)."""
    low = 0
    for node in tree.paths[leaf]:
        if not tree.known[node]:
            tree.bounds[node] = max(low, tree.bounds[node]) + bits.count_until("1")
            tree.known[node] = True
        low = tree.bounds[node]


def _read_passes(bits: Bits) -> int:
    """Return the number of coding passes (Table B.4)."""
    if not bits.take(1):
        return 1
    if not bits.take(1):
        return 2
    for width, base in ((2, 3), (5, 6)):
        value = bits.take(width)
        if value < (1 << width) - 1:
            return base + value
    return 37 + bits.take(7)
