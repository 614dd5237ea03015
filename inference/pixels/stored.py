"""The frame's bytes → stored values: the stream is checked, decoded, brought to the data set's own
type, and reduced.

What 1/2^r of an image is, has two definitions, by the version of the preprocessing that asks:

1. What the file yields: a JPEG 2000 stream its own reduced image, any other file the full one.
2. The low-pass band of the reversible 5/3 wavelet (`inference.pixels.lifting`), whatever the file:
   the same picture gives the same values in every lossless transfer syntax. A JPEG 2000 stream's
   own reduced image serves where it is exactly that; everything else is decoded in full.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from inference.pixels import (
    claims,
    codestream,
    decoders,
    integrity,
    lifting,
    resolution_view,
    samples,
)
from inference.pixels.decoders import Bytes, Decoder, Layout
from inference.pixels.errors import DeclinedError, ImageError
from inference.pixels.frame import Frame
from inference.pixels.header import Header
from inference.pixels.jpeg2000 import Codestream, ceil_shift

BY_FILE, BY_WAVELET = 1, 2  # the definitions of a reduced image


@dataclass(frozen=True, kw_only=True)
class StoredValues:
    """Pixels [H, W] at 1/2^reduction, who decoded them, and what makes them suspicious."""

    pixels: np.ndarray
    reduction: int
    decoder: str
    suspicious: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PixelData:
    """The frame of a file with the header that describes it."""

    frame: Frame
    header: Header

    def choose_reduction(self, at_least: tuple[int, int] | None, definition: int) -> int:
        """Return the largest r at which the image, at 1/2^r, is at least so large."""
        if at_least is None:
            return 0
        reduction = 0
        while self._holds(reduction + 1, definition):
            rows, columns = self._reduced_shape(reduction + 1, definition)
            if rows < max(1, at_least[0]) or columns < max(1, at_least[1]):
                break
            reduction += 1
        return reduction

    def _holds(self, reduction: int, definition: int) -> bool:
        """Say whether there is an image at 1/2^reduction."""
        if definition == BY_WAVELET:
            return (1 << reduction) < 2 * max(self.header.rows, self.header.columns)
        if self.header.transfer_syntax not in decoders.WAVELET:
            return False
        stream = self._codestream
        # Of values in the wrong sign, the wavelet's means mean nothing.
        return reduction <= stream.levels and stream.signed == self.header.signed

    def _reduced_shape(self, reduction: int, definition: int) -> tuple[int, int]:
        if definition == BY_WAVELET:
            header = self.header
            return ceil_shift(header.rows, reduction), ceil_shift(header.columns, reduction)
        return self._codestream.reduced_shape(reduction)

    def decode(self, reduction: int = 0, definition: int = BY_WAVELET) -> StoredValues:
        """Decode the frame at 1/2^reduction; by definition 1 in full where nothing can reduce."""
        if not reduction:
            return self._masked(self._whole)
        if definition == BY_FILE:
            return self._decode_smaller(reduction) or self._masked(self._whole)
        reason = self._why_not_own(reduction)
        smaller = self._decode_smaller(reduction) if reason is None else None
        if smaller is not None:
            return self._clipped(smaller.pixels, smaller)
        decoder = self._whole.decoder
        if self.header.transfer_syntax in decoders.WAVELET:
            decoder += f", in full: {reason or 'its packets are in another order'}"
        lifted = replace(self._whole, reduction=reduction, decoder=decoder)
        return self._clipped(self._pyramid.band(reduction), lifted)

    def _why_not_own(self, reduction: int) -> str | None:
        """Return why the stream's own reduced image is not the one of definition 2, or None."""
        header = self.header
        if header.transfer_syntax not in decoders.WAVELET:
            return "it holds no smaller image"
        stream = self._codestream
        reasons = {
            f"it has {stream.levels} levels": reduction > stream.levels,
            "it is not reversible": stream.transformation != 1
            or header.transfer_syntax not in decoders.REVERSIBLE,
            # Each tile is mirrored at its own edges.
            f"it has {stream.tiles} tiles": stream.tiles > 1,
            "its image is off the grid's origin": bool(stream.xosiz or stream.yosiz),
            "its sign is not the data set's": stream.signed != header.signed,
            # Its decoder would clip to fewer bits.
            f"it has {stream.precision} bits": stream.precision < header.bits_stored,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    @cached_property
    def _whole(self) -> StoredValues:
        """Return the full image, decoded once; what a codec put above Bits Stored is left there."""
        syntax = self.header.transfer_syntax
        if syntax in decoders.UNCOMPRESSED:
            pixels = self._native()
            signs = integrity.judge_native(pixels)
            return StoredValues(pixels=pixels, reduction=0, decoder="numpy", suspicious=signs)
        if not decoders.find_decoders(syntax):
            raise decoders.explain_missing(syntax)
        if syntax in decoders.WAVELET:
            return self._decode_whole(self._wavelet_layout(0))
        return self._decode_whole(claims.read_layout(self.frame, self.header))

    @cached_property
    def _pyramid(self) -> lifting.Pyramid:
        return lifting.Pyramid(self._whole.pixels)

    def _decode_smaller(self, reduction: int) -> StoredValues | None:
        """Decode the stream's own reduced image; None where it holds none that can be had."""
        return self._decode_view(reduction) or self._decode_reduced(reduction)

    def _masked(self, values: StoredValues) -> StoredValues:
        """Drop what a JPEG stream has above Bits Stored, as pydicom does."""
        if self.header.transfer_syntax in decoders.WAVELET:
            return values
        return replace(values, pixels=samples.drop_unused_bits(values.pixels, self.header))

    def _clipped(self, band: np.ndarray, values: StoredValues) -> StoredValues:
        """Clip to what Bits Stored can hold: what a wavelet's means overshoot, and stray values."""
        header, dtype = self.header, values.pixels.dtype
        return replace(values, pixels=lifting.clip(band, header.bits_stored, header.signed, dtype))

    # Uncompressed.

    def _native(self) -> np.ndarray:
        """Return uncompressed values; Big Endian and OW bytes are swapped (PS3.5 7.3)."""
        header = self.header
        width, count = header.bits_allocated // 8, header.rows * header.columns
        data = self.frame.head(count * width + (count & 1 if header.word_swapped else 0))
        if len(data) < count * width:
            raise ImageError(
                "truncated",
                f"{self.frame.source.name}: the pixel data have {len(data)} bytes and should "
                f"have {count * width}; copy or download the file again.",
            )
        if header.word_swapped:
            data = np.frombuffer(data, ">u2", len(data) // 2).astype("<u2").tobytes()
        order, kind = "<" if header.little_endian else ">", "i" if header.signed else "u"
        values = np.frombuffer(data, f"{order}{kind}{width}", count)
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        return samples.drop_unused_bits(native.reshape(header.rows, header.columns), header)

    @cached_property
    def _codestream(self) -> Codestream:
        return claims.read_codestream(self.frame, self.header)

    def _wavelet_layout(self, reduction: int) -> Layout:
        return claims.describe_wavelet(self._codestream, self.header, reduction)

    # The ways to decode a stream.

    def _decode_whole(self, layout: Layout) -> StoredValues:
        data = self.frame.whole()
        decoder, pixels = self._decode_by_first(data, layout)
        if isinstance(pixels, np.ndarray):
            signs = self._judge(data, pixels, decoder)
            return replace(self._values(pixels, layout, 0, decoder), suspicious=signs)
        raise claims.contradiction(self.frame, f"cannot be decoded ({decoder.name}: {pixels})")

    def _judge(self, data: Bytes, pixels: np.ndarray, decoder: Decoder) -> tuple[str, ...]:
        """Return what makes a stream suspicious that was decoded in full."""
        if self.header.transfer_syntax in decoders.WAVELET:
            return codestream.judge_whole(self._codestream, self.frame)
        if self.header.transfer_syntax in decoders.RLE:  # whose decoder refuses other lengths
            return integrity.judge_native(pixels)
        # The compiled loop takes a scan only that ends with its last sample.
        return integrity.judge_jpeg(data, pixels, counted=decoder.declines)

    def _decode_view(self, reduction: int) -> StoredValues | None:
        """Decode the smaller stream in the head of this one, where there is one."""
        view = resolution_view.make_view(
            self._codestream, self.frame.head, self.frame.size, reduction
        )
        if view is None:
            return None
        layout = self._wavelet_layout(reduction)
        decoder, pixels = self._decode_by_first(view, layout)
        if isinstance(pixels, np.ndarray):
            signs = codestream.judge_view(self._codestream, self.frame, view)
            return replace(self._values(pixels, layout, reduction, decoder), suspicious=signs)
        return None

    def _decode_reduced(self, reduction: int) -> StoredValues | None:
        """Let a decoder that reduces by itself read the whole stream."""
        layout = self._wavelet_layout(reduction)
        for decoder in decoders.find_decoders(self.header.transfer_syntax):
            if decoder.reduce is not None:
                pixels = _attempt(decoder.reduce, self.frame.whole(), layout, reduction)
                if isinstance(pixels, np.ndarray):
                    signs = codestream.judge_whole(self._codestream, self.frame)
                    values = self._values(pixels, layout, reduction, decoder)
                    return replace(values, suspicious=signs)
        return None

    def _decode_by_first(self, data: Bytes, layout: Layout) -> tuple[Decoder, np.ndarray | str]:
        """Let the first decoder that takes the stream decode it: where it refuses, others guess."""
        for decoder in decoders.find_decoders(self.header.transfer_syntax):
            try:
                return decoder, _attempt(decoder.decode, data, layout)
            except DeclinedError:
                continue
        raise decoders.explain_missing(self.header.transfer_syntax)

    def _values(
        self, pixels: np.ndarray, layout: Layout, reduction: int, decoder: Decoder
    ) -> StoredValues:
        values = samples.as_declared(pixels, self.header, layout)
        return StoredValues(pixels=values, reduction=reduction, decoder=decoder.name)


def _attempt(
    decode: Callable[..., np.ndarray], data: Bytes, layout: Layout, *more: int
) -> np.ndarray | str:
    """Return what a decoder makes of the stream, or why it did not; DeclinedError passes."""
    try:
        pixels = decode(data, layout, *more)
    except DeclinedError:
        raise
    except Exception as error:  # noqa: BLE001 - each decoder has its own errors, some bare
        return f"{type(error).__name__}: {error}"
    if pixels.shape != (layout.rows, layout.columns) or pixels.dtype.kind not in "iu":
        return f"gave {pixels.dtype} {pixels.shape}"
    return pixels
