"""Contact sheets: many images on one page, so that a person sees what the model sees."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    import pandas as pd

    from train.cache import Cache
    from train.data import Images

_TILE = 192  # pixels, the longer side
_CAPTION = 14


def sheet(images: Sequence[NDArray[np.uint8]], captions: Sequence[str], columns: int = 8) -> bytes:
    """Return a PNG of uint8 [H, W] images in rows of `columns`, each with its caption."""
    height, width = images[0].shape
    shrink = min(1.0, _TILE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    rows = -(-len(images) // columns)
    cell = (max(size[0], 64) + 4, size[1] + _CAPTION + 4)
    page = Image.new("L", (columns * cell[0], rows * cell[1]), 48)
    pen = ImageDraw.Draw(page)
    for number, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = number % columns * cell[0] + 2, number // columns * cell[1] + 2
        page.paste(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), (left, top))
        pen.text((left, top + size[1]), caption[: cell[0] // 6], fill=230)
    content = io.BytesIO()
    page.save(content, "PNG")
    return content.getvalue()


def by_machine(rows: pd.DataFrame, cache: Cache, count: int = 32) -> dict[str, bytes]:
    """Return a sheet for each site and machine: name → PNG."""
    sheets = {}
    for (site, machine), group in rows.groupby(["site_id", "machine_id"], dropna=False):
        shown = [row for row in group.head(count).itertuples() if row.image_id in cache.rows]
        if shown:
            sheets[f"site{site}_machine{machine}.png"] = sheet(
                [cache.read(row.image_id) for row in shown],
                [f"{row.laterality} {row.view} {'*' if row.cancer else ''}" for row in shown],
            )
    return sheets


def train_and_inference(images: Images, count: int = 8, draws: int = 5) -> bytes:
    """Return a PNG: each row an image as inference sees it, then as training does."""
    tiles, captions = [], []
    for row in range(min(count, len(images))):
        tiles.append(images[row].image[0].numpy())
        captions.append("inference")
        for draw in range(draws):
            tiles.append(images[row, row * draws + draw].image[0].numpy())
            captions.append("training")
    return sheet(tiles, captions, columns=draws + 1)
