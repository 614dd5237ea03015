"""The main header of a JPEG 2000 codestream (ISO/IEC 15444-1, Annex A)."""

import struct
from dataclasses import dataclass

SOC, SIZ, COD, COC, QCD, QCC = 0xFF4F, 0xFF51, 0xFF52, 0xFF53, 0xFF5C, 0xFF5D
RGN, POC, TLM, PLM, PLT, PPM, PPT = 0xFF5E, 0xFF5F, 0xFF55, 0xFF57, 0xFF58, 0xFF60, 0xFF61
SOT, SOD, EOC, COM, CRG, CAP = 0xFF90, 0xFF93, 0xFFD9, 0xFF64, 0xFF63, 0xFF50
LRCP, RLCP, RPCL, PCRL, CPRL = range(5)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A marker segment: its marker, and its bytes without marker and length."""

    marker: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Codestream:
    """The main header, parsed; `start` is where SOC lies, `end` where the first SOT does."""

    start: int
    end: int
    segments: tuple[Segment, ...]
    xsiz: int
    ysiz: int
    xosiz: int
    yosiz: int
    xtsiz: int
    ytsiz: int
    xtosiz: int
    ytosiz: int
    precision: int
    signed: bool
    components: int
    subsampled: bool
    progression: int
    layers: int
    levels: int
    precincts: tuple[tuple[int, int], ...]  # exponents (PPx, PPy), lowest resolution first
    xcb: int  # exponents of the code-blocks' nominal size
    ycb: int
    block_style: int
    transformation: int  # 1: reversible (Table A.20)
    uses_sop: bool
    uses_eph: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Return rows and columns of the image area (B-1)."""
        return self.ysiz - self.yosiz, self.xsiz - self.xosiz

    def reduced_shape(self, reduction: int) -> tuple[int, int]:
        """Return rows and columns of the image at 1/2^reduction (B-15)."""
        x0, x1, y0, y1 = (
            ceil_shift(edge, reduction) for edge in (self.xosiz, self.xsiz, self.yosiz, self.ysiz)
        )
        return y1 - y0, x1 - x0

    @property
    def tiles(self) -> int:
        """Return how many tiles there are (B-5)."""
        across = -(-(self.xsiz - self.xtosiz) // self.xtsiz)
        return across * -(-(self.ysiz - self.ytosiz) // self.ytsiz)

    def code_blocks(self, reduction: int = 0) -> int:
        """Return about how many code-blocks there are up to 1/2^reduction (B.7)."""
        rows, columns = self.reduced_shape(reduction)
        ppx, ppy = (max(sizes) for sizes in zip(*self.precincts, strict=True))
        width, height = 1 << min(self.xcb, ppx), 1 << min(self.ycb, ppy)
        return int(-(-rows // height) * -(-columns // width))

    def precinct_counts(self) -> list[int]:
        """Return the number of precincts at each resolution of the image, lowest first (B-16).

        Counted as if the image were one tile; tiles only cut precincts further.
        """
        counts = []
        for resolution, (ppx, ppy) in enumerate(self.precincts):
            shift = self.levels - resolution
            across = _span(self.xosiz, self.xsiz, shift, ppx)
            counts.append(across * _span(self.yosiz, self.ysiz, shift, ppy))
        return counts


def ceil_shift(value: int, shift: int) -> int:
    """Return `value` / 2^`shift`, rounded up."""
    return -(-value >> shift)


def _span(low: int, high: int, shift: int, exponent: int) -> int:
    """Return how many cells of 2^`exponent` cover an interval reduced by 2^`shift`."""
    low, high = ceil_shift(low, shift), ceil_shift(high, shift)
    return ceil_shift(high, exponent) - (low >> exponent) if high > low else 0


def read_main_header(data: memoryview | bytes) -> Codestream | None:
    """Parse up to the first SOT; None where that is not in `data` or makes no sense."""
    start = _find_codestream(data)
    if start is None:
        return None
    segments, position = [], start + 2
    while True:
        if position + 4 > len(data):
            return None
        marker, length = struct.unpack(">HH", data[position : position + 4])
        if marker == SOT:
            break
        if marker < 0xFF00 or length < 2:
            return None
        segments.append(
            Segment(marker=marker, data=bytes(data[position + 4 : position + 2 + length]))
        )
        position += 2 + length
    return _interpret(tuple(segments), start, position)


def _find_codestream(data: memoryview | bytes) -> int | None:
    """Return where SOC lies: at once, or in the jp2c box of a JP2 file (Annex I)."""
    position = 0
    while bytes(data[position : position + 2]) != b"\xff\x4f":
        if len(data) < position + 8:
            return None
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind == b"jp2c":
            position += 16 if length == 1 else 8
            return position if bytes(data[position : position + 2]) == b"\xff\x4f" else None
        if length < 8 or (position == 0 and kind != b"jP  "):
            return None
        position += length
    return position


def _interpret(segments: tuple[Segment, ...], start: int, end: int) -> Codestream | None:
    """Read SIZ (A.5.1) and COD (A.6.1)."""
    found = {segment.marker: segment.data for segment in reversed(segments)}
    siz, cod = found.get(SIZ, b""), found.get(COD, b"")
    if len(siz) < 39 or len(cod) < 10 or segments[0].marker != SIZ:
        return None
    sizes = struct.unpack(">8I", siz[2:34])
    xsiz, ysiz, xosiz, yosiz, xtsiz, ytsiz, xtosiz, ytosiz = sizes
    sane = xosiz < xsiz and yosiz < ysiz and xtosiz <= xosiz and ytosiz <= yosiz
    if not sane or not xtsiz or not ytsiz or max(sizes) >= 1 << 31:
        return None
    style, progression, layers, _, levels = struct.unpack(">BBHBB", cod[:6])
    listed = cod[10 : 11 + levels] if style & 1 else b"\xff" * (levels + 1)
    if levels > 32 or len(listed) != levels + 1:
        return None
    return Codestream(
        start=start,
        end=end,
        segments=segments,
        xsiz=xsiz,
        ysiz=ysiz,
        xosiz=xosiz,
        yosiz=yosiz,
        xtsiz=xtsiz,
        ytsiz=ytsiz,
        xtosiz=xtosiz,
        ytosiz=ytosiz,
        precision=(siz[36] & 0x7F) + 1,
        signed=bool(siz[36] & 0x80),
        components=struct.unpack(">H", siz[34:36])[0],
        subsampled=siz[37:39] != b"\x01\x01",
        progression=progression,
        layers=layers,
        levels=levels,
        precincts=tuple((value & 15, value >> 4) for value in listed),
        xcb=(cod[6] & 15) + 2,
        ycb=(cod[7] & 15) + 2,
        block_style=cod[8],
        transformation=cod[9],
        uses_sop=bool(style & 2),
        uses_eph=bool(style & 4),
    )
