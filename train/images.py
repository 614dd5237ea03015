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
        """Return the rows whose image can be read; DataError where too many cannot.

        Suspicious images are kept, and said.
        """
        suspicious = sorted(self.cache.suspicious.keys() & set(rows.image_id))
        if suspicious:
            _warn(
                f"{len(suspicious)} of {len(rows)} images come from files that may be damaged, "
                f"{suspicious[0]} for one: {self.cache.suspicious[suspicious[0]]}. They are "
                f"trained on; all are named in {self.cache.folder / 'suspicious.csv'}. Remove "
                "their rows from train.csv to leave them out."
            )
        readable = rows.image_id.isin(self.cache.rows.keys())
        lost = rows[~readable]
        if not len(lost):
            return rows.copy()
        first = lost.image_id.iloc[0]
        reason = self.cache.failures.get(first, "It is not in the cache.")
        message = (
            f"{len(lost)} of {len(rows)} images cannot be read, {first} for one: {reason} "
            f"All are named in {self.cache.folder / 'failures.csv'}."
        )
        if len(lost) > self.max_failures * len(rows):
            raise DataError(
                f"{message} That is more than data.max_failures={self.max_failures} allows."
            )
        blind = set(lost.prediction_id) - set(rows[readable].prediction_id)
        _warn(f"{message} They are left out; {len(blind)} breasts have no image left.")
        return rows[readable].reset_index(drop=True)


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
    folder = default_folder(cfg, config)
    if cfg.data.cache and not storage.is_remote(cfg.data.cache):
        folder = storage.local(cfg.data.cache)
    if processes.first:
        if cfg.data.cache and storage.is_remote(cfg.data.cache):
            storage.fetch(cfg.data.cache, folder)
            _check(folder, config, rows)
        elif not _lacks_images(cfg.data.dir) and not packed.is_packed(folder):
            # Where the cache is complete, this is cheap, and it sees what changed.
            made = prepare(cfg.data.dir, str(folder), config, workers=os.cpu_count() or 1)
            if made.strays:
                _warn(f"{len(made.strays)} files have no row in train.csv: {made.strays[0]}, …")
        else:
            _check(folder, config, rows)
    processes.wait()
    return CachedImages(
        cache=cache.open_cache(folder), preprocess=config, max_failures=cfg.data.max_failures
    )


def default_folder(cfg: DictConfig, config: PreprocessConfig) -> Path:
    """Return where a cache lies beside the run, another folder for each source and size."""
    source = cfg.data.dir
    if not storage.is_remote(source):
        source = str(Path(source).resolve())
    name = re.sub(r"[^A-Za-z0-9]+", "-", Path(source).name).strip("-")
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    size = "x".join(map(str, config.size))
    return Path(cfg.out).parent / "cache" / f"{name}-{cfg.data.preset}-{size}-{digest}"


def _lacks_images(competition: str) -> bool:
    """Return whether a competition folder holds only tables, so that a cache must suffice."""
    return (
        not storage.is_remote(competition)
        and not (storage.local(competition) / "train_images").exists()
    )


def _check(folder: Path, config: PreprocessConfig, rows: pd.DataFrame) -> None:
    """Raise DataError where a cache is not of this preprocessing and these images."""
    existing = cache.open_cache(folder)
    if existing.preprocess != config:
        raise DataError(
            f"{folder} is a cache of another preprocessing ({existing.preprocess.as_dict()}) than "
            f"the run's ({config.as_dict()}). Prepare one with the run's, or change data.preset "
            "and data.size."
        )
    lacking = set(rows.image_id) - existing.rows.keys() - existing.failures.keys()
    if lacking:
        raise DataError(
            f"{folder} lacks {len(lacking)} of the table's images, {min(lacking)} for one, and "
            "data.dir has no train_images to make them from."
        )


def _warn(message: str) -> None:
    print(f"train: {message}", file=sys.stderr)
