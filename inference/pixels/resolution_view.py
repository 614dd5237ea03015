"""A JPEG 2000 codestream of the image at 1/2^r, made of the head of the full-sized one.

The packets of the lower resolutions stand first in most progressions. A decoder that is told by
the main header that the image is smaller, and has fewer decompositions, reads exactly these
packets and yields exactly what a reduced decode of the whole stream yields. What is touched, in
ISO/IEC 15444-1:

- A.5.1  SIZ: the eight sizes and offsets, divided by 2^r and rounded up (B-14 with r levels
  fewer: the bounds of that resolution).
- A.6.1  COD: r decomposition levels fewer, without the precinct sizes of the dropped ones.
- A.6.4  QCD: the step sizes of the first 3 (L - r) + 1 subbands.
- A.7    TLM, PLM, PLT: dropped, they are hints and no longer true.
- A.4.2  SOT: Psot of each tile part, to what is there.

With one tile in one tile part, the last packet needed is found (`inference.pixels.packets`) and
nothing behind it is read. With more of them, all tile parts are kept whole: the decode is as
fast, but all bytes are read. Whatever does not put all packets of the low resolutions first is
declined (None), never guessed at.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from inference.pixels import jpeg2000, packets
from inference.pixels.jpeg2000 import Codestream, ceil_shift
from inference.pixels.limits import MAX_CODE_BLOCKS_WALKED, MAX_PACKETS_WALKED

# Coding that changes from tile to tile or on the way, packet headers elsewhere: nothing seen in
# mammography, and nothing to be wrong about.
DECLINED_MARKERS = {
    jpeg2000.COC,
    jpeg2000.QCC,
    jpeg2000.RGN,
    jpeg2000.POC,
    jpeg2000.PPM,
    jpeg2000.PPT,
}
DROPPED_MARKERS = {jpeg2000.TLM, jpeg2000.PLM, jpeg2000.PLT}
# Code-blocks in several segments (Table A.19: bypass, termination on each pass, high throughput)
# announce several lengths, which `packets` does not read.
SEGMENTED_BLOCKS = 0x01 | 0x04 | 0x40
TILE_PART_HEADER = 12
END_OF_CODESTREAM = struct.pack(">H", jpeg2000.EOC)


@dataclass(frozen=True, kw_only=True)
class TilePart:
    """One tile part: its tile, its place among the tile's parts, and where its packets lie."""

    tile: int
    index: int
    start: int
    stop: int


def make_view(
    stream: Codestream, head: Callable[[int], memoryview | bytes], size: int, reduction: int
) -> bytes | None:
    """Return the image's codestream at 1/2^reduction, or None where it is declined.

    `head(n)` returns the first n of the stream's `size` bytes, and is called for no more than
    needed.
    """
    if not allows_view(stream, reduction):
        return None
    first = _read_tile_part(stream, head, stream.end, size)
    if first is None:
        return None
    if stream.tiles == 1 and size - first.stop < TILE_PART_HEADER:  # no room for another
        if stream.block_style & SEGMENTED_BLOCKS or _walks_far(stream, reduction):
            return None
        end = packets.find_end(stream, head, first.start, reduction)
        if end is None or end > first.stop:
            return None
        parts = [TilePart(tile=0, index=0, start=first.start, stop=end)]
    else:
        parts = _read_tile_parts(stream, head, size)
    return _assemble(stream, head, parts, reduction) if parts else None


def allows_view(stream: Codestream, reduction: int) -> bool:
    """Say whether the packets of the lower resolutions come first (B.12)."""
    if not 0 < reduction <= stream.levels or stream.components != 1 or stream.subsampled:
        return False
    if min(stream.reduced_shape(reduction)) < 1:
        return False
    if any(segment.marker in DECLINED_MARKERS for segment in stream.segments):
        return False
    if not _quantization_fits(stream) or not _grid_divides(stream, reduction):
        return False
    if stream.progression == jpeg2000.LRCP:
        return stream.layers == 1
    if stream.progression in (jpeg2000.RLCP, jpeg2000.RPCL):
        return True
    one_precinct = max(stream.precinct_counts()) <= 1
    return stream.progression in (jpeg2000.PCRL, jpeg2000.CPRL) and one_precinct


