"""The order in which images are taken: one view of each breast first.

Where time runs out, every breast has a prediction then, and only second views are missing.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence

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


class Agenda:
    """The images that are still to be taken, in their order; each comes once.

    A breast whose image failed has its next one taken before all others, as long as it has none
    that was loaded: a round is there so that every breast has a prediction.
    """

    def __init__(
        self, images: Sequence[TestImage], keys: Iterable[int], loaded: Iterable[int] = ()
    ) -> None:
        self._images = images
        self._keys, self._urgent = deque(keys), deque[int]()
        self._taken: set[int] = set()
        self._answered = {images[key].prediction_id for key in loaded}
        self._of_breast: defaultdict[str, deque[int]] = defaultdict(deque)
        for key in self._keys:
            self._of_breast[images[key].prediction_id].append(key)

    def __iter__(self) -> Iterator[int]:
        """Yield the images one by one; what is noted meanwhile changes their order."""
        while queue := self._urgent or self._keys:
            key = queue.popleft()
            if key not in self._taken:
                self._taken.add(key)
                yield key

    def note_loaded(self, key: int) -> None:
        """Note that a breast has an image."""
        self._answered.add(self._images[key].prediction_id)

    def note_failed(self, key: int) -> None:
        """Note that an image failed."""
        breast = self._images[key].prediction_id
        rest = self._of_breast[breast]
        while rest and rest[0] in self._taken:
            rest.popleft()
        if rest and breast not in self._answered:
            self._urgent.append(rest[0])


def _view(image: TestImage) -> str:
    return image.columns.get("view", "").strip().upper()


def _rank(image: TestImage) -> int:
    view = _view(image)
    return VIEWS.index(view) if view in VIEWS else len(VIEWS)
