"""The smallest and the largest value of an image, told from a reduced decode of it.

The low-pass filter of a wavelet rings: beside a sharp edge, as a lead marker's, its values shoot
over what the image holds by a tenth of the step, and a window from minimum to maximum would be
wrong by as much. So a value beyond what 2×2 neighbours agree on counts only where its
surroundings are smooth, as where noise peaks.
"""

import numpy as np

from inference.pixels.dicom import DicomImage

# A sample whose surroundings fall by more than this part of the image's range lies at an edge.
EDGE = 0.25
RADIUS = 2


def estimate(image: DicomImage) -> tuple[int, int]:
    """Return the full image's smallest and largest stored value, exact where it is decoded."""
    if image.reduction == 0 or min(image.pixels.shape) < 2:
        return image.extremes
    low, high = image.extremes
    return -_largest(image.pixels, -1, high - low), _largest(image.pixels, 1, high - low)


def _largest(pixels: np.ndarray, sign: int, span: int) -> int:
    """Return the largest of `sign` × pixels that is no overshoot."""
    first = int(pixels.argmax() if sign > 0 else pixels.argmin())
    row, column = divmod(first, pixels.shape[1])
    corner = pixels[row : row + 2, column : column + 2]
    if corner.size == 4 and np.ptp(corner) == 0:  # air, most often
        return sign * int(corner[0, 0])
    agreed = _agreed(pixels, sign)
    beyond = np.argwhere(pixels > agreed) if sign > 0 else np.argwhere(pixels < -agreed)
    if not len(beyond):
        return agreed
    values = sign * pixels[beyond[:, 0], beyond[:, 1]].astype(np.int64)
    floor = values.copy()
    for offset in np.ndindex(2 * RADIUS + 1, 2 * RADIUS + 1):
        row, column = np.clip(beyond + offset - RADIUS, 0, np.array(pixels.shape) - 1).T
        np.minimum(floor, sign * pixels[row, column].astype(np.int64), out=floor)
    smooth = values[values - floor <= EDGE * span]
    return int(smooth.max(initial=agreed))


def _agreed(pixels: np.ndarray, sign: int) -> int:
    """Return the largest of `sign` × the value that four neighbours all reach."""
    reach, best = (np.minimum, np.max) if sign > 0 else (np.maximum, np.min)
    rows = reach(pixels[:-1], pixels[1:])
    return sign * int(best(reach(rows[:, :-1], rows[:, 1:])))
