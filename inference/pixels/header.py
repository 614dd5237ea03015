"""The part of a DICOM file before its pixel data: what is needed to read and interpret them."""

import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, cast

from inference.pixels.errors import ImageError
from inference.pixels.limits import MAX_FILE_BYTES, MAX_META_BYTES, MAX_PIXELS, MAX_SIDE
from inference.pixels.source import Source

EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

VoiFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A VOI window (0028,1050) and (0028,1051), in rescaled values."""

    center: float
    width: float


@dataclass(frozen=True, kw_only=True)
class VoiLut:
    """One item of the VOI LUT Sequence (0028,3010): `values[0]` belongs to `first`."""

    first: int
    bits: int
    values: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the data elements say about the pixels, and where these begin."""

    transfer_syntax: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    slope: float
    intercept: float
    windows: tuple[Window, ...]
    voi_function: VoiFunction
    voi_lut: VoiLut | None
    laterality: str
    view: str
    little_endian: bool
    word_swapped: bool
    offset: int
    length: int | None  # None: undefined, the pixel data are encapsulated


TAGS = {
    "laterality": 0x00200060,
    "image_laterality": 0x00200062,
    "view": 0x00185101,
    "samples": 0x00280002,
    "photometric": 0x00280004,
    "frames": 0x00280008,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "pixel_representation": 0x00280103,
    "center": 0x00281050,
    "width": 0x00281051,
    "intercept": 0x00281052,
    "slope": 0x00281053,
    "voi_function": 0x00281056,
    "voi_lut": 0x00283010,
}
PIXEL_DATA = 0x7FE00010
OTHER_PIXELS = {0x7FE00008: "Float Pixel Data", 0x7FE00009: "Double Float Pixel Data"}


def read_header(source: Source) -> tuple[Header, Source]:
    """Read up to the pixel data; the source returned holds them (another one where deflated)."""
    syntax, start = _read_meta(source)
    if syntax == DEFLATED:
        source, start = _inflate(source, start), 0
    little = syntax != EXPLICIT_BIG_ENDIAN
    elements = _read_elements(source, start, syntax == IMPLICIT_LITTLE_ENDIAN, little)
    offset, length, representation = _find_pixels(source, little)
    header = _interpret(elements, syntax, little, offset, length, representation)
    _check(header, elements, source)
    return header, source


def _read_meta(source: Source) -> tuple[str, int]:
    """Return the transfer syntax (0002,0010) and where the file meta information ends."""
    if bytes(source.view(128, 132)) != b"DICM":
        raise ImageError(
            "not-dicom", f"{source.name} has no DICM prefix: it is no DICOM file, or damaged."
        )
    position, syntax = 132, ""
    while position < MAX_META_BYTES:
        head = bytes(source.view(position, position + 12))
        if len(head) < 8 or head[:2] != b"\x02\x00":
            break
        element = int.from_bytes(head[2:4], "little")
        long = head[4:6] in (b"OB", b"OW", b"UN", b"UT", b"SQ", b"OF")
        length = int.from_bytes(head[8:12] if long else head[6:8], "little")
        position += 12 if long else 8
        if element == 0x0010:
            value = bytes(source.view(position, position + min(length, 64)))
            syntax = value.rstrip(b"\0 ").decode("ascii", "replace")
        position += length
    if not syntax:
        raise ImageError("not-dicom", f"{source.name} names no transfer syntax (0002,0010).")
    return syntax, position


