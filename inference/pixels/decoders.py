"""Which decoder for which transfer syntax: one row each, the fastest first.

The first row that is installed decodes, and no other after it: where it refuses a stream, a laxer
one would guess. A row may decline what is not for it; then the next one decides. GDCM and libjpeg
are not among them: slower, and the latter GPL. A decoder takes the bytes of one frame, whose own
header was held against the data set (`inference.pixels.stored`), and returns rows × columns as the
stream holds them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from inference.pixels import gpu, lossless, minimal
from inference.pixels.errors import DeclinedError, ImageError
from inference.pixels.gpu import count_gpus
from inference.pixels.proven import Proven

UNCOMPRESSED = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
    }
)
RLE = frozenset({"1.2.840.10008.1.2.5"})
JPEG_BASELINE = frozenset({"1.2.840.10008.1.2.4.50"})
JPEG_EXTENDED = frozenset({"1.2.840.10008.1.2.4.51"})
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LOSSLESS = frozenset({"1.2.840.10008.1.2.4.57", JPEG_LOSSLESS_SV1})
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = frozenset({JPEG_2000_LOSSLESS, "1.2.840.10008.1.2.4.91"})
HTJ2K = frozenset({"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"})
WAVELET = JPEG_2000 | HTJ2K
# Of these a stream is lossless: its reduced image is the low-pass band of the very picture.
REVERSIBLE = frozenset(
    {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202"}
)
SUPPORTED = UNCOMPRESSED | RLE | JPEG_BASELINE | JPEG_EXTENDED | JPEG_LOSSLESS | JPEG_LS | WAVELET

Bytes = memoryview | bytes


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a decoder cannot read in the stream: the shape and type of the result."""

    rows: int
    columns: int
    bits_allocated: int
    precision: int
    signed: bool

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Return the type that holds one sample of the stream."""
        return np.dtype(f"{'i' if self.signed else 'u'}{1 if self.precision <= 8 else 2}")


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """One way to decode some transfer syntaxes, and what it needs: a distribution, its modules.

    `decode` of a row that `declines` may raise DeclinedError.
    """

    name: str
    distribution: str
    modules: tuple[str, ...]
    syntaxes: frozenset[str]
    decode: Callable[[Bytes, Layout], np.ndarray]
    why: str
    codec: str = ""  # the flag in the first module that says whether the codec was built in
    declines: bool = False
    gpu: bool = False
    reduce: Callable[[Bytes, Layout, int], np.ndarray] | None = None

    def is_available(self) -> bool:
        """Say whether the distribution is installed, with the codec in it, and a GPU there."""
        return _is_available(self.modules, self.codec) and (not self.gpu or count_gpus() > 0)


@cache
def _is_available(modules: tuple[str, ...], codec: str) -> bool:
    try:
        if any(find_spec(module) is None for module in modules):
            return False
    except ModuleNotFoundError:  # the package that would hold the module
        return False
    return not codec or bool(getattr(import_module(modules[0]), codec).available)


def find_decoders(syntax: str) -> list[Decoder]:
    """Return the available decoders of a transfer syntax, the fastest first."""
    return [row for row in DECODERS if syntax in row.syntaxes and row.is_available()]


def explain_missing(syntax: str) -> ImageError:
    """Return the error for a transfer syntax that nothing installed decodes."""
    rows = [row for row in DECODERS if syntax in row.syntaxes and not row.declines]
    if not rows:
        return ImageError("unsupported", f"The transfer syntax {syntax!r} is not supported.")
    wanted = " or ".join(dict.fromkeys(row.distribution for row in rows))
    return ImageError("no-decoder", f"The transfer syntax {syntax} needs {wanted}: install it.")


# The rows' functions import what they need: a missing package only costs its rows.


def _decode_rle(data: Bytes, layout: Layout) -> np.ndarray:
    import imagecodecs

    dtype = f"<u{layout.bits_allocated // 8}"
    count = layout.rows * layout.columns * layout.bits_allocated // 8
    # GDCM makes an odd number of pixels even first, and encodes the byte that it added.
    out = np.empty(count + count % 2, np.uint8)
    decoded = imagecodecs.dicomrle_decode(data, dtype, out=out)  # type: ignore[arg-type]
    return np.asarray(decoded)[:count].view(dtype).reshape(layout.rows, layout.columns)


def _decode_jpeg8(data: Bytes, layout: Layout) -> np.ndarray:
    import imagecodecs

    return np.asarray(imagecodecs.jpeg8_decode(data))  # type: ignore[arg-type]


def decode_by_numba(data: Bytes, layout: Layout) -> np.ndarray:
    return lossless.decode(data)


def _decode_on_gpu(data: Bytes, layout: Layout) -> np.ndarray:
    return gpu.decode(data)


def _decode_jpegls(data: Bytes, layout: Layout) -> np.ndarray:
    import imagecodecs

    return np.asarray(imagecodecs.jpegls_decode(data))  # type: ignore[arg-type]


def _decode_jpeg2k(data: Bytes, layout: Layout) -> np.ndarray:
    import imagecodecs

    return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=1))  # type: ignore[arg-type]


def _decode_openjpeg(data: Bytes, layout: Layout) -> np.ndarray:
    import openjpeg

    pixels = openjpeg.decode_pixel_data(bytes(data), version=2)  # type: ignore[attr-defined, unused-ignore]
    return np.frombuffer(pixels, layout.dtype).reshape(layout.rows, layout.columns)


def _decode_dicomsdl(data: Bytes, layout: Layout, syntax: str) -> np.ndarray:
    import dicomsdl

    file = minimal.wrap(data, syntax, layout.rows, layout.columns, layout.precision)
    out = np.empty((layout.rows, layout.columns), layout.dtype)
    dicomsdl.open_memory(file, False).copyFrameData(0, out)
    return out


def _decode_wavelet_dicomsdl(data: Bytes, layout: Layout) -> np.ndarray:
    """Decode unsigned JPEG 2000; DeclinedError for whatever dicomsdl does not take."""
    if layout.signed or not 8 <= layout.precision <= 16:
        raise DeclinedError("signed, or of another depth")
    try:
        return _decode_dicomsdl(data, layout, JPEG_2000_LOSSLESS)
    except Exception as error:  # its exceptions have no common base
        raise DeclinedError(str(error)) from error


def _decode_pillow(data: Bytes, layout: Layout) -> np.ndarray:
    return _reduce_pillow(data, layout, 0)


def _reduce_pillow(data: Bytes, layout: Layout, reduction: int) -> np.ndarray:
    """Decode JPEG 2000 at 1/2^reduction; Pillow gives 16 bits, shifted up and made unsigned."""
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(data), formats=["JPEG2000"]) as image:
        image.reduce = reduction  # type: ignore[assignment, method-assign]
        pixels = np.array(image)
    if pixels.dtype == np.uint16 and layout.precision < 16:
        pixels >>= 16 - layout.precision
    if layout.signed:
        pixels = (pixels.astype(np.int32) - (1 << (layout.precision - 1))).astype(layout.dtype)
    return pixels


DECODERS = (
    Decoder(
        name="imagecodecs dicomrle",
        distribution="imagecodecs",
        modules=("imagecodecs",),
        syntaxes=RLE,
        decode=_decode_rle,
        why="the only one here",
        codec="DICOMRLE",
    ),
    Decoder(
        name="numba, on long runs",
        distribution="numba",
        modules=("imagecodecs", "numba"),
        syntaxes=JPEG_LOSSLESS,
        decode=Proven(decode_by_numba, judge=_decode_jpeg8),
        why="half of jpeg8's time, from the 51st image of a process on, once it agrees with jpeg8",
        codec="JPEG8",
        declines=True,
    ),
    Decoder(
        name="imagecodecs jpeg8 (libjpeg-turbo 3)",
        distribution="imagecodecs",
        modules=("imagecodecs",),
        syntaxes=JPEG_BASELINE | JPEG_EXTENDED | JPEG_LOSSLESS,
        decode=_decode_jpeg8,
        why="half of dicomsdl's time, a fifth of libjpeg's",
        codec="JPEG8",
    ),
    Decoder(
        name="imagecodecs jpegls (CharLS)",
        distribution="imagecodecs",
        modules=("imagecodecs",),
        syntaxes=JPEG_LS,
        decode=_decode_jpegls,
        why="the only one here",
        codec="JPEGLS",
    ),
    Decoder(
        name="nvImageCodec, on a GPU",
        distribution="nvidia-nvimgcodec-cu12",
        modules=("imagecodecs", "nvidia.nvimgcodec", "nvidia.nvjpeg2k"),
        syntaxes=WAVELET,
        decode=Proven(_decode_on_gpu, judge=_decode_jpeg2k),
        why="where a GPU is, from the 51st image of a process on, once it agrees with jpeg2k",
        codec="JPEG2K",
        declines=True,
        gpu=True,
    ),
    Decoder(
        name="dicomsdl (OpenJPEG)",
        distribution="dicomsdl",
        modules=("imagecodecs", "dicomsdl"),
        syntaxes=JPEG_2000,
        decode=Proven(_decode_wavelet_dicomsdl, judge=_decode_jpeg2k),
        why="a twentieth faster, from the 51st image of a process on, once it agrees with jpeg2k",
        codec="JPEG2K",
        declines=True,
    ),
    Decoder(
        name="imagecodecs jpeg2k (OpenJPEG)",
        distribution="imagecodecs",
        modules=("imagecodecs",),
        syntaxes=WAVELET,
        decode=_decode_jpeg2k,
        why="OpenJPEG like the others, in the package that JPEG Lossless needs",
        codec="JPEG2K",
    ),
    Decoder(
        name="pylibjpeg-openjpeg",
        distribution="pylibjpeg-openjpeg",
        modules=("openjpeg",),
        syntaxes=WAVELET,
        decode=_decode_openjpeg,
        why="OpenJPEG, as fast",
    ),
    Decoder(
        name="pillow (OpenJPEG)",
        distribution="pillow",
        modules=("PIL",),
        syntaxes=WAVELET,
        decode=_decode_pillow,
        why="OpenJPEG, after a detour; reduces by itself where no view is possible",
        reduce=_reduce_pillow,
    ),
    Decoder(
        name="dicomsdl",
        distribution="dicomsdl",
        modules=("dicomsdl",),
        syntaxes=JPEG_LOSSLESS,
        decode=partial(_decode_dicomsdl, syntax=JPEG_LOSSLESS_SV1),
        why="twice the time of jpeg8",
    ),
)