def _walks_far(stream: Codestream, reduction: int) -> bool:
    """Say whether finding the last packet would take longer than it saves."""
    packet_count = sum(stream.precinct_counts()[: stream.levels + 1 - reduction]) * stream.layers
    blocks = stream.code_blocks(reduction) * stream.layers
    return packet_count > MAX_PACKETS_WALKED or blocks > MAX_CODE_BLOCKS_WALKED


def _quantization_fits(stream: Codestream) -> bool:
    """Say whether QCD lists a step for each subband (A.6.4); style 1 derives them from LL's."""
    for segment in stream.segments:
        if segment.marker == jpeg2000.QCD:
            width = {0: 1, 2: 2}.get(segment.data[0] & 0x1F if segment.data else 1, 0)
            return bool(width) and len(segment.data) >= 1 + width * (3 * stream.levels + 1)
    return False


def _grid_divides(stream: Codestream, reduction: int) -> bool:
    """Say whether the tile grid falls on whole samples of the reduced image (B-6)."""
    grid = (stream.xtsiz, stream.ytsiz, stream.xtosiz, stream.ytosiz)
    return stream.tiles == 1 or all(value % (1 << reduction) == 0 for value in grid)


def _read_tile_parts(
    stream: Codestream, head: Callable[[int], memoryview | bytes], size: int
) -> list[TilePart]:
    """Return all tile parts, none where one of them is cut or changes the coding."""
    parts: list[TilePart] = []
    position = stream.end
    while bytes(head(position + 2)[position:]) not in (END_OF_CODESTREAM, b""):
        part = _read_tile_part(stream, head, position, size)
        if part is None:
            return []
        parts.append(part)
        position = part.stop
    return parts


def _read_tile_part(
    stream: Codestream, head: Callable[[int], memoryview | bytes], position: int, size: int
) -> TilePart | None:
    """Read SOT (A.4.2) and the tile part's header up to SOD; None declines."""
    sot = bytes(head(position + TILE_PART_HEADER)[position:])
    if len(sot) < TILE_PART_HEADER:
        return None
    marker, length, tile, extent, index, _ = struct.unpack(">HHHIBB", sot)
    # Psot 0: up to the end of the codestream.
    stop = position + extent if extent else size - len(END_OF_CODESTREAM)
    if marker != jpeg2000.SOT or length != 10 or tile >= stream.tiles or stop > size:
        return None
    start = position + TILE_PART_HEADER
    while True:
        segment = bytes(head(start + 4)[start:])
        if len(segment) < 4 or start + 2 > stop:
            return None
        marker, length = struct.unpack(">HH", segment)
        if marker == jpeg2000.SOD:
            return TilePart(tile=tile, index=index, start=start + 2, stop=stop)
        if marker not in DROPPED_MARKERS | {jpeg2000.COM}:
            return None
        start += 2 + max(length, 2)


def _assemble(
    stream: Codestream,
    head: Callable[[int], memoryview | bytes],
    parts: list[TilePart],
    reduction: int,
) -> bytes:
    """Join the smaller main header and the tile parts."""
    data = head(parts[-1].stop)
    out = [struct.pack(">H", jpeg2000.SOC), *_rewrite_main_header(stream, reduction)]
    for part in parts:
        length = TILE_PART_HEADER + 2 + part.stop - part.start
        # TNsot 0: the number of tile parts is not given (A.4.2 allows it).
        out.append(struct.pack(">HHHIBB", jpeg2000.SOT, 10, part.tile, length, part.index, 0))
        out += [struct.pack(">H", jpeg2000.SOD), bytes(data[part.start : part.stop])]
    return b"".join([*out, END_OF_CODESTREAM])


def _rewrite_main_header(stream: Codestream, reduction: int) -> list[bytes]:
    levels = stream.levels - reduction
    out = []
    for segment in stream.segments:
        data = segment.data
        if segment.marker in DROPPED_MARKERS:
            continue
        if segment.marker == jpeg2000.SIZ:
            sizes = (ceil_shift(value, reduction) for value in struct.unpack(">8I", data[2:34]))
            data = data[:2] + struct.pack(">8I", *sizes) + data[34:]
        elif segment.marker == jpeg2000.COD:
            precincts = data[10 : 11 + levels] if data[0] & 1 else b""
            data = data[:5] + bytes([levels]) + data[6:10] + precincts
        elif segment.marker == jpeg2000.QCD:
            width = 2 if data[0] & 0x1F else 1
            data = data[: 1 + width * (3 * levels + 1)]
        out.append(struct.pack(">HH", segment.marker, 2 + len(data)) + data)
    return out