def _inflate(source: Source, start: int) -> Source:
    """Return the deflated data set (PS3.5 A.5) as a source of its own, its size bounded."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(source.view(start, source.size), MAX_FILE_BYTES)
    except zlib.error as error:
        raise ImageError("corrupt", f"{source.name} cannot be inflated: {error}.") from error
    if not inflater.eof:
        if len(data) >= MAX_FILE_BYTES:
            raise ImageError("too-large", f"{source.name} inflates beyond {MAX_FILE_BYTES} bytes.")
        raise ImageError("truncated", f"{source.name} ends inside its deflated data set.")
    file = BytesIO(data)
    file.name = source.name
    return Source(file)


def _read_elements(source: Source, start: int, implicit: bool, little: bool) -> Any:
    """Let pydicom walk the elements before the pixel data, keeping those in TAGS undecoded."""
    from pydicom.filereader import read_dataset

    source.seek(start)
    stop = cast("Callable[..., bool]", lambda tag, vr, length: tag >= 0x7FE00000)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd character sets and the like
            return read_dataset(
                source,  # type: ignore[arg-type]
                implicit,
                little,
                stop_when=stop,
                specific_tags=list(TAGS.values()),
            )
    except ImageError:
        raise
    except Exception as error:  # on damaged files pydicom raises almost anything
        raise ImageError(
            "corrupt", f"{source.name}: the header cannot be read ({error!r}); copy it again."
        ) from error


def _find_pixels(source: Source, little: bool) -> tuple[int, int | None, str]:
    """Return offset, length and value representation of the Pixel Data (7FE0,0010)."""
    position = source.tell()
    order = "<" if little else ">"
    while True:
        head = bytes(source.view(position, position + 12))
        if len(head) < 8:
            raise ImageError("no-pixels", f"{source.name} holds no Pixel Data (7FE0,0010).")
        group, element = struct.unpack(order + "HH", head[:4])
        tag, explicit = group << 16 | element, head[4:6].isalpha() and head[4:6].isupper()
        if tag in OTHER_PIXELS:
            raise ImageError("unsupported", f"{source.name} holds {OTHER_PIXELS[tag]}.")
        long = explicit and head[4:6] in (b"OB", b"OW", b"OV", b"UN", b"OF", b"OD")
        start = position + (12 if long else 8)
        if long or not explicit:
            raw = head[8:12] if long else head[4:8]
            length = struct.unpack(order + "I", raw)[0] if len(raw) == 4 else 0
        else:
            length = struct.unpack(order + "H", head[6:8])[0]
        if tag == PIXEL_DATA:
            vr = head[4:6].decode() if explicit else "OW"
            return start, None if length == 0xFFFFFFFF else length, vr
        if group != 0x7FE0 or length == 0xFFFFFFFF:
            raise ImageError("no-pixels", f"{source.name} holds no Pixel Data (7FE0,0010).")
        position = start + length


def _interpret(
    elements: Any, syntax: str, little: bool, offset: int, length: int | None, vr: str
) -> Header:
    """Turn the raw elements into a header; what is absent gets the Standard's default."""
    order = "<" if little else ">"
    allocated = _number(elements, "bits_allocated", order) or 16
    laterality = _text(elements, "image_laterality") or _text(elements, "laterality")
    function = _text(elements, "voi_function") or "LINEAR"
    known = function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
    return Header(
        transfer_syntax=syntax,
        rows=_number(elements, "rows", order) or 0,
        columns=_number(elements, "columns", order) or 0,
        bits_allocated=allocated,
        bits_stored=_number(elements, "bits_stored", order) or allocated,
        signed=_number(elements, "pixel_representation", order) == 1,
        photometric=_text(elements, "photometric") or "MONOCHROME2",
        slope=(_decimals(elements, "slope") or [1.0])[0] or 1.0,
        intercept=(_decimals(elements, "intercept") or [0.0])[0],
        windows=_windows(elements),
        voi_function=cast("VoiFunction", function) if known else "LINEAR",
        voi_lut=_voi_lut(elements, order),
        laterality=laterality[:1],
        view=_text(elements, "view"),
        little_endian=little,
        word_swapped=not little and allocated == 8 and vr == "OW",
        offset=offset,
        length=length,
    )


def _raw(elements: Any, name: str) -> bytes:
    """Return an element's value as the file holds it, empty where absent."""
    tag = TAGS[name]
    if tag not in elements:
        return b""
    try:
        value = elements.get_item(tag).value
    except (NotImplementedError, ValueError, TypeError, AttributeError, OSError):
        return b""  # an element whose value is not there makes pydicom convert it, and fail
    return value if isinstance(value, bytes) else b""


def _text(elements: Any, name: str) -> str:
    return _raw(elements, name).decode("ascii", "replace").strip("\0 ").upper()


def _number(elements: Any, name: str, order: str) -> int | None:
    raw = _raw(elements, name)
    return int(struct.unpack(order + "H", raw[:2])[0]) if len(raw) >= 2 else None


def _decimals(elements: Any, name: str) -> list[float]:
    """Return a decimal string's finite values; nothing where one cannot be read."""
    try:
        values = [float(part) for part in _text(elements, name).split("\\") if part.strip()]
    except ValueError:
        return []
    return values if all(abs(value) < 1e15 for value in values) else []


def _windows(elements: Any) -> tuple[Window, ...]:
    centers, widths = _decimals(elements, "center"), _decimals(elements, "width")
    pairs = zip(centers, widths, strict=False)
    return tuple(Window(center=center, width=width) for center, width in pairs if width > 0)


def _voi_lut(elements: Any, order: str) -> VoiLut | None:
    """Return the first item of the VOI LUT Sequence (PS3.3 C.11.2.1.1), None where unusable."""
    if TAGS["voi_lut"] not in elements:
        return None
    try:
        item = elements[TAGS["voi_lut"]].value[0]
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        data = item.LUTData
        values = (
            struct.unpack(f"{order}{len(data) // 2}H", data) if isinstance(data, bytes) else data
        )
        values = tuple(int(value) for value in values)[: count or 65536]
    except Exception:  # noqa: BLE001 - a damaged sequence raises almost anything in pydicom
        return None
    if not values or len(values) != (count or 65536) or not 8 <= bits <= 16:
        return None
    return VoiLut(first=first, bits=bits, values=values)


def _check(header: Header, elements: Any, source: Source) -> None:
    """Refuse what is not one monochrome image of a sane size."""
    name, rows, columns = source.name, header.rows, header.columns
    order = "<" if header.little_endian else ">"
    frames = _text(elements, "frames")
    if not rows or not columns:
        raise ImageError("corrupt", f"{name} has {rows} Rows and {columns} Columns.")
    if rows * columns > MAX_PIXELS or max(rows, columns) > MAX_SIDE:
        raise ImageError(
            "too-large", f"{name} claims {rows}×{columns} pixels; at most {MAX_PIXELS} are read."
        )
    if (_number(elements, "samples", order) or 1) != 1 or not header.photometric.startswith(
        "MONOCHROME"
    ):
        raise ImageError("unsupported", f"{name} is {header.photometric}; monochrome is read.")
    if frames not in ("", "1"):
        raise ImageError("unsupported", f"{name} holds {frames} frames; single images are read.")
    if header.bits_allocated not in (8, 16) or not 1 <= header.bits_stored <= header.bits_allocated:
        raise ImageError(
            "unsupported",
            f"{name} has {header.bits_stored} of {header.bits_allocated} bits; 8 and 16 are read.",
        )
