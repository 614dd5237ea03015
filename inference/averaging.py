"""Several models' predictions of an image → one number.

`weighted` is the mean of the probabilities by the models' weights, image by image. `rank` is the
weighted mean of ranks: each model's probability becomes the share of the run's images that the
model puts below it (ties and the image itself count half), so it needs all images of the run, and
a threshold is a share of them, no probability.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt


def weigh(
    probabilities: Sequence[npt.NDArray[np.float32]], weights: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Return float32 [N], the weighted mean over the models of [N] each; NaN stays NaN."""
    mean: npt.NDArray[np.float32] = np.average(
        np.stack(probabilities).astype(np.float64), axis=0, weights=weights
    ).astype(np.float32)
    return mean


def rank(members: Mapping[int, Sequence[float]], weights: Sequence[float]) -> dict[int, float]:
    """Return each image's weighted mean of ranks, 0 … 1, from each model's probability of it.

    An image that was predicted in haste, by the first model alone, has the first model's rank.
    """
    totals = dict.fromkeys(members, 0.0)
    shares = dict.fromkeys(members, 0.0)
    for index, weight in enumerate(weights):
        keys = [key for key, values in members.items() if index < len(values)]
        values = np.array([members[key][index] for key in keys])
        for key, share in zip(keys, _ranks(values).tolist(), strict=True):
            totals[key] += weight * share
            shares[key] += weight
    return {key: totals[key] / shares[key] for key in members}


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return for each value the share of all below it, those equal to it counted half."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, "left")
    equal_or_below = np.searchsorted(ordered, values, "right")
    return np.asarray((below + equal_or_below) / (2 * max(1, len(values))))
