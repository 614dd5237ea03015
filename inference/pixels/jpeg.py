"""What a JPEG or JPEG-LS stream says of itself, read before any decoder is let near it."""

from dataclasses import dataclass

from inference.pixels.limits import MAX_STREAM_HEADER_BYTES

SOF_MARKERS = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7)
BASELINE, EXTENDED, LOSSLESS, JPEG_LS = 0xC0, 0xC1, 0xC3, 0xF7


@dataclass(frozen=True, kw_only=True)
class FrameHeader:
    """A frame header SOFn (ISO/IEC 10918-1 B.2.2; SOF55 in ISO/IEC 14495-1 C.2.2)."""

    process: int
    precision: int
    rows: int
    columns: int
    components: int


MOST_FILL = 64  # fill bytes before a marker; encoders write one at most

# Longest of the runs of zero bits in a JPEG-LS scan: a code word's unary part is limited to 64
# bits and its remainder to 16 (ISO/IEC 14495-1 A.5.3). CharLS takes a minute to refuse others.
IMPOSSIBLE_ZEROS = bytes(16)


def is_complete(data: memoryview | bytes) -> bool:
    """Say whether EOI ends the stream, padded or not; libjpeg silently makes up what is cut."""
    return b"\xff\xd9" in bytes(data[-16:])


def is_end(data: memoryview | bytes, position: int) -> bool:
    """Say whether EOI stands at `position`; fill bytes FF may precede any marker (B.1.1.2).

    DCMTK writes one where that makes the stream's length even.
    """
    rest = bytes(data[position : position + MOST_FILL])
    return rest[:1] == b"\xff" and rest.lstrip(b"\xff")[:1] == b"\xd9"


def is_plausible_scan(data: memoryview | bytes) -> bool:
    """Say whether a JPEG-LS scan holds no run of zeros that no code allows."""
    stream = bytes(data).rstrip(b"\0")
    scan = stream.find(b"\xff\xda")
    return scan >= 0 and stream.find(IMPOSSIBLE_ZEROS, scan) < 0


def read_frame_header(data: memoryview | bytes) -> FrameHeader | None:
    """Walk the marker segments up to the frame header; None where there is none."""
    if bytes(data[:2]) != b"\xff\xd8":
        return None
    position, end = 2, min(len(data), MAX_STREAM_HEADER_BYTES)
    while position + 4 <= end and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in SOF_MARKERS:
            segment = bytes(data[position + 4 : position + 2 + length])
            if len(segment) < 6:
                return None
            return FrameHeader(
                process=marker,
                precision=segment[0],
                rows=int.from_bytes(segment[1:3], "big"),
                columns=int.from_bytes(segment[3:5], "big"),
                components=segment[5],
            )
        position += 2 + length
    return None
