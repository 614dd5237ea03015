"""What the notebook's GPU is too old for, by what the code and the weights say.

A laptop's or a rented GPU is often newer than Kaggle's T4. What it alone can do fails there, or
takes many times as long, and a rehearsal on a CPU does not meet it.
"""

import json
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO

from bundler.rehearse.checks import tree
from inference.boot import bundle as reader
from inference.boot import files
from inference.boot.bundle import Bundle
from inference.boot.manifest import ModelFiles
from inference.errors import BundleError

# Compute capability of the accelerators that Kaggle has had (NVIDIA, "CUDA GPU Compute
# Capability"); bfloat16 and FlashAttention-2 need 8.0, the Ampere generation.
CAPABILITY = {"P100": 6.0, "V100": 7.0, "T4": 7.5, "A100": 8.0, "L4": 8.9, "H100": 9.0}
AMPERE = 8.0
BFLOAT16 = re.compile(r"""torch\.bfloat16\b|\.bfloat16\(|["']bf(?:loat)?16(?:-mixed|-true)?["']""")
FLASH = re.compile(
    r"""["']flash_attention_2["']|^\s*(?:import|from)\s+flash_attn\b""", re.MULTILINE
)
ASKS = re.compile(r"is_bf16_supported|get_device_capability")  # code that knows of old GPUs
ENGINES = (".engine", ".plan", ".trt")
LONGEST_HEADER = 100 << 20  # bytes; the safetensors format's own limit


def demands(
    texts: Mapping[str, str], model: Bundle | None, locked: Mapping[str, str], accelerator: str
) -> Iterator[str]:
    """Yield what the accelerator of the notebook cannot do, or not at speed.

    `texts` are the tree's source files, `locked` the wheels' versions by package.
    """
    held = model if model and isinstance(model.manifest.part, ModelFiles) else None
    names = list(files.contents(held).files) if held else []
    for name in names:
        if name.lower().endswith(ENGINES):
            yield (
                f"{name} is a TensorRT engine: it loads only on the kind of GPU and the version of "
                f"TensorRT that it was built with, here {accelerator or 'no GPU at all'}. Build it "
                "in a notebook with the same accelerator and image."
            )
    kind = next((kind for kind in CAPABILITY if kind in accelerator.upper()), "")
    if CAPABILITY.get(kind, AMPERE) >= AMPERE:
        return
    gpu = f"a {kind} (compute capability {CAPABILITY[kind]})"
    if "flash-attn" in locked:
        yield f"flash-attn {locked['flash-attn']} needs an Ampere GPU; the notebook has {gpu}."
    yield from _code(texts, gpu)
    if held:
        for name in _bfloat16_weights(held):
            yield (
                f"{name} holds bfloat16, which {gpu} has not: vLLM refuses it, PyTorch emulates "
                "it slowly. Load the weights as float16 or float32."
            )


def _code(texts: Mapping[str, str], gpu: str) -> Iterator[str]:
    for name, text in texts.items():
        if not tree.runs(name) or ASKS.search(text):
            continue
        if match := BFLOAT16.search(text):
            yield (
                f"{_line(name, text, match)} asks for bfloat16, which {gpu} has not: PyTorch "
                "emulates it slowly, vLLM refuses it. Use float16 there."
            )
        if match := FLASH.search(text):
            yield (
                f"{_line(name, text, match)} asks for FlashAttention-2, which needs an Ampere GPU; "
                f'the notebook has {gpu}. Use attn_implementation="sdpa" there.'
            )


def _line(name: str, text: str, match: re.Match[str]) -> str:
    start = match.end() - len(match[0].lstrip())
    return f"{name}:{text.count(chr(10), 0, start) + 1}"


def _bfloat16_weights(model: Bundle) -> Iterator[str]:
    """Yield the files of weights that hold bfloat16 tensors, by their headers alone."""
    held = files.contents(model)
    try:
        for file in held.alone:
            with reader.locate(model.folder, file).open("rb") as stream:
                if _has_bfloat16(file.name, stream):
                    yield file.name
        for volume in held.volumes:
            with tarfile.open(reader.locate(model.folder, volume)) as archive:
                for member in archive:
                    content = archive.extractfile(member)
                    if content is not None and _has_bfloat16(member.name, content):
                        yield member.name
    except (BundleError, OSError, tarfile.TarError):
        return  # the check of the bundles says so


def _has_bfloat16(name: str, stream: IO[bytes]) -> bool:
    if name.endswith(".safetensors"):
        return _safetensors(stream)
    if name.endswith((".pt", ".pth", ".ckpt", ".bin")):
        return _torch(stream)
    return False


def _safetensors(stream: IO[bytes]) -> bool:
    """Look into the JSON header, which begins with its length (safetensors format)."""
    try:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(min(length, LONGEST_HEADER)))
        return any(
            isinstance(entry, dict) and entry.get("dtype") == "BF16" for entry in header.values()
        )
    except (struct.error, ValueError, AttributeError, RecursionError):
        return False


def _torch(stream: IO[bytes]) -> bool:
    """Look for the name of the storage's class; nothing is unpickled."""
    try:
        with zipfile.ZipFile(stream) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            return any(b"BFloat16Storage" in archive.read(name) for name in pickles)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
        return False
