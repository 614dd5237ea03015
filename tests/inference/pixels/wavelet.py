"""The reversible 5/3 transform of ISO/IEC 15444-1 Annex F, written from its equations.

What a reduced decode of a lossless stream must give, told without any decoder.
"""

import numpy as np


def _low(x: np.ndarray, start: int) -> np.ndarray:
    """Return the low-pass samples of rows start … start + len(x) (F-9, F-10, F-11)."""
    length = len(x)
    if length == 1:
        return x if start % 2 == 0 else x[:0]
    mirror = np.arange(-3, length + 3)
    mirror = np.abs(mirror)
    mirror = np.where(mirror >= length, 2 * (length - 1) - mirror, mirror)
    # Three samples of a very short signal may reflect twice.
    mirror = np.abs(mirror) % (2 * (length - 1)) if length < 4 else mirror
    mirror = np.where(mirror >= length, 2 * (length - 1) - mirror, mirror)
    y = x[mirror].astype(np.int64)
    at = np.arange(start - 3, start + length + 3)
    high = y.copy()
    odd = np.flatnonzero(at[1:-1] % 2 == 1) + 1
    high[odd] = y[odd] - (y[odd - 1] + y[odd + 1]) // 2
    even = np.flatnonzero((at % 2 == 0) & (at >= start) & (at < start + length))
    return y[even] + (high[even - 1] + high[even + 1] + 2) // 4


def reduce(pixels: np.ndarray, reduction: int, origin: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Return the LL band after `reduction` decompositions of one tile at `origin` (y, x)."""
    values, (y, x) = pixels.astype(np.int64), origin
    for _ in range(reduction):
        values = _low(_low(values, y).T, x).T
        y, x = (y + 1) // 2, (x + 1) // 2
    return values


def reduce_tiled(
    pixels: np.ndarray, reduction: int, tile: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """Return the image at 1/2^reduction where each tile (height, width) is its own transform."""
    height, width = pixels.shape
    bands = []
    for top in _cuts(origin[0], height, tile[0]):
        row = [
            reduce(pixels[top[0] : top[1], left[0] : left[1]], reduction, (top[2], left[2]))
            for left in _cuts(origin[1], width, tile[1])
        ]
        bands.append(np.concatenate(row, axis=1))
    return np.concatenate(bands)


def _cuts(origin: int, length: int, tile: int) -> list[tuple[int, int, int]]:
    """Return, for each tile along one side: first and last sample, and its place on the grid."""
    end, cuts, place = origin + length, [], origin
    while place < end:
        stop = min((place // tile + 1) * tile, end)
        cuts.append((place - origin, stop - origin, place))
        place = stop
    return cuts
