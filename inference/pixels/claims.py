"""What a frame's stream says of itself, held against the data set before a decoder believes it."""

from inference.pixels import decoders, jpeg, jpeg2000, limits
from inference.pixels.decoders import Layout
from inference.pixels.errors import ImageError
from inference.pixels.frame import Frame
from inference.pixels.header import Header
from inference.pixels.jpeg2000 import Codestream

JPEG_PROCESSES = {
    **dict.fromkeys(decoders.JPEG_BASELINE, (jpeg.BASELINE,)),
    **dict.fromkeys(decoders.JPEG_EXTENDED, (jpeg.BASELINE, jpeg.EXTENDED)),
    **dict.fromkeys(decoders.JPEG_LOSSLESS, (jpeg.LOSSLESS,)),
    **dict.fromkeys(decoders.JPEG_LS, (jpeg.JPEG_LS,)),
}


def read_layout(frame: Frame, header: Header) -> Layout:
    """Return what a JPEG, JPEG-LS or RLE frame decodes to. Raises ImageError."""
    if header.transfer_syntax not in JPEG_PROCESSES:  # RLE has no header of its own
        shape = header.rows, header.columns
        return _layout(header, shape, header.bits_allocated, header.signed)
    data = frame.whole()
    stream = jpeg.read_frame_header(data)
    if stream is None:
        raise contradiction(frame, "has no JPEG frame header")
    if stream.process not in JPEG_PROCESSES[header.transfer_syntax] or stream.components != 1:
        raise contradiction(frame, f"is JPEG process {stream.process:#x}, not the declared one")
    _check_shape(frame, header, (stream.rows, stream.columns), stream.precision)
    if not jpeg.is_complete(data):
        raise ImageError(
            "truncated",
            f"{frame.source.name}: the JPEG stream has no end; copy the file again.",
        )
    if stream.process == jpeg.JPEG_LS and not jpeg.is_plausible_scan(data):
        raise contradiction(frame, "holds zeros that no JPEG-LS code allows")
    return _layout(header, (stream.rows, stream.columns), stream.precision, False)


def read_codestream(frame: Frame, header: Header) -> Codestream:
    """Parse a JPEG 2000 main header. Raises ImageError, too where a decode would cost too much."""
    for length in (4096, limits.MAX_STREAM_HEADER_BYTES):
        stream = jpeg2000.read_main_header(frame.head(length))
        if stream is not None:
            break
    else:
        raise contradiction(frame, "has no JPEG 2000 main header")
    if stream.components != 1:
        raise contradiction(frame, f"has {stream.components} components")
    _check_shape(frame, header, stream.shape, stream.precision)
    _check_cost(frame, stream)
    return stream


def describe_wavelet(stream: Codestream, header: Header, reduction: int) -> Layout:
    """Return what a JPEG 2000 stream decodes to at 1/2^reduction."""
    return _layout(header, stream.reduced_shape(reduction), stream.precision, stream.signed)


def contradiction(frame: Frame, what: str) -> ImageError:
    """Return the error for a stream of which something is not as it should be."""
    return ImageError(
        "corrupt",
        f"{frame.source.name}: the pixel data's stream {what}. Copy or download the "
        "file again; if that does not help, leave the image out.",
    )


def _check_cost(frame: Frame, stream: Codestream) -> None:
    """Refuse a stream that would have a decoder keep far more records than its image needs."""
    precincts = sum(stream.precinct_counts())
    # Each packet takes a byte at least (B.9), so that more packets than bytes is a lie.
    if precincts * stream.layers > frame.size:
        raise contradiction(frame, "claims more packets than it has bytes")
    for what, count, most in (
        ("tiles", stream.tiles, limits.MAX_TILES),
        ("precincts", precincts, limits.MAX_PRECINCTS),
        ("code-blocks", stream.code_blocks(), limits.MAX_CODE_BLOCKS),
    ):
        if count > most:
            raise ImageError("too-large", f"{frame.source.name}: {count} {what}; {most} are read.")


def _check_shape(frame: Frame, header: Header, shape: tuple[int, int], precision: int) -> None:
    if shape != (header.rows, header.columns):
        declared = header.rows, header.columns
        raise contradiction(frame, f"is {shape} where Rows and Columns are {declared}")
    if precision > header.bits_allocated:
        allocated = header.bits_allocated
        raise contradiction(frame, f"has {precision} bits where {allocated} are allocated")


def _layout(header: Header, shape: tuple[int, int], precision: int, signed: bool) -> Layout:
    return Layout(
        rows=shape[0],
        columns=shape[1],
        bits_allocated=header.bits_allocated,
        precision=precision,
        signed=signed,
    )
