"""JPEG 2000 on an NVIDIA GPU, by nvImageCodec: whole streams, and the small ones of a view.

Only the reversible transform is taken: its integers are the same on every machine, where the
irreversible one's last bit is not. Each process has a decoder of its own, on the GPUs in turn;
a stream that it cannot decode is declined, and a CPU decodes it.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from inference.pixels import jpeg2000
from inference.pixels.errors import DeclinedError
from inference.pixels.limits import MAX_STREAM_HEADER_BYTES

REVERSIBLE_5_3 = 1  # Table A.20


def count_gpus() -> int:
    """Return how many NVIDIA GPUs the machine has, used or not."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def decode(data: memoryview | bytes) -> np.ndarray:
    """Return [H, W] as the stream holds it; DeclinedError where the GPU is not for it.

    RuntimeError where no decoder can be had on this machine at all.
    """
    header = jpeg2000.read_main_header(data[:MAX_STREAM_HEADER_BYTES])
    if header is None or header.transformation != REVERSIBLE_5_3:
        raise DeclinedError("not reversible")
    from nvidia import nvimgcodec

    decoder, parameters = _open()
    try:
        image = decoder.decode(nvimgcodec.CodeStream(bytes(data)), params=parameters)
        pixels = None if image is None else np.array(image.cpu())
    except RuntimeError as error:  # CUDA's, of whatever kind: out of memory, most often
        raise DeclinedError(f"the GPU gave up: {error}") from error
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 1:
        raise DeclinedError("the GPU cannot decode it")
    return pixels[:, :, 0]


@cache
def _open() -> tuple[Any, Any]:
    from nvidia import nvimgcodec

    decoder = nvimgcodec.Decoder(
        device_id=os.getpid() % max(1, count_gpus()),
        max_num_cpu_threads=1,
        backends=[
            nvimgcodec.Backend(nvimgcodec.BackendKind.GPU_ONLY),
            nvimgcodec.Backend(nvimgcodec.BackendKind.HYBRID_CPU_GPU),
        ],
    )
    parameters = nvimgcodec.DecodeParams(
        allow_any_depth=True,
        apply_exif_orientation=False,
        color_spec=nvimgcodec.ColorSpec.UNCHANGED,
    )
    return decoder, parameters
