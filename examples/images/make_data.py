"""Draw a phantom competition: is a leaf healthy, or has it rust or scab?"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

DATA = Path("data")
CLASSES = ("healthy", "rust", "scab")
SPOTS = {"rust": (190, 90, 20), "scab": (60, 50, 40)}
SIZE = 96


def draw(label: str, rng: np.random.Generator) -> Image.Image:
    """Return a green leaf with the spots of its disease."""
    image = Image.new("RGB", (SIZE, SIZE), (225, 220, 210))
    pen = ImageDraw.Draw(image)
    green = int(rng.integers(110, 170))
    pen.ellipse((8, 24, SIZE - 8, SIZE - 24), fill=(60, green, 50))
    for x, y in rng.integers(30, SIZE - 30, (6, 2)).tolist():
        if label in SPOTS:
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=SPOTS[label])
    return image.rotate(float(rng.uniform(0, 360)), fillcolor=(225, 220, 210))


def write(name: str, images: int, seed: int) -> pd.DataFrame:
    """Write the images of `train` or `test`, and return their table with the labels."""
    rng = np.random.default_rng(seed)
    folder = DATA / f"{name}_images"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in rng.choice(10**6, images, replace=False):
        label = str(rng.choice(CLASSES))
        draw(label, rng).save(folder / f"{number:06d}.png")
        rows.append({"image_id": f"{number:06d}"} | {one: int(one == label) for one in CLASSES})
    return pd.DataFrame(rows)


def main() -> None:
    """Write train.csv, test.csv with the two rows that the public sees, and a sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parquet", action="store_true", help="ask for a submission.parquet")
    options = parser.parse_args()
    write("train", 240, seed=1).to_csv(DATA / "train.csv", index=False)
    test = write("test", 2, seed=2)[["image_id"]]
    test.to_csv(DATA / "test.csv", index=False)
    sample = test.assign(**dict.fromkeys(CLASSES, 1 / 3))
    if options.parquet:
        sample.to_parquet(DATA / "sample_submission.parquet", index=False)
    else:
        sample.to_csv(DATA / "sample_submission.csv", index=False)


if __name__ == "__main__":
    main()
