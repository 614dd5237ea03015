"""Stored values → the uint8 input of a model: the only copy, for training and notebook alike.

Stored values are averaged first and windowed after, so that a reduced decode and a full one give
the same picture: both are means of stored values.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import ceil, floor
from typing import Any

import numpy as np

from inference.boot.card import Preprocess
from inference.errors import InputError
from inference.pixels import area, bilinear, extremes, voi
from inference.pixels.breast import COPY_SIDE, WHOLE, Breast, find_breast
from inference.pixels.dicom import DicomImage
from inference.pixels.stored import BY_FILE, BY_WAVELET

# Of the preprocessing: 1 reduces an image as its file does, 2 as `inference.pixels.lifting` does.
# A model of version 1 is served as it was trained.
VERSION = BY_WAVELET


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig(Preprocess):
    """How an image becomes an input; travels with the checkpoint, as JSON.

    `window`: the file's own (dicom), its extremes (min-max), or percentiles of what is kept.
    `crop`: the breast with `crop_margin` of its size around, or none. `flip`: the chest wall to
    the left, or none. `fit`: keep the aspect ratio and pad right and bottom with air, the image's
    darkest value, or stretch. `decode_margin` times the input's size is the least that is decoded;
    `version` says how larger images are reduced before they are averaged. `reduce`: by area, or
    bilinear from a full decode, as OpenCV's INTER_LINEAR.
    """

    version: int = VERSION

    def __post_init__(self) -> None:
        """Refuse what makes no sense, whoever wrote it."""
        low, high = self.percentiles
        problems = {
            "version": self.version not in (BY_FILE, BY_WAVELET),
            "size": len(self.size) != 2 or not all(1 <= side <= 8192 for side in self.size),
            "window": self.window not in ("dicom", "min-max", "percentile"),
            "percentiles": not 0 <= low < high <= 100,
            "crop": self.crop not in ("breast", "none"),
            "crop_margin": not 0 <= self.crop_margin <= 1,
            "flip": self.flip not in ("chest-left", "none"),
            "fit": self.fit not in ("pad", "stretch"),
            "decode_margin": not 0.5 <= self.decode_margin <= 64,
            "reduce": self.reduce not in ("area", "bilinear"),
        }
        for name, wrong in problems.items():
            if wrong:
                raise InputError(
                    f"Preprocessing: {name} is {getattr(self, name)!r}, which this version "
                    f"({VERSION}) does not know. Use the rsna-bundle that wrote it, or fix it."
                )

    @classmethod
    def of(cls, values: Preprocess) -> "PreprocessConfig":
        """Check what a card or a manifest holds. Raises InputError."""
        return cls(**vars(values))

    def as_dict(self) -> dict[str, Any]:
        """Return every value in JSON's types; what files hold is `fields.plain` of it."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PreprocessConfig":
        """Read what `as_dict` wrote; unknown keys and versions are refused."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "size" not in values or "version" not in values:
            raise InputError(
                f"Preprocessing: unknown keys {unknown}; `size` and `version` are required, "
                f"the others are {sorted(known)}."
            )
        plain = dict(values)
        try:
            for name in ("size", "percentiles"):
                if name in plain:
                    plain[name] = tuple(plain[name])
            return cls(**plain)
        except (TypeError, ValueError) as error:
            raise InputError(f"Preprocessing: a value has the wrong type ({error}).") from error


PRESETS: dict[str, PreprocessConfig] = {
    "baseline-512": PreprocessConfig(
        size=(512, 512), window="min-max", crop="none", flip="none", fit="stretch"
    ),
    # As the first baselines were: cv2.resize of the full image between its extremes.
    "bilinear-512": PreprocessConfig(
        size=(512, 512),
        window="min-max",
        crop="none",
        flip="none",
        fit="stretch",
        reduce="bilinear",
    ),
    "roi-1024x512": PreprocessConfig(size=(1024, 512)),
    "roi-1536x768": PreprocessConfig(size=(1536, 768)),
    "roi-2048x1024": PreprocessConfig(size=(2048, 1024)),
}


def prepare(
    image: DicomImage, config: PreprocessConfig, breast: Breast | None = None
) -> np.ndarray:
    """Return uint8 [H, W] of `config.size`; `breast` where it was found before."""
    if breast is None:
        breast = locate(image) if needs_breast(config) else WHOLE
    top, bottom, left, right = _crop_box(image.pixels.shape, config, breast)
    height, width = fit_size((bottom - top, right - left), config)
    crop = image.pixels[top:bottom, left:right]
    if config.reduce == "bilinear":
        averaged = bilinear.resize(crop, (height, width))
    else:
        averaged = area.resize(crop, (height, width), image.peak)
    if config.flip == "chest-left" and breast.chest_on_right:
        averaged = averaged[:, ::-1]
    shown = _show(_pad(averaged, image, config), averaged, image, config)
    if image.photometric == "MONOCHROME1":
        np.subtract(1, shown, out=shown)
    shown *= np.float32(255)
    shown += np.float32(0.5)
    return shown.astype(np.uint8)


def needs_breast(config: PreprocessConfig) -> bool:
    """Say whether the breast has to be found first."""
    return config.crop == "breast" or config.flip == "chest-left"


def locate(image: DicomImage) -> Breast:
    """Find the breast on a small copy of the image."""
    rows, columns = image.pixels.shape
    scale = min(1.0, COPY_SIDE / max(rows, columns))
    small = max(1, round(rows * scale)), max(1, round(columns * scale))
    copy = area.resize(image.pixels, small, image.peak)
    return find_breast(-copy if image.photometric == "MONOCHROME1" else copy)


def crop_sides(config: PreprocessConfig, breast: Breast) -> tuple[float, float, float, float]:
    """Return top, bottom, left and right of the crop in parts of the image."""
    if config.crop == "none":
        return 0.0, 1.0, 0.0, 1.0
    high = (breast.bottom - breast.top) * config.crop_margin
    wide = (breast.right - breast.left) * config.crop_margin
    return (
        max(0.0, breast.top - high),
        min(1.0, breast.bottom + high),
        max(0.0, breast.left - wide),
        min(1.0, breast.right + wide),
    )


def fit_size(size: tuple[int, int], config: PreprocessConfig) -> tuple[int, int]:
    """Return how large a crop of `size` becomes inside the input."""
    if config.fit == "stretch":
        return config.size
    scale = min(config.size[0] / size[0], config.size[1] / size[1])
    height, width = (max(1, round(side * scale)) for side in size)
    return min(height, config.size[0]), min(width, config.size[1])


def needed_size(
    rows: int, columns: int, config: PreprocessConfig, breast: Breast
) -> tuple[int, int]:
    """Return the least size of the whole image at which the crop is as large as the input.

    Bilinear interpolation samples the image itself: it is decoded in full.
    """
    if config.reduce == "bilinear":
        return rows, columns
    top, bottom, left, right = crop_sides(config, breast)
    crop = (rows * (bottom - top), columns * (right - left))
    fractions = (config.size[0] / crop[0], config.size[1] / crop[1])
    if config.fit == "pad":
        fractions = (min(fractions),) * 2
    return (
        ceil(rows * fractions[0] * config.decode_margin),
        ceil(columns * fractions[1] * config.decode_margin),
    )


def _crop_box(
    shape: tuple[int, ...], config: PreprocessConfig, breast: Breast
) -> tuple[int, int, int, int]:
    """Return the crop in pixels of the decoded image, whole and not empty."""
    rows, columns = shape
    top, bottom, left, right = crop_sides(config, breast)
    first_row, first_column = floor(top * rows), floor(left * columns)
    return (
        first_row,
        max(first_row + 1, ceil(bottom * rows)),
        first_column,
        max(first_column + 1, ceil(right * columns)),
    )


def _pad(values: np.ndarray, image: DicomImage, config: PreprocessConfig) -> np.ndarray:
    """Return the values at the upper left of the input's size, the rest air: the darkest value."""
    if values.shape == config.size:
        return values
    air = extremes.estimate(image)[image.photometric == "MONOCHROME1"]
    padded = np.full(config.size, air, np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    return padded


def _show(
    values: np.ndarray, averaged: np.ndarray, image: DicomImage, config: PreprocessConfig
) -> np.ndarray:
    """Return stored values as 0 … 1; percentiles are those of what was `averaged`, unpadded."""
    if config.window == "dicom":
        return voi.apply_voi(values, image)
    if config.window == "percentile":
        low, high = np.percentile(averaged, config.percentiles)
    else:
        low, high = extremes.estimate(image)
    return voi.stretch(values, float(low), float(high))
