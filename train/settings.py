"""The configuration in plain types, and help with unknown keys."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from inference.boot.fields import Plain
from train.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def plain(cfg: DictConfig) -> dict[str, Plain]:
    """Return the resolved configuration in plain types."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        resolved = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "a setting"
        raise ConfigError(
            f"{key} has no value: {str(error).splitlines()[0]} Give it as {key}=VALUE."
        ) from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def flatten(settings: Mapping[str, Plain], prefix: str = "") -> dict[str, Plain]:
    """Return nested settings as one level: {"trainer.epochs": 15}; lists stay whole."""
    flat: dict[str, Plain] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def explain_unknown(overrides: Sequence[str]) -> str | None:
    """Return what is wrong with the overrides' keys, with the nearest right ones, or None.

    hydra names the key that it does not know, and not the one that was meant.
    """
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    given = [text for text in overrides if not text.startswith("-") and "=" in text]
    # A sweep over several values is for hydra to take apart.
    if not given or any(text.startswith("-") for text in overrides):
        return None
    with initialize_config_module("train.conf", version_base="1.3"):
        try:
            compose("config", overrides=given)
        except (HydraException, OmegaConfBaseException) as error:
            message = str(error)
            known = sorted(_keys(compose("config")))
            key = next((key for key in map(_key, given) if _is_blamed(key, message, known)), None)
            near = [] if key is None else _nearest(key, known)
            return message + (f"\nDid you mean {' or '.join(near)}?" if near else "")
    return None


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _is_blamed(key: str, message: str, known: Sequence[str]) -> bool:
    return key not in known and key.rpartition(".")[2] in message


def _nearest(key: str, known: Sequence[str]) -> list[str]:
    last = re.split(r"[./]", key)[-1]
    same = [name for name in known if name.rpartition(".")[2] == last]
    return (same + difflib.get_close_matches(key, known, n=3, cutoff=0.6))[:3]


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    from omegaconf import DictConfig as Section

    for key in cfg:
        yield f"{prefix}{key}"
        value = cfg._get_node(key)
        if isinstance(value, Section):
            yield from _keys(value, f"{prefix}{key}.")
