"""Items for the network: an image of the cache with what the table says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from inference import metadata
from train.augmentation import Transform
from train.cache import Cache
from train.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

# Auxiliary targets and their classes; a cell that is none of them is left out of the loss.
AUXILIARY: Mapping[str, tuple[str, ...]] = {
    "BIRADS": ("0", "1", "2"),
    "density": ("A", "B", "C", "D"),
    "view": ("CC", "MLO"),
    "invasive": ("0", "1"),
    "biopsy": ("0", "1"),
    "difficult_negative_case": ("False", "True"),
}
UNKNOWN = -100  # torch's cross entropy ignores it


class Item(NamedTuple):
    """One image, or a batch of them with a leading N."""

    image: Tensor  # uint8 [1, H, W]
    target: Tensor  # float32 []
    table: Tensor  # float32 [K]
    auxiliary: Tensor  # int64 [A]
    row: Tensor  # int64 []: of the part's table

    def to(self, device: torch.device) -> Item:
        """Return the item on a device; a copy from pinned memory is not waited for."""
        return Item(*(part.to(device, non_blocking=True) for part in self))


def auxiliary_classes(columns: Sequence[str]) -> list[int]:
    """Return how many classes each auxiliary target has; ConfigError for an unknown one."""
    unknown = [column for column in columns if column not in AUXILIARY]
    if unknown:
        raise ConfigError(
            f"Unknown target {unknown[0]!r} in model.auxiliary. Choose among "
            f"{', '.join(AUXILIARY)}."
        )
    return [len(AUXILIARY[column]) for column in columns]


def check_metadata(columns: Sequence[str]) -> None:
    """Raise ConfigError for a column that the hidden test's table does not have."""
    unknown = [column for column in columns if column not in metadata.WIDTHS]
    if unknown:
        raise ConfigError(
            f"Unknown column {unknown[0]!r} in model.metadata. Choose among "
            f"{', '.join(metadata.WIDTHS)}: a model can only use what the hidden test's table "
            "holds."
        )


def auxiliary_targets(rows: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """Return the classes of the rows' auxiliary targets, int64 [N, A]."""
    targets = np.full((len(rows), len(columns)), UNKNOWN, np.int64)
    for number, column in enumerate(columns):
        if column not in rows:
            continue
        classes = {name: index for index, name in enumerate(AUXILIARY[column])}
        for row, cell in enumerate(rows[column].tolist()):
            name = str(int(cell)) if isinstance(cell, float) and cell == cell else str(cell)
            targets[row, number] = classes.get(name, UNKNOWN)
    return targets


class Images(Dataset[Item]):
    """Rows of the table with their images. An index is a row, or (row, seed) to augment it."""

    def __init__(
        self,
        rows: pd.DataFrame,
        cache: Cache,
        *,
        augment: Transform | None = None,
        metadata_columns: Sequence[str] = (),
        auxiliary: Sequence[str] = (),
    ) -> None:
        """Take the rows of one part; the images stay on the disk."""
        self.cache, self.augment = cache, augment
        self.ids = rows.image_id.tolist()
        self.targets = torch.tensor(rows.cancer.to_numpy(np.float32))
        cells = rows.astype(object).where(rows.notna(), None).to_dict("records")
        encoded = [metadata.encode(row, metadata_columns) for row in cells]
        self.table = torch.from_numpy(np.stack(encoded))
        self.auxiliary = torch.from_numpy(auxiliary_targets(rows, auxiliary))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def __getitem__(self, index: int | tuple[int, int]) -> Item:
        """Return an image as inference sees it, or augmented by the seed given with it."""
        row, seed = index if isinstance(index, tuple) else (index, None)
        image = torch.from_numpy(self.cache.read(self.ids[row]))[None]
        if self.augment is not None and seed is not None:
            # The seed travels with the index, and the global stream stays as it was: an image is
            # augmented alike whichever loading process has it, and after an interruption.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                image = self.augment(image)
        return Item(
            image, self.targets[row], self.table[row], self.auxiliary[row], torch.tensor(row)
        )


def loader(images: Images, batches: Iterable[list[Any]], workers: int) -> DataLoader[Item]:
    """Return what yields the batches, loaded by so many processes (0: by this one)."""
    return DataLoader(
        images,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=join,
        # One of its own: a loader must not draw from the stream that dropout draws from.
        generator=torch.Generator(),
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def join(items: Sequence[Item]) -> Item:
    """Join items to a batch."""
    return Item(*(torch.stack(parts) for parts in zip(*items, strict=True)))
