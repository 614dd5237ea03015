"""A JPEG 2000 codestream of the image at 1/2^r, made of the head of the full-sized one.

The packets of the lower resolutions stand first in most progressions. A decoder that is told by
the main header that the image is smaller, and has fewer decompositions, reads exactly these
packets and yields exactly what a reduced decode of the whole stream yields. What is touched, in
ISO/IEC 15444-1:

- A.5.1  SIZ: the eight sizes and offsets, divided by 2^r and rounded up (B-15: the resolution
  level r below the full one has these bounds).
- A.6.1  COD: r decomposition levels fewer, and the precinct sizes of the dropped ones.
- A.6.4  QCD: the step sizes of the first 3 (L - r) + 1 subbands.
- A.7    TLM, PLM, PLT: dropped, they are hints and no longer true.
- A.4.2  SOT: Psot of each tile part, to what is there.

Whatever does not put all packets of the low resolutions first is declined (`make_view` returns
None), never guessed at.
"""

import struct
from dataclasses import dataclass

from inference.pixels import jpeg2000
from inference.pixels.jpeg2000 import Codestream, ceil_shift

# Changed coding from tile to tile or on the way, packet headers elsewhere: nothing seen in
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
END_OF_CODESTREAM = struct.pack(">H", jpeg2000.EOC)


@dataclass(frozen=True, kw_only=True)
class TilePart:
    """One tile part: its tile, its place among the tile's parts, and where its packets lie."""

    tile: int
    index: int
    start: int
    stop: int


def allows_view(stream: Codestream, reduction: int) -> bool:
    """Say whether the packets of the lower resolutions come first (B.12)."""
    if not 0 < reduction <= stream.levels or stream.components != 1 or stream.subsampled:
        return False
    if any(segment.marker in DECLINED_MARKERS for segment in stream.segments):
        return False
    if not _quantization_fits(stream):
        return False
    if stream.tiles > 1 and not _grid_divides(stream, reduction):
        return False
    if stream.progression == jpeg2000.LRCP:
        return stream.layers == 1
    if stream.progression in (jpeg2000.RLCP, jpeg2000.RPCL):
        return True
    return (
        stream.progression in (jpeg2000.PCRL, jpeg2000.CPRL) and max(stream.precinct_counts()) <= 1
    )


def make_view(stream: Codestream, data: memoryview | bytes, reduction: int) -> bytes | None:
    """Return the smaller codestream made of the head `data`, None where it is declined."""
    if not allows_view(stream, reduction):
        return None
    parts = _read_tile_parts(stream, data)
    if not parts:
        return None
    out = [struct.pack(">H", jpeg2000.SOC), *_rewrite_main_header(stream, reduction)]
    for part in parts:
        packets = bytes(data[part.start : part.stop])
        length = 14 + len(packets)
        # TNsot 0: the number of tile parts is not told (A.4.2).
        out.append(struct.pack(">HHHIBB", jpeg2000.SOT, 10, part.tile, length, part.index, 0))
        out += [struct.pack(">H", jpeg2000.SOD), packets]
    return b"".join([*out, END_OF_CODESTREAM])


def _quantization_fits(stream: Codestream) -> bool:
    """Say whether QCD lists a step for each subband (A.6.4); style 1 derives them."""
    for segment in stream.segments:
        if segment.marker == jpeg2000.QCD:
            width = {0: 1, 2: 2}.get(segment.data[0] & 0x1F if segment.data else 1, 0)
            return bool(width) and len(segment.data) >= 1 + width * (3 * stream.levels + 1)
    return False


def _grid_divides(stream: Codestream, reduction: int) -> bool:
    """Say whether the tile grid falls on whole samples of the reduced image (B-6)."""
    grid = (stream.xtsiz, stream.ytsiz, stream.xtosiz, stream.ytosiz)
    return all(value % (1 << reduction) == 0 for value in grid)


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


def _read_tile_parts(stream: Codestream, data: memoryview | bytes) -> list[TilePart]:
    """Return the tile parts in the head, the last one cut where the head ends; [] declines."""
    parts: list[TilePart] = []
    position = stream.end
    while position + 12 <= len(data):
        marker, length, tile, size, index, _ = struct.unpack(
            ">HHHIBB", data[position : position + 12]
        )
        if marker == jpeg2000.EOC:
            break
        if marker != jpeg2000.SOT or length != 10 or tile >= stream.tiles:
            return []
        stop = min(position + size, len(data)) if size else _end_of_last(data)
        start = _skip_tile_header(data, position + 12, stop)
        if start is None and stop < len(data):
            return []
        if start is not None:
            parts.append(TilePart(tile=tile, index=index, start=start, stop=stop))
        position = max(stop, position + 12)
    return parts


def _end_of_last(data: memoryview | bytes) -> int:
    """Return where a tile part with Psot 0 ends: at EOC, or where the head does."""
    return len(data) - 2 if bytes(data[-2:]) == END_OF_CODESTREAM else len(data)


def _skip_tile_header(data: memoryview | bytes, position: int, stop: int) -> int | None:
    """Return where the packets begin; None where the header is cut, or changes the coding."""
    while position + 2 <= stop:
        marker = int.from_bytes(data[position : position + 2], "big")
        if marker == jpeg2000.SOD:
            return position + 2
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker not in DROPPED_MARKERS | {jpeg2000.COM} or length < 2:
            return None
        position += 2 + length
    return None
