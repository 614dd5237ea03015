"""What the model was shown, as small pictures for the report."""

import io
from collections.abc import Sequence

from bundler.competition.protocol import Picture
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.competition.screening.measurement import Pixels
from bundler.competition.screening.probe import Probed

HEIGHT = 224  # pixels


def draw(inputs: Sequence[Pixels], probed: Probed, hidden: HiddenSet) -> tuple[Picture, ...]:
    """Return a picture of each compared image, as the first model was shown it in the sandbox."""
    cases = {image.row["image_id"]: image.case for image in hidden.planted}
    pictures = []
    for row, png in zip(hidden.compared, map(_png, inputs), strict=False):
        name = row["image_id"]
        about = cases.get(name, f"{row['laterality']} {row['view']}")
        value = f"{probed.predictions[name]:.3f}"
        pictures.append(
            Picture(name=name, value=value, about=(row["prediction_id"], about), png=png)
        )
    return tuple(pictures)


def _png(pixels: Pixels) -> bytes:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((HEIGHT, HEIGHT))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
