"""Prepared images as small pictures that a page can carry in itself."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

HEIGHT = 224  # pixels


def pngs(path: Path) -> Iterator[str]:
    """Yield each uint8 [H, W] array of an .npz file as the data URI of a small PNG."""
    import numpy as np
    from PIL import Image

    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            picture = Image.fromarray(arrays[name])
            picture.thumbnail((HEIGHT, HEIGHT))
            out = io.BytesIO()
            picture.save(out, "PNG", optimize=True)
            yield "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
