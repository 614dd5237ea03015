"""One file → the inputs of one or more models: the function that everything else calls."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import BinaryIO

import numpy as np

from inference.pixels.breast import COPY_SIDE, WHOLE
from inference.pixels.dicom import OpenDicom
from inference.pixels.preprocess import (
    PreprocessConfig,
    locate,
    needed_size,
    needs_breast,
    prepare,
)

# The breast is found on a decode no smaller than half the copy it is looked for on.
COARSE = (COPY_SIDE // 2, COPY_SIDE // 2)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The inputs, uint8 [H, W] in the order of the configurations, and how they came about.

    `reduction` is the smallest one used; `seconds` counts `read`, `decode` and `prepare`.
    """

    inputs: list[np.ndarray]
    transfer_syntax: str
    decoder: str
    bytes_read: int
    reduction: int
    seconds: dict[str, float]
    suspicious: tuple[str, ...] = ()  # why the file may be damaged, though it was decoded


def load(path: str | os.PathLike[str] | BinaryIO, configs: Sequence[PreprocessConfig]) -> Loaded:
    """Read one file once and prepare it for each configuration. Raises ImageError.

    An input does not depend on the other configurations asked for beside it.
    """
    begin = perf_counter()
    inputs, images, preparing = [], [], 0.0
    with OpenDicom(path) as file:
        searched = {config.version for config in configs if needs_breast(config)}
        breasts = {version: locate(file.decode(COARSE, version)) for version in searched}
        for config in configs:
            breast = breasts[config.version] if needs_breast(config) else WHOLE
            size = needed_size(file.header.rows, file.header.columns, config, breast)
            image = file.decode(size, config.version)
            start = perf_counter()
            inputs.append(prepare(image, config, breast))
            preparing += perf_counter() - start
            images.append(image)
        reading = file.read_seconds
        bytes_read = file.bytes_read
    decoding = perf_counter() - begin - preparing - reading
    finest = min(images, key=lambda image: image.reduction)
    return Loaded(
        inputs=inputs,
        transfer_syntax=finest.transfer_syntax,
        decoder=finest.decoder,
        bytes_read=bytes_read,
        reduction=finest.reduction,
        seconds={"read": reading, "decode": decoding, "prepare": preparing},
        suspicious=tuple(dict.fromkeys(sign for image in images for sign in image.suspicious)),
    )
