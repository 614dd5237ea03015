"""Values of interest: stored values → 0 … 1 (PS3.3 C.11.2)."""

import numpy as np

from inference.pixels import extremes
from inference.pixels.dicom import DicomImage
from inference.pixels.header import VoiFunction, VoiLut, Window


def apply_voi(values: np.ndarray, image: DicomImage) -> np.ndarray:
    """Return float32 0 … 1 as the file asks to be shown: its VOI LUT, or its first window.

    A file that holds neither is shown from its smallest to its largest value.
    """
    rescaled = values * np.float32(image.slope) + np.float32(image.intercept)
    if image.voi_lut is not None:
        return apply_lut(rescaled, image.voi_lut)
    if image.windows:
        return apply_window(rescaled, image.windows[0], image.voi_function)
    return stretch(values, *extremes.estimate(image))


def apply_window(values: np.ndarray, window: Window, function: VoiFunction) -> np.ndarray:
    """Apply a window to rescaled values (C.11.2.1.2 and C.11.2.1.3)."""
    center, width = window.center, window.width
    if function == "SIGMOID":  # C.11.2.1.3.1
        with np.errstate(over="ignore"):  # in float64, for the same bytes on any processor
            steep = np.exp(-4 / width * (values.astype(np.float64) - center))
        return np.asarray(1 / (1 + steep), np.float32)
    if function == "LINEAR":  # C.11.2.1.2.1: a width of 1 is a threshold
        center, width = center - 0.5, width - 1
    return stretch(values, center - width / 2, center + width / 2)


def apply_lut(values: np.ndarray, lut: VoiLut) -> np.ndarray:
    """Apply a VOI LUT (C.11.2.1.1), between its entries by interpolation."""
    positions = np.arange(lut.first, lut.first + len(lut.values))
    shown = np.interp(values, positions, lut.values) / ((1 << lut.bits) - 1)
    return np.asarray(np.clip(shown, 0, 1), np.float32)


def stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map `low` … `high` to 0 … 1 and cut what lies outside; a threshold where they meet."""
    if not high > low:
        return np.asarray(values > low, np.float32)
    shown = values - np.float32(low)
    shown *= np.float32(1 / (high - low))
    return np.asarray(np.clip(shown, 0, 1, out=shown))
