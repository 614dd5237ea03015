"""Find the breast: Otsu's threshold on a small copy, and the largest component above it."""

from dataclasses import dataclass

import numpy as np

# The largest side of the copy, and the smallest and largest share of it that a breast fills:
# less is a marker or noise, more a white background or no background at all.
COPY_SIDE = 192
LEAST_SHARE = 0.02
MOST_SHARE = 0.95


@dataclass(frozen=True, kw_only=True)
class Breast:
    """Where the breast lies, in parts of height and width (0 … 1), and its chest wall's side."""

    top: float
    bottom: float
    left: float
    right: float
    chest_on_right: bool


WHOLE = Breast(top=0.0, bottom=1.0, left=0.0, right=1.0, chest_on_right=False)


def find_breast(values: np.ndarray) -> Breast:
    """Locate the breast in [H, W] where tissue is brighter than air; WHOLE if there is none."""
    low, high = np.percentile(values, (0, 99.5))  # markers outshine the breast
    if not high > low:
        return WHOLE
    levels = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    mask = _largest_component(levels > otsu(levels) // 2)
    share = mask.mean()
    if not LEAST_SHARE <= share <= MOST_SHARE:
        return _whole(levels)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return Breast(
        top=float(rows[0] / height),
        bottom=float((rows[-1] + 1) / height),
        left=float(columns[0] / width),
        right=float((columns[-1] + 1) / width),
        chest_on_right=_leans_right(mask),
    )


def _whole(levels: np.ndarray) -> Breast:
    return Breast(top=0.0, bottom=1.0, left=0.0, right=1.0, chest_on_right=_leans_right(levels))


def _leans_right(weights: np.ndarray) -> bool:
    """Say whether more lies in the right half: the breast is widest at the chest wall."""
    half = weights.shape[1] // 2
    right = weights[:, weights.shape[1] - half :]
    return bool(right.sum(dtype=np.int64) > weights[:, :half].sum(dtype=np.int64))


def otsu(levels: np.ndarray) -> int:
    """Return the threshold of uint8 levels that parts them best (Otsu 1979, eq. 18)."""
    counts = np.bincount(levels.ravel(), minlength=256).astype(float)
    weight, total = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total[-1] * weight / weight[-1] - total) ** 2 / (weight * (weight[-1] - weight))
    return int(np.argmax(np.nan_to_num(between, posinf=0.0)))


def _largest_component(mask: np.ndarray) -> np.ndarray:
    """Keep the largest 4-connected component: runs of each row, joined where they touch."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    if not len(rows):
        return mask
    parents = _join_runs(rows.tolist(), starts.tolist(), stops.tolist())
    largest = np.argmax(np.bincount(parents, weights=stops - starts))
    kept = np.zeros_like(mask)
    for run in np.flatnonzero(np.array(parents) == largest):
        kept[rows[run], starts[run] : stops[run]] = True
    return kept


def _join_runs(rows: list[int], starts: list[int], stops: list[int]) -> list[int]:
    """Return for each run, in order of rows, the smallest run it is connected with."""
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    above = 0
    for run, row in enumerate(rows):
        while rows[above] < row - 1 or (rows[above] == row - 1 and stops[above] <= starts[run]):
            above += 1
        other = above
        while rows[other] == row - 1 and starts[other] < stops[run]:
            one, two = sorted((root(run), root(other)))
            parents[two] = one
            other += 1
    return [root(run) for run in range(len(parents))]
