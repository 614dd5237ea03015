"""The laptop's own predictions of a hidden test, which a notebook's are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass

from bundler.competition.screening.hidden_test import HiddenSet
from bundler.competition.screening.measurement import Pixels
from inference.boot.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the laptop shows the first model of an image, uint8 [H, W], and the probability."""

    pixels: Pixels
    probability: float


class Laptop:
    """The laptop as another place to predict: each image that is compared once, when first asked.

    A hidden test and the larger ones made from it share it, since their compared images are the
    same files.
    """

    def __init__(self, hidden: HiddenSet) -> None:
        self._hidden = hidden
        self._made: dict[str, Mapping[str, Prediction]] = {}

    def predict(self, model: Bundle) -> Mapping[str, Prediction]:
        """Return the prediction of each compared image by its id."""
        if model.id not in self._made:
            self._made[model.id] = predict(model, self._hidden)
        return self._made[model.id]


def predict(model: Bundle, hidden: HiddenSet) -> dict[str, Prediction]:
    """Return the laptop's own prediction of each compared image, by its id."""
    from inference import metadata
    from inference import predict as runner
    from inference.pixels.loading import load

    # On the CPU, whatever there is: two runs must not differ by the laptop's devices.
    models = runner.load(model, "cpu")[0]
    predictions = {}
    for row in hidden.compared:
        loaded = load(hidden.path(row), [model.preprocess for model in models])
        by_model = []
        for one, pixels in zip(models, loaded.inputs, strict=True):
            columns = metadata.encode(row, one.metadata_columns)
            by_model.append(float(one.predict(pixels[None], columns[None])[0]))
        predictions[row["image_id"]] = Prediction(
            pixels=loaded.inputs[0], probability=sum(by_model) / len(by_model)
        )
    return predictions
