"""The run's images: the cache it learns from, made where it is absent."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from inference.pixels.preprocess import PRESETS, PreprocessConfig
from train import cache, packed, storage
from train.errors import ConfigError, DataError
from train.prepare import prepare

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

    from train.processes import Processes


@dataclass(frozen=True, kw_only=True)
class CachedImages:
    """A cache that holds every image of the table, or says why not."""

    cache: cache.Cache
    preprocess: PreprocessConfig
    max_failures: float

    def readable(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows whose image can be read; DataError where too many cannot."""
        there = rows.image_id.isin(self.cache.rows.keys())
        lost = rows[~there]
        if not len(lost):
            return rows.copy()
        first = lost.image_id.iloc[0]
        why = self.cache.failures.get(first, "it is not in the cache")
        said = (
            f"{len(lost)} of {len(rows)} images cannot be read, {first} for one: {why} "
            f"All are named in {self.cache.folder / 'failures.csv'}."
        )
        if len(lost) > self.max_failures * len(rows):
            raise DataError(f"{said} That is more than data.max_failures allows.")
        blind = set(lost.prediction_id) - set(rows[there].prediction_id)
        _say(f"{said} They are left out; {len(blind)} breasts have no image left.")
        return rows[there].reset_index(drop=True)


def preprocess_config(preset: str, size: tuple[int, int] | None) -> PreprocessConfig:
    """Return a preset of inference.pixels, at another size if one is given."""
    if preset not in PRESETS:
        raise ConfigError(f"data.preset is {preset!r}, not one of {', '.join(sorted(PRESETS))}.")
    config = PRESETS[preset]
    if size is None:
        return config
    if len(size) != 2 or not all(isinstance(side, int) and side >= 16 for side in size):
        raise ConfigError(f"data.size is {list(size)}; it is [height, width], 16 or more each.")
    return replace(config, size=(size[0], size[1]))


def open_images(cfg: DictConfig, rows: pd.DataFrame, processes: Processes) -> CachedImages:
    """Open the run's cache, after the first process has made or completed it."""
    config = preprocess_config(cfg.data.preset, cfg.data.size and tuple(cfg.data.size))
    place = default_place(cfg, config)
    if cfg.data.cache and not storage.is_remote(cfg.data.cache):
        place = storage.local(cfg.data.cache)
    if processes.first:
        if cfg.data.cache and storage.is_remote(cfg.data.cache):
            storage.fetch(cfg.data.cache, place)
            _check(place, config, rows)
        elif not _serves_alone(cfg.data.dir) and not packed.is_packed(place):
            made = prepare(cfg.data.dir, str(place), config, workers=os.cpu_count() or 1)
            if made.strays:
                _say(f"{len(made.strays)} files have no row in train.csv: {made.strays[0]}, …")
        else:
            _check(place, config, rows)
    processes.wait()
    return CachedImages(
        cache=cache.open_cache(place), preprocess=config, max_failures=cfg.data.max_failures
    )


def default_place(cfg: DictConfig, config: PreprocessConfig) -> Path:
    """Return a cache's place beside the run, another for each source and size."""
    source = cfg.data.dir
    if not storage.is_remote(source):
        source = str(Path(source).resolve())
    name = re.sub(r"[^A-Za-z0-9]+", "-", Path(source).name).strip("-")
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    size = "x".join(map(str, config.size))
    return Path(cfg.out).parent / "cache" / f"{name}-{cfg.data.preset}-{size}-{digest}"


def _serves_alone(competition: str) -> bool:
    """Tell whether the source's images are elsewhere, so that a cache must do without them."""
    # Otherwise preparing again is cheap, and sees what changed.
    return (
        not storage.is_remote(competition)
        and not (storage.local(competition) / "train_images").exists()
    )


def _check(place: Path, config: PreprocessConfig, rows: pd.DataFrame) -> None:
    """Raise DataError where a cache is not of this preprocessing and these images."""
    found = cache.open_cache(place)
    ours = config.as_dict()
    if not cache.same_preprocess(found.preprocess, ours):
        raise DataError(
            f"{place} is a cache of another preprocessing ({found.preprocess}) than the run's "
            f"({ours})."
        )
    lacking = set(rows.image_id) - found.rows.keys() - found.failures.keys()
    if lacking:
        raise DataError(
            f"{place} lacks {len(lacking)} of the table's images, {min(lacking)} for one, and "
            "the competition's train_images are not here to make them from."
        )


def _say(what: str) -> None:
    print(f"train: {what}", file=sys.stderr)
