"""What a failed command most likely lacks, and the line that fixes it."""

import importlib.metadata
import itertools
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

MISSING = re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE)
NO_FILE = re.compile(r"No such file or directory: '([^']+)'")
# Distributions whose module has another name; for all others the two are the same, mostly.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "albumentations": "albumentations",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "gdcm": "python-gdcm",
    "openjpeg": "pylibjpeg-openjpeg",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
# What a signal most likely means where nobody at a keyboard sent it.
SIGNALS = {
    "SIGKILL": "most likely by the kernel, since memory ran out",
    "SIGSEGV": "a crash in native code, such as a package built for another version of another",
    "SIGBUS": "most likely shared memory ran out: use fewer DataLoader workers, or none",
    "SIGABRT": "native code gave up: its last words are above, or memory ran out",
    "SIGILL": "an instruction that this CPU lacks: a package was built for another one",
    "SIGFPE": "native code divided an integer by zero",
    "SIGTERM": "another process asked it to end: the notebook's host, or the command itself",
    "SIGINT": "an interruption, as by the notebook's stop button",
    "SIGHUP": "the terminal or session that it belonged to was closed",
    "SIGXCPU": "its limit of CPU time was reached",
}
MOST = 2000  # files of a folder that are looked at


def missing_package(output: str) -> str:
    """Return what to do about a module that the output says is missing; "" where none is."""
    modules = MISSING.findall(output)
    if not modules:
        return ""
    top = modules[-1].partition(".")[0]
    if top == "kaggle_evaluation":  # which no index has, or another's of that name
        return (
            "\nThe module kaggle_evaluation lies among the competition's files. Attach the "
            "competition to the notebook, and before the import put its folder on the path: "
            'sys.path.append(os.environ["RSNA_BUNDLE_COMPETITION"]).'
        )
    name = DISTRIBUTIONS.get(top, top.replace("_", "-"))
    if listed := _listed(name):
        return (
            f"\nThe module {top} is missing, though {listed} is listed as installed: a rehearsal "
            "emulates the image with those packages alone that the command's files import. Add "
            f'"{name}" to image_packages in [tool.rsna-bundle], and rehearse again.'
        )
    return (
        f"\nThe module {top} is neither in the notebook's image nor in the libs bundle nor in the "
        f"tree. Add this line to wheelhouse.txt, and run `rsna-bundle libs`:\n  {name}"
    )


def signal_name(number: int) -> str:
    """Return a signal's name and what it most likely means; "" for a number that is none."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return ""
    return f"{name} ({SIGNALS[name]})" if name in SIGNALS else name


def _listed(name: str) -> str:
    """Return the name and version of a distribution that is installed by name; "" for none."""
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def misplaced_model_file(output: str, model: Path | None) -> str:
    """Return where a model's file lies that the output says is missing; "" where it is nowhere."""
    if model is None:
        return ""
    for match in NO_FILE.finditer(output):
        wanted = Path(match[1])
        if not wanted.is_relative_to(model):
            continue
        paths = itertools.islice(model.rglob(wanted.name), 1)
        if found := [path.relative_to(model) for path in paths]:
            return (
                f"\nThe model bundle has {wanted.name} as {found[0]}, not as "
                f"{wanted.relative_to(model)}: `model --files` keeps the names of the folders that "
                f"it was given. Read it from $RSNA_BUNDLE_MODEL/{found[0]}."
            )
    return ""


def written_elsewhere(suffixes: Sequence[str], folders: Sequence[Path]) -> str:
    """Return where a submission file lies instead; "" where none is found."""
    paths = (path for folder in folders for path in _submissions(folder, suffixes))
    path = next(paths, None)
    return f"; one lies in {path.parent} ({path.name})" if path else ""


def _submissions(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    for depth in ("*/", "*/*/", ""):
        for number, path in enumerate(folder.glob(f"{depth}*submission*")):
            if number > MOST:
                break
            if path.suffix in suffixes and not path.name.startswith("sample_"):
                yield path
