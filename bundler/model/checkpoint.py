"""A checkpoint: what a file holds, read without running anything that it says.

Reads this project's format, plain state_dicts, the usual dicts around one, Lightning's, and
safetensors. Always `weights_only`: a pickle that needs more is refused.
"""

import argparse
import hashlib
import math
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundler.errors import InputError
from bundler.model import naming

FORMAT = 1
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".tar")
# Weights averaged over the training come first: where they exist the metrics are theirs.
STATE_KEYS = (
    *("ema", "ema_state_dict", "state_dict_ema", "model_ema", "model_ema_state_dict"),
    *("state_dict", "model_state_dict", "model", "model_state", "net", "network", "weights"),
    "module",
)
_ARCH_KEYS = ("arch", "architecture", "model_name", "timm_model", "backbone", "encoder")
# What this project's own format holds, by type.
_NUMBER, _MAYBE = (int, float), type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("model_kwargs", "preprocess", "normalize", "metrics"), (Mapping,)),
    **dict.fromkeys(("fold", "epoch"), (int, _MAYBE)),
    **dict.fromkeys(("run_id", "commit"), (str, _MAYBE)),
    "arch": (str,),
    "prevalence": (*_NUMBER, _MAYBE),
    "dirty": (bool, _MAYBE),
}
_HEAD = 512  # bytes looked at to tell what a file really is
_WAY_OUT = (
    "Load it where it was trained, in an environment you trust, and save the weights alone: "
    "torch.save({'state_dict': model.state_dict()}, 'weights.pth')."
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights and what their file says of them; None where it does not say.

    `ours` marks this project's own format, which says everything; `source` is the key that the
    weights were found under; `when` is the file's time of modification (seconds).
    """

    path: Path
    state: Mapping[str, torch.Tensor] = field(repr=False)
    ours: bool = False
    source: str = ""
    when: float = 0.0
    arch: str | None = None
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Mapping[str, Any] | None = None
    normalize: Mapping[str, Any] | None = None
    metadata_columns: tuple[str, ...] = ()
    fold: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    prevalence: float | None = None
    run_id: str | None = None
    commit: str | None = None
    dirty: bool | None = None


def read(path: Path, *, mapped: bool = False) -> Checkpoint:
    """Read a checkpoint. Raises InputError where it cannot be read or holds no weights.

    `mapped` leaves the weights on the disk until they are used: enough to list a folder.
    """
    content = _load(path, mapped)
    if isinstance(content, Mapping) and content.get("format") == FORMAT and "arch" in content:
        return _read_ours(path, content)
    state, source = _find_state(content, path)
    named = naming.parse(Path(path.name.removesuffix(".tar")).stem)  # of x.pth.tar: x
    said = content if isinstance(content, Mapping) and source else {}
    return Checkpoint(
        path=path,
        state=state,
        source=source,
        when=path.stat().st_mtime,
        arch=_find_arch(said),
        fold=_number(said.get("fold"), named.fold),
        epoch=_number(said.get("epoch"), named.epoch),
        metrics=_find_metrics(said) or named.metrics,
        run_id=said["run_id"] if isinstance(said.get("run_id"), str) else None,
    )


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_ours(path: Path, content: Mapping[str, Any]) -> Checkpoint:
    own = ("arch", "model_kwargs", "preprocess", "normalize", "fold", "epoch", "metrics")
    more = ("prevalence", "run_id", "commit", "dirty")
    missing = [name for name in ("model", *own, *more) if name not in content]
    if missing:
        raise InputError(
            f"The checkpoint {path} lacks {', '.join(missing)}. It says that it is of format "
            f"{FORMAT}; write it with train.checkpoint.save."
        )
    source = "model" if content.get("ema") is None else "ema"
    columns = content.get("metadata_columns") or ()
    wrong = [name for name, kinds in _KINDS.items() if not isinstance(content[name], kinds)]
    wrong += [] if _is_state(content[source]) else [source]
    wrong += [] if _is_list_of(columns, str) else ["metadata_columns"]
    wrong += [] if _is_normalize(content["normalize"]) else ["normalize"]
    wrong += [] if _has_counts(content["model_kwargs"]) else ["model_kwargs"]
    wrong = list(dict.fromkeys(wrong))
    if wrong:
        raise InputError(
            f"The checkpoint {path} holds something else than it should as {', '.join(wrong)}; "
            "write it with train.checkpoint.save."
        )
    return Checkpoint(
        path=path,
        state=_tensors(content[source]),
        ours=True,
        source=source,
        when=path.stat().st_mtime,
        metrics=_find_metrics(content),
        metadata_columns=tuple(columns),
        **{name: content[name] for name in (*own, *more) if name != "metrics"},
    )


def _is_list_of(value: Any, *kinds: type) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, kinds) for item in value)


def _is_normalize(value: Any) -> bool:
    """Say whether mean, std and scale are numbers, or the first two one for each channel."""
    return isinstance(value, Mapping) and all(
        isinstance(value.get(name), (*_NUMBER, _MAYBE))
        or (name != "scale" and _is_list_of(value[name], *_NUMBER))
        for name in ("mean", "std", "scale")
    )


def _has_counts(kwargs: Any) -> bool:
    """Say whether the channels and outputs of a network are numbers, where they are given."""
    return isinstance(kwargs, Mapping) and all(
        isinstance(kwargs.get(name, 1), int) for name in ("in_chans", "num_classes")
    )


# --- reading bytes ---


def _load(path: Path, mapped: bool) -> Any:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise InputError(f"The checkpoint {path} cannot be read: {error.strerror}.") from error
    _refuse_lookalikes(path, head)
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _load_safetensors(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless_types()):
            # This project's own are of protocol 4, and what torch may not read of it, it refuses.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            archive = head.startswith(b"PK")  # only the zip format can be mapped
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and archive)
    except pickle.UnpicklingError as error:
        raise _refused_pickle(path, str(error)) from error
    except Exception as error:  # bytes that are no pickle raise anything at all
        raise InputError(
            f"{path} cannot be read as a checkpoint ({_first_sentence(error)}). It is cut short or "
            "damaged: compare its size with the original's and copy it again."
        ) from error


def _load_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as safetensors ({_first_sentence(error)}). It is cut short or "
            "damaged: copy it again."
        ) from error


def _refuse_lookalikes(path: Path, head: bytes) -> None:
    """Name what was saved in a checkpoint's place: nothing, a web page, a pointer of git-lfs."""
    text = head.lstrip().lower()
    if not head:
        raise InputError(f"The checkpoint {path} is empty. Copy or download it again.")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(
            f"{path} is a web page, no checkpoint: a download that ended on a log-in or an error "
            "page. Open it in a browser to see what it says, and download the file itself."
        )
    if text.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a pointer of git-lfs, no checkpoint. Run `git lfs pull`.")


def _refused_pickle(path: Path, said: str) -> InputError:
    named = re.search(r"GLOBAL ([\w.]+)", said) or re.search(r"class ([\w.]+)", said)
    if named is None:
        reason = _first_sentence(said.partition("WeightsUnpickler error: ")[2] or said)
        return InputError(
            f"{path} cannot be read as a checkpoint ({reason}); nothing in it was run. If it is "
            f"whole, it holds more than weights. {_WAY_OUT}"
        )
    return InputError(
        f"{path} is a pickle that wants to run {named[1]}; it was not run. A checkpoint needs "
        f"nothing but tensors and plain values. {_WAY_OUT}"
    )


def _harmless_types() -> list[Any]:
    """Return the types beyond torch's own that hold only values: numpy's scalars, a Namespace."""
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    rebuild = np.float64(0).__reduce__()[0]  # numpy's own function that makes a scalar
    return [rebuild, np.dtype, argparse.Namespace, *dtypes]


def _first_sentence(said: object) -> str:
    """Return what an error says first: torch's advice that follows is not for our readers."""
    sentences = re.split(r"\.?\s*\n|\.\s", str(said).strip(), maxsplit=1)
    return sentences[0][:200] or type(said).__name__


# --- finding things in them ---


def _find_state(content: Any, path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Return the weights and the key they were found under ("" where they are the file)."""
    if _is_state(content):
        return _tensors(content), ""
    if isinstance(content, Mapping):
        for key in STATE_KEYS:
            value = content.get(key)
            if isinstance(value, Mapping) and not _is_state(value):
                value = value.get("module", value.get("state_dict"))
            if isinstance(value, Mapping) and _is_state(value):
                return _tensors(value), key
        keys = ", ".join(sorted(str(key) for key in content)[:8]) or "nothing"
        if any("optim" in str(key).lower() for key in content) or "param_groups" in content:
            raise InputError(
                f"{path} holds the optimizer's state and no weights (keys: {keys}). Take the "
                "file that holds the model."
            )
        raise InputError(
            f"{path} holds no weights under a name that is known (keys: {keys}). Save them as "
            "{'state_dict': model.state_dict()}."
        )
    raise InputError(
        f"{path} holds a {type(content).__name__}, no weights. Save model.state_dict() instead."
    )


def _is_state(value: Any) -> bool:
    """Say whether a value maps names to tensors (a state_dict may hold a few other things)."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    tensors = sum(isinstance(item, torch.Tensor) for item in value.values())
    return tensors > 0 and tensors >= len(value) / 2 and any("." in key for key in value)


def _tensors(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {key: item for key, item in state.items() if isinstance(item, torch.Tensor)}


def _find_arch(said: Mapping[str, Any]) -> str | None:
    """Return the architecture that a file names, at the top or among its hyperparameters."""
    places: list[Any] = [said]
    for key in ("hyper_parameters", "hparams", "config", "cfg", "args"):
        value = said.get(key)
        places.append(vars(value) if isinstance(value, argparse.Namespace) else value)
    for place in places:
        if isinstance(place, Mapping):
            names = [place.get(key) for key in _ARCH_KEYS]
            found = next((name for name in names if isinstance(name, str)), None)
            if found:
                return found
    return None


def _find_metrics(said: Mapping[str, Any]) -> dict[str, float]:
    metrics = said.get("metrics")
    if not isinstance(metrics, Mapping):
        return {}
    pairs = ((str(key), _float(value)) for key, value in metrics.items())
    return {key: value for key, value in pairs if value is not None and math.isfinite(value)}


def _float(value: Any) -> float | None:
    if isinstance(value, torch.Tensor):
        return float(value) if value.numel() == 1 else None
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return float(value) if number else None


def _number(value: Any, otherwise: int | None) -> int | None:
    found = _float(value)
    return int(found) if found is not None and found == found // 1 else otherwise
