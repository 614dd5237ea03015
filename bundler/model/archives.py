"""What a zip file is, by the names in it and the sizes that it declares: nothing is unpacked.

torch writes weights, TorchScript and exported programs all as zip archives; which one it is shows
in their members' names.
"""

import zipfile
from collections.abc import Collection
from pathlib import Path

from bundler.errors import InputError

# torch stores its members as they are, so that these sums are nearly equal in what it writes.
MOST_INFLATED = 10  # times the file's own size
SMALL = 100 << 20  # bytes that any machine has: what inflates to less harms nothing
_AS_ONNX = "or export it to ONNX there, and adopt that with --onnx."


def check(path: Path) -> None:
    """Refuse a zip archive that is no file of weights, or that would inflate beyond reason."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # torch says what is wrong with it
    declared, size = sum(entry.file_size for entry in entries), path.stat().st_size
    if declared > max(MOST_INFLATED * size, SMALL):
        raise InputError(
            f"{path} has {size / 1e6:.1f} MB and declares {declared / 1e9:.1f} GB of contents, so "
            "it was not unpacked. torch.save compresses nothing: save the weights again."
        )
    names = {entry.filename for entry in entries}
    if kind := _kind(names):
        raise InputError(f"{path} is {kind}")


def _kind(names: Collection[str]) -> str | None:
    """Return what an archive is instead of weights, with the way out."""
    inner = {name.partition("/")[2] for name in names}  # below the archive's own folder
    if any(name.startswith("code/") for name in inner) and "constants.pkl" in inner:
        return (
            "a TorchScript module: a program and its weights, which may be taken out where you "
            "trust it: torch.save(torch.jit.load(FILE, 'cpu').state_dict(), 'weights.pth'); "
            f"{_AS_ONNX}"
        )
    exported = {"archive_format", "serialized_exported_program.json", "models/model.json"}
    if exported & (inner | set(names)):
        return (
            "a program of torch.export (.pt2), whose weights may be taken out: "
            "torch.save(torch.export.load(FILE).state_dict, 'weights.pth'); "
            f"{_AS_ONNX}"
        )
    if any(name.endswith(".onnx") for name in names):
        return "an archive with an ONNX file in it. Unpack it, and adopt that with --onnx."
    if "keras_metadata.pb" in names or any(name.endswith(".weights.h5") for name in names):
        return "a model of Keras. Export it to ONNX (tf2onnx), and adopt that with --onnx."
    return None
