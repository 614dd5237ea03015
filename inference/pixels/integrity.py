"""Signs that a picture was decoded, but not from a sound file.

Decoders make up what a damaged file lacks. What is found here is a reason to distrust a picture,
not an error: a worse picture may still be better than none.
"""

import numpy as np

from inference.pixels import lossless

# Fewer blank samples in a row than half a sector's 512 bytes may be a marker or a dead line.
LEAST_RUN = 200
PADDING = 7  # bits that may be left over behind the last sample (ISO/IEC 10918-1 F.1.2.3)


def judge_lossless(data: memoryview | bytes, pixels: np.ndarray) -> tuple[str, ...]:
    """Return what is wrong with a JPEG Lossless scan that became unsigned [H, W] `pixels`."""
    missing = lossless.missing_bits(data, pixels.astype(np.uint16, copy=False))
    if missing is None or -PADDING <= missing <= 0:
        return ()
    if missing > 0:
        return ("its scan ends before the last sample",)
    return (f"{-missing} bits are left over behind the last sample",)


def judge_native(pixels: np.ndarray) -> tuple[str, ...]:
    """Return what is wrong with uncompressed [H, W]: blank stretches that no picture has."""
    reasons = []
    if _has_blank_tail(pixels):
        reasons.append("its last samples are blank, from the middle of a row on")
    if _has_hole(pixels):
        reasons.append("it has a blank stretch between rows that are not blank there")
    return tuple(reasons)


def _has_blank_tail(pixels: np.ndarray) -> bool:
    """Say whether all samples are equal from the middle of a row on, below ones that vary.

    A collimator's edge, too, is followed by blank rows; but it ends with a row.
    """
    rows, columns = pixels.shape
    flat = pixels.reshape(-1)
    blank = rows * columns - _last_other(flat, flat[-1]) - 1
    row, column = divmod(rows * columns - blank, columns)
    if blank < LEAST_RUN or row == 0 or column == 0:
        return False
    above = pixels[row - 1, column:]
    return bool((above != flat[-1]).mean() > 0.5)


def _last_other(flat: np.ndarray, value: np.generic) -> int:
    """Return the index of the last sample that is not `value`, -1 where there is none."""
    step = 1 << 16
    for stop in range(len(flat), 0, -step):
        others = np.flatnonzero(flat[max(0, stop - step) : stop] != value)
        if len(others):
            return int(others[-1]) + max(0, stop - step)
    return -1


def _has_hole(pixels: np.ndarray) -> bool:
    """Say whether zeros fill a stretch of a row above and below which there are hardly any."""
    zero = pixels == 0
    if pixels.shape[0] < 3 or not zero.any():
        return False
    # A stretch is looked for where its middle row alone is zero: in the air all three are.
    alone = zero[1:-1] & ~zero[:-2] & ~zero[2:]
    return any(_longest_run(row) >= LEAST_RUN for row in alone[alone.sum(1) >= LEAST_RUN])


def _longest_run(flags: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
