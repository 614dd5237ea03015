"""Signs that a picture was decoded, but not from a sound file.

Decoders make up what a damaged file lacks. What is found here is a reason to distrust a picture,
not an error: a worse picture may still be better than none. A sign is something that no sound file
shows; where a transfer syntax has no redundancy, as uncompressed values have none, damage that
looks like a picture is not told from one.
"""

import numpy as np

from inference.pixels import scan_bits

# Blank samples in a row, half a sector's 512 bytes or so: fewer may be a marker or a dead line.
LEAST_RUN = 128
NOTICEABLE = 1 / 32  # of the picture's range
MOST_BEHIND = 1  # bytes behind a stream's end, where the Standard wants an even length (PS3.5 A.4)
JPEG_END = b"\xff\xd9"

# --- JPEG ---


def judge_jpeg(data: memoryview | bytes, pixels: np.ndarray, counted: bool) -> tuple[str, ...]:
    """Return what is wrong with a JPEG or JPEG-LS stream that became unsigned [H, W] `pixels`.

    `counted`: its decoder has made sure that the scan ends with the last sample.
    """
    signs = _judge_tail(pixels) + _judge_padding(bytes(data[-64:]))
    if counted:
        return signs
    missing = scan_bits.missing_bits(data, pixels.astype(np.uint16, copy=False))
    surplus = scan_bits.surplus_bits(data) if missing is None else -missing
    if surplus is None or 0 <= surplus <= scan_bits.PADDING:
        return signs
    if surplus < 0:
        return (*signs, "its scan ends before the last sample")
    return (*signs, f"{surplus} bits are left over behind the last sample")


def _judge_padding(tail: bytes) -> tuple[str, ...]:
    behind = len(tail) - tail.rfind(JPEG_END) - len(JPEG_END)
    return judge_behind(behind) if JPEG_END in tail else ()


def judge_behind(count: int) -> tuple[str, ...]:
    """Return what is wrong with so many bytes behind a stream's end."""
    return () if count <= MOST_BEHIND else (f"{count} bytes follow its stream's end",)


# --- pixels, whatever they were stored in ---


def judge_native(pixels: np.ndarray) -> tuple[str, ...]:
    """Return what is wrong with uncompressed [H, W]: blank stretches that no picture has."""
    signs = _judge_tail(pixels)
    if _has_hole(pixels):
        signs += ("it has a blank stretch between rows that are not blank there",)
    return signs


def _judge_tail(pixels: np.ndarray) -> tuple[str, ...]:
    blank = _has_blank_tail(pixels)
    return ("its last samples are blank, from the middle of a row on",) if blank else ()


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
    differences = np.abs(pixels[row - 1, column:].astype(np.int32) - int(flat[-1]))
    return _begins_with_much(differences > 0) and _begins_with_much(
        differences > _noticeable(pixels)
    )


def _begins_with_much(flags: np.ndarray) -> bool:
    """Say whether most flags are set, or most of the first: beside a breast there is air."""
    first = flags[:LEAST_RUN]
    return bool(flags.mean() > 0.5 or (len(first) == LEAST_RUN and first.mean() > 0.9))


def _last_other(flat: np.ndarray, value: np.generic) -> int:
    """Return the index of the last sample that is not `value`, -1 where there is none."""
    step = 1 << 16
    for stop in range(len(flat), 0, -step):
        others = np.flatnonzero(flat[max(0, stop - step) : stop] != value)
        if len(others):
            return int(others[-1]) + max(0, stop - step)
    return -1


def _has_hole(pixels: np.ndarray) -> bool:
    """Say whether zeros fill a stretch of a row above and below which values are far from zero."""
    zero = pixels == 0
    if pixels.shape[0] < 3 or not zero.any():
        return False
    far = pixels > _noticeable(pixels)
    if pixels.dtype.kind == "i":
        far |= pixels < -_noticeable(pixels)
    # A stretch is looked for where its middle row alone is zero: in the air all three are.
    alone = zero[1:-1] & far[:-2] & far[2:]
    return any(_longest_run(row) >= LEAST_RUN for row in alone[alone.sum(1) >= LEAST_RUN])


def _noticeable(pixels: np.ndarray) -> int:
    """Return what is more than noise: a picture that was once lossy has runs of equal values."""
    return int(NOTICEABLE * (int(pixels.max()) - int(pixels.min())))


def _longest_run(flags: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
