"""What a checkpoint's file holds, read without running anything that is in it.

Always `weights_only`: a pickle that needs more is refused, with a way out.
"""

import argparse
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundler.errors import InputError
from bundler.model import archives
from inference.boot.manifest import check_name

_HEAD = 512  # bytes looked at to tell what a file really is
_WAY_OUT = (
    "Load it where it was trained, in an environment you trust, and save the weights alone: "
    "torch.save({'state_dict': model.state_dict()}, 'weights.pth')."
)


def load(path: Path, mapped: bool) -> Any:
    """Return what a checkpoint's file holds: tensors and plain values, or InputError.

    `mapped` leaves the tensors on the disk until they are looked at, where the format lets them.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise InputError(f"The checkpoint {path} cannot be read: {error.strerror}.") from error
    _check_name(path)
    _refuse_lookalikes(path, head)
    if head.startswith(b"PK"):
        archives.check(path)
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


def _check_name(path: Path) -> None:
    """Refuse a file name that a bundle cannot record, or a terminal not show."""
    try:
        check_name(path.name)
        path.name.encode()
    except ValueError as error:  # of which a name that is not UTF-8 is one
        raise InputError(
            f"The checkpoint {str(path)!r} cannot keep its name in a bundle: it has control "
            "characters, a backslash or bytes that are not UTF-8. Rename it."
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
    """Refuse what a download left instead of a checkpoint: a web page, a git-lfs pointer."""
    text = head.lstrip().lower()
    if not head:
        raise InputError(f"The checkpoint {path} is empty. Copy or download it again.")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(
            f"{path} is a web page, not a checkpoint: the download ended on a log-in or an error "
            "page. Open it in a browser to read it, and download the file itself."
        )
    if (b"pytorch" in head[:64] and head[:1] == b"\x08") or path.suffix == ".onnx":
        raise InputError(f"{path} is an ONNX file: a whole network. Adopt it with --onnx {path}.")
    if text.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a git-lfs pointer, not a checkpoint. Run `git lfs pull`.")


def _refused_pickle(path: Path, message: str) -> InputError:
    named = re.search(r"GLOBAL ([\w.]+)", message) or re.search(r"class ([\w.]+)", message)
    if named is None:
        reason = _first_sentence(message.partition("WeightsUnpickler error: ")[2] or message)
        return InputError(
            f"{path} cannot be read as a checkpoint ({reason}); nothing in it was run. If it is "
            f"whole, it holds more than weights. {_WAY_OUT}"
        )
    if re.search(r"(^|\.)(nn|timm|torchvision|models?|networks?)\.", named[1]) or (
        named[1].startswith("__main__.")
    ):
        return InputError(
            f"{path} holds a whole pickled module or another object of the class {named[1]}, not "
            "its weights alone: to read it would run its author's code, so it was not run. "
            f"{_WAY_OUT} A network that timm does not build is then named with --factory."
        )
    return InputError(
        f"{path} is a pickle that would run {named[1]}; it was not run. A checkpoint needs "
        f"only tensors and plain values. {_WAY_OUT}"
    )


def _harmless_types() -> list[Any]:
    """Return the types beyond torch's own that hold only values: numpy's scalars, a Namespace."""
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    rebuild = np.float64(0).__reduce__()[0]  # numpy's own function that makes a scalar
    return [rebuild, np.dtype, argparse.Namespace, *dtypes]


def _first_sentence(error: object) -> str:
    """Return an error's first sentence: torch's advice that follows is to disable our check."""
    sentences = re.split(r"\.?\s*\n|\.\s", str(error).strip(), maxsplit=1)
    return sentences[0][:200] or type(error).__name__
