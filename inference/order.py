"""The order in which images are taken: one view of each breast first.

Where time runs out, every breast has a prediction then, and only second views are missing.
"""

from collections import Counter
from collections.abc import Sequence

from inference.submission import TestImage

# MLO first: it is the one view that shows nearly all of a breast, the axillary tail included, and
# screening by a single view has always used it. CC misses what lies near the chest wall above.
# (Reasoned, not measured: out-of-fold predictions of real mammograms were not at hand.)
VIEWS = ("MLO", "CC")


def by_breast(images: Sequence[TestImage]) -> list[int]:
    """Return the images' indices in rounds: each round has one image of every breast.

    Within a breast another view comes before a second image of the same view. Predictions do not
    depend on the order.
    """
    ranks = sorted(range(len(images)), key=lambda index: _rank(images[index]))
    again: Counter[tuple[str, str]] = Counter()  # images of a view of a breast so far
    nth = {}
    for index in ranks:
        view = (images[index].prediction_id, _view(images[index]))
        nth[index] = again[view]
        again[view] += 1
    ranks.sort(key=lambda index: nth[index])  # stable: views by rank within each number
    rounds: Counter[str] = Counter()  # images of a breast so far
    in_round = {}
    for index in ranks:
        breast = images[index].prediction_id
        in_round[index] = rounds[breast]
        rounds[breast] += 1
    # Within a round the table's order: patients' files lie side by side.
    return sorted(ranks, key=lambda index: (in_round[index], index))


def _view(image: TestImage) -> str:
    return image.columns.get("view", "").strip().upper()


def _rank(image: TestImage) -> int:
    view = _view(image)
    return VIEWS.index(view) if view in VIEWS else len(VIEWS)
