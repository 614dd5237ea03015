"""Resize by bilinear interpolation, as `cv2.resize(x, …, interpolation=cv2.INTER_LINEAR)` does.

Four neighbours make a pixel, however many the image has between them: a picture that is made
smaller is sampled, not averaged. Only for models that were trained so.
"""

import numpy as np


def resize(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return float32 [H, W] of the given size from integers or floats [h, w]."""
    top, bottom, down = _neighbours(values.shape[0], size[0])
    left, right, along = _neighbours(values.shape[1], size[1])
    # Only the rows and columns that count are turned to floats: a hundredth of a mammogram.
    upper, lower = (values[rows][:, np.concatenate([left, right])] for rows in (top, bottom))
    rows = upper.astype(np.float32) * (1 - down)[:, None]
    rows += lower.astype(np.float32) * down[:, None]
    mixed = rows[:, : size[1]] * (1 - along)
    mixed += rows[:, size[1] :] * along
    return np.ascontiguousarray(mixed, np.float32)


def _neighbours(length: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each of `count` pixels, the samples before and behind its centre, and how far."""
    centres = (np.arange(count) + 0.5) * (length / count) - 0.5
    first = np.floor(centres)
    share = (centres - first).astype(np.float32)
    before = np.clip(first, 0, length - 1).astype(np.intp)
    behind = np.clip(first + 1, 0, length - 1).astype(np.intp)
    return before, behind, share
