"""Decoding on a GPU: what can be said without one, and its pixels where one is."""

import imagecodecs
import numpy as np
import pytest

from inference.pixels import decoders, gpu
from inference.pixels.errors import DeclinedError
from tests.inference.pixels import dicoms

ON_A_GPU = next(row for row in decoders.DECODERS if row.gpu)
PIXELS = dicoms.draw(150, 110)


def encode(reversible: bool) -> bytes:
    return imagecodecs.jpeg2k_encode(
        PIXELS, codecformat="j2k", reversible=reversible, level=0 if reversible else 60
    )


@pytest.mark.parametrize("count", [0, 2])
def test_without_a_gpu_the_row_is_out(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(decoders, "_is_available", lambda modules, codec: True)
    monkeypatch.setattr(decoders, "count_gpus", lambda: count)
    rows = decoders.find_decoders(dicoms.JPEG_2000_LOSSLESS)
    assert (ON_A_GPU in rows) == bool(count)


@pytest.mark.parametrize("stream", [encode(reversible=False), b"", b"\xff\x4f\xff\x51"])
def test_only_reversible_streams_are_taken(stream: bytes) -> None:
    with pytest.raises(DeclinedError, match="reversible"):
        gpu.decode(stream)


@pytest.mark.skipif(not ON_A_GPU.is_available(), reason="needs a GPU and nvImageCodec")
def test_a_gpu_decodes_the_same_values() -> None:
    assert np.array_equal(gpu.decode(encode(reversible=True)), PIXELS)
