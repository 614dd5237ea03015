"""Items: what training sees is what inference sees, until it is augmented on purpose."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from inference.pixels.loading import load
from train import cache, sheets, table
from train.augmentation import Augmentation
from train.data import UNKNOWN, Images, auxiliary_classes, check_metadata
from train.errors import ConfigError
from train.images import preprocess_config
from train.prepare import prepare

CONFIG = preprocess_config("roi-1024x512", (96, 48))
STRONG = Augmentation(
    flip_horizontal=0.5,
    flip_vertical=0.5,
    degrees=20,
    translate=0.1,
    scale=(0.8, 1.2),
    shear=10,
    brightness=0.2,
    contrast=0.2,
    holes=6,
)


@pytest.fixture(scope="module")
def prepared(competition, tmp_path_factory):
    place = tmp_path_factory.mktemp("cache")
    prepare(str(competition.folder), str(place), CONFIG, quiet=True)
    return table.read(competition.folder), cache.open_cache(place)


def test_an_unaugmented_item_is_inferences_input(competition, prepared):
    rows, made = prepared
    for augment in (None, STRONG.build()):
        images = Images(rows, made, augment=augment)
        for number in (0, 5, 11):
            row = rows.iloc[number]
            path = table.image_path(competition.folder, row.patient_id, row.image_id)
            expected = load(path, [CONFIG]).inputs[0]
            assert images[number].image.numpy()[0].tobytes() == expected.tobytes()


def test_an_augmented_item_follows_from_its_seed_alone(prepared):
    images = Images(*prepared, augment=STRONG.build())
    state = torch.get_rng_state()
    first = images[3, 42].image
    assert torch.equal(state, torch.get_rng_state())
    assert first.dtype == torch.uint8
    assert first.shape == (1, 96, 48)
    torch.manual_seed(99)
    assert torch.equal(first, images[3, 42].image)
    assert not torch.equal(first, images[3, 43].image)
    assert not torch.equal(first, images[3].image)


@pytest.mark.parametrize(
    ("wish", "changed"),
    [
        ({"flip_horizontal": 1.0}, lambda image: image.flip(-1)),
        ({"flip_vertical": 1.0}, lambda image: image.flip(-2)),
    ],
)
def test_a_certain_flip_is_a_flip(prepared, wish, changed):
    images = Images(*prepared, augment=Augmentation(**wish).build())
    assert torch.equal(images[0, 1].image, changed(images[0].image))


def test_holes_are_black_and_of_the_size_asked_for():
    drop = Augmentation(holes=4, hole_area=0.02, holes_probability=1.0).build()
    white = torch.full((1, 200, 200), 255, dtype=torch.uint8)
    share = float((drop(white) == 0).float().mean())
    assert 0.004 <= share <= 0.09


def test_an_augmentation_that_always_zooms_is_refused():
    for scale in [(1.8, 2.2), (0.9, 1.8), (0.2, 1.0), (1.1, 1.2)]:
        with pytest.raises(ConfigError, match=r"aug\.scale"):
            Augmentation(scale=scale)
    with pytest.raises(ConfigError, match="hole_area"):
        Augmentation(hole_area=0.9)


def test_no_augmentation_is_none():
    assert Augmentation().build() is None


def test_auxiliary_targets_and_metadata(prepared):
    rows, made = prepared
    names = ["BIRADS", "density", "view", "invasive", "biopsy", "difficult_negative_case"]
    assert auxiliary_classes(names) == [3, 4, 2, 2, 2, 2]
    images = Images(rows, made, auxiliary=names, metadata_columns=["age", "implant", "view"])
    for number, row in rows.iterrows():
        found = images[number].auxiliary.tolist()
        reported = row.site_id == 1
        assert found[0] == (int(row.BIRADS) if reported else UNKNOWN)
        assert found[1] == ("ABCD".index(row.density) if reported else UNKNOWN)
        assert found[2] == {"CC": 0, "MLO": 1}.get(row["view"], UNKNOWN)
        assert found[3:] == [row.invasive, row.biopsy, row.difficult_negative_case]
    assert images.table.shape == (len(rows), 6)
    assert images.table.isfinite().all()
    with pytest.raises(ConfigError, match="Unknown target 'cancer'"):
        auxiliary_classes(["cancer"])
    with pytest.raises(ConfigError, match="Unknown column 'biopsy'"):
        check_metadata(["biopsy"])


def test_training_and_inference_side_by_side(prepared):
    images = Images(*prepared, augment=STRONG.build())
    page = np.asarray(Image.open(io.BytesIO(sheets.train_and_inference(images, count=3, draws=2))))
    assert page.std() > 10
