"""What can be known before the performance: are bundles, notebook and target of one piece?"""

import ast
import difflib
import json
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from bundler import cache
from bundler.errors import InputError
from bundler.image.target import Target
from bundler.notebook import submission
from bundler.notebook.submission import KINDS, NAME
from bundler.rehearse.checks.checks import Check, verdict
from bundler.rehearse.run import upload
from bundler.settings import Settings
from bundler.snapshot import TREE
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.boot.install import WHEELS_ARCHIVE
from inference.boot.manifest import Code, Model
from inference.errors import BundleError

EXPECTED = re.compile(r"^EXPECTED = (\{.*?\})$", re.MULTILINE | re.DOTALL)
LAPTOP = re.compile(r"""["'](?P<path>(?:/home/[^/"']+|/Users/[^/"']+|[A-Z]:\\\\?Users)[^"'\n]*)""")
SOURCES = (".py", ".yaml", ".yml", ".toml", ".json", ".cfg", ".ini")
UPLOADS = 2  # the version of what `upload` does; another number tries it anew
DIFFERENCE = 20  # lines of it that are shown
CUDA_13 = Version("1.27")  # of onnxruntime-gpu: from here on it wants CUDA 13


def bundles(dist: Path) -> dict[str, Bundle]:
    """Read the three bundles and see that there is a notebook. Raises InputError."""
    found = {}
    for kind in KINDS:
        try:
            found[kind] = reader.read(dist / kind)
        except BundleError as error:
            raise InputError(f"{error} Build it with `rsna-bundle {kind}` first.") from error
        if found[kind].kind != kind:
            raise InputError(
                f"{dist / kind} holds a {found[kind].kind} bundle. Build the {kind} bundle with "
                f"`rsna-bundle {kind}`."
            )
    if not (dist / "notebook" / NAME).is_file():
        raise InputError(
            f"{dist / 'notebook' / NAME} does not exist. Write it with `rsna-bundle notebook`."
        )
    return found


def examine(
    dist: Path, found: Mapping[str, Bundle], settings: Settings, target: Target
) -> list[Check]:
    """Return the checks of what will be published."""
    return [
        verdict("bundles", list(_altered(dist)), "every file is as its manifest says"),
        verdict("upload", list(_upload(dist)), "found and verified in every form of an upload"),
        *_notebook(dist, found, settings),
        verdict("wheels", list(_wheels(found["libs"], target)), f"all fit {target.name}"),
        *_accelerator(found["libs"], settings, target),
        verdict("paths", list(_paths(dist / "code", found["code"])), "none of the laptop's"),
    ]


def _altered(dist: Path) -> Iterator[str]:
    for kind in KINDS:
        try:
            reader.verify(dist / kind)
        except BundleError as error:
            yield str(error)


def _upload(dist: Path) -> Iterator[str]:
    for kind in KINDS:
        problems = list(upload.complaints(dist / kind))
        yield from problems
        # What an upload does follows from the content, which was verified: once is enough.
        known = cache.folder("uploads") / f"{reader.read(dist / kind).id[:32]}-{UPLOADS}"
        if not problems and not known.exists():
            with tempfile.TemporaryDirectory(prefix=".upload-", dir=dist) as folder:
                lost = [f"{kind}: {line}" for line in upload.lost(dist / kind, Path(folder))]
            yield from lost
            if not lost:
                known.touch()


def _notebook(dist: Path, found: Mapping[str, Bundle], settings: Settings) -> Iterator[Check]:
    path = dist / "notebook" / NAME
    made_for = expected_ids(path)
    stale = []
    for kind, bundle in found.items():
        if made_for.get(kind) != bundle.id:
            stale.append(
                f"The notebook was made for the {kind} bundle {made_for.get(kind, 'none')[:12]}, "
                f"but {bundle.folder} is {bundle.id[:12]}{_whence(bundle)}: a stale version. Write "
                "the notebook again with `rsna-bundle notebook`, or build the bundle it wants."
            )
    yield verdict("ids", stale, "the notebook was made for these three bundles")
    if stale:
        return
    with tempfile.TemporaryDirectory() as folder:
        again = submission.write(dist, Path(folder), submission.runner_options(settings)).path
        changed = list(_difference(path.read_text("utf-8"), again.read_text("utf-8")))
    more = [f"  … and {len(changed) - DIFFERENCE} lines more"] if len(changed) > DIFFERENCE else []
    said = "\n".join(changed[:DIFFERENCE] + more)
    problems = [
        f"{path} is not what `rsna-bundle notebook` writes for these settings: it was edited by "
        f"hand, or written by another version or with other options. The difference:\n{said}\n"
        "Write it again, or say what you want in the settings."
    ]
    yield verdict("notebook", problems if changed else [], "as the tool wrote it")


def _whence(bundle: Bundle) -> str:
    """Return which checkpoint or commit a bundle is of, for people."""
    part = bundle.manifest.part
    if isinstance(part, Model):
        names = [one.name for model in part.models for one in model.checkpoints]
        return f" (of the checkpoint {', '.join(names)})" if names else ""
    return f" (of the commit {part.commit[:12]})" if isinstance(part, Code) else ""


def expected_ids(notebook: Path) -> dict[str, str]:
    """Return the ids that a notebook was made for. Raises InputError."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells]
        found = next(match for source in sources if (match := EXPECTED.search(source)))
        said = ast.literal_eval(found[1])
        return {str(kind): str(identity) for kind, identity in said.items()}
    except (OSError, ValueError, LookupError, TypeError, StopIteration, SyntaxError) as error:
        raise InputError(
            f"{notebook} is no submission notebook of this tool ({type(error).__name__}). Write it "
            "with `rsna-bundle notebook`."
        ) from error


def _difference(there: str, ours: str) -> Iterator[str]:
    """Yield the lines by which two notebooks differ, cell by cell."""
    one, other = (_sources(text) for text in (there, ours))
    lines = difflib.unified_diff(other, one, "as written", "as it lies there", lineterm="", n=1)
    yield from (f"  {line}" for line in lines)


def _sources(text: str) -> list[str]:
    return [
        line for cell in json.loads(text)["cells"] for line in "".join(cell["source"]).splitlines()
    ]


# --- the wheels ---


def _wheels(libs: Bundle, target: Target) -> Iterator[str]:
    if libs.libs.fitting(target.python) is None:
        pythons = " and ".join(one.python for one in libs.libs.targets)
        yield (
            f"The libs bundle was made for Python {pythons}, the target {target.name} runs "
            f"{target.python}. Run `rsna-bundle libs --target {target.name}`."
        )
    names = [file.name for file in libs.files if file.name != WHEELS_ARCHIVE]
    names += [m.name for file in libs.files if file.name == WHEELS_ARCHIVE for m in file.members]
    tags = set(target.tags)
    for name in names:
        if name.endswith(".whl"):
            try:
                fits = bool(parse_wheel_filename(name)[3] & tags)
            except InvalidWheelFilename:
                fits = False
            if not fits:
                yield (
                    f"{name} does not install on {target.name} (Python {target.python}, "
                    f"{target.system} {target.machine} {target.release}): it was built for another "
                    "Python or platform. Run `rsna-bundle libs` for this target."
                )
        elif name.endswith((".tar.gz", ".zip")):
            yield from _sdist(libs, name, names)


def _sdist(libs: Bundle, name: str, names: list[str]) -> Iterator[str]:
    """Say which build requirements of a source distribution the bundle does not hold."""
    from bundler.libs.resolve import sdists

    file = next((file for file in libs.files if file.name == name), None)
    if file is None:
        return
    have = {canonicalize_name(other.split("-")[0]) for other in names if other.endswith(".whl")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.symlink_to(reader.locate(libs.folder, file).resolve())
        wanted = sdists.build_requirements(path)
    lacks = [
        need for need in wanted if canonicalize_name(re.split(r"[^\w.-]", need)[0]) not in have
    ]
    if lacks:
        yield (
            f"{name} is a source distribution: building it asks the network for "
            f"{', '.join(lacks)}, which the bundle does not hold. Ship a wheel: `rsna-bundle libs` "
            "builds one beforehand."
        )


def _accelerator(libs: Bundle, settings: Settings, target: Target) -> Iterator[Check]:
    """Compare the ONNX Runtime that the bundle brings with the GPU that the notebook asks for."""
    if not target.gpus or settings.accelerator.lower() in ("", "none", "cpu"):
        return
    made = libs.libs.fitting(target.python)
    pins = dict(line.split()[0].split("==") for line in (made.lock if made else ()) if "==" in line)
    asked = f"The notebook asks for {settings.accelerator}"
    problems = []
    if "onnxruntime-gpu" not in pins:
        problems.append(
            f"{asked}, but the libs bundle brings no onnxruntime-gpu: CUDA would not be used, the "
            "CPU would predict. Put onnxruntime-gpu into wheelhouse.txt instead of onnxruntime."
        )
    elif (target.cuda or "").startswith("12.") and Version(pins["onnxruntime-gpu"]) >= CUDA_13:
        problems.append(
            f"{asked} with CUDA {target.cuda}, but onnxruntime-gpu {pins['onnxruntime-gpu']} wants "
            "CUDA 13 and would silently use the CPU. Write onnxruntime-gpu<1.27 into "
            "wheelhouse.txt."
        )
    yield verdict("accelerator", problems, f"onnxruntime-gpu for CUDA {target.cuda}")


# --- the code ---


def _paths(place: Path, code: Bundle) -> Iterator[str]:
    file = next((file for file in code.files if file.name == TREE), None)
    if file is None:
        return
    try:
        tree = _tree(reader.locate(place, file))
    except (BundleError, OSError, zipfile.BadZipFile, tarfile.TarError):
        return  # said by the check of the bundles
    seen: dict[str, str] = {}
    for name, text in tree.items():
        other = seen.setdefault(name.lower(), name)
        if other != name:
            yield f"{other} and {name} differ in upper and lower case alone: a laptop may mix them."
        if name.endswith(SOURCES) and not name.startswith(("tests/", "docs/")):
            for found in LAPTOP.finditer(text):
                line = text.count("\n", 0, found.start()) + 1
                yield (
                    f"{name}:{line} names {found['path']}, an absolute path of the laptop: it does "
                    "not exist on Kaggle. Take paths from --input and the bundles."
                )


def _tree(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {
            name: archive.read(name).decode("utf-8", errors="replace")
            if name.endswith(SOURCES)
            else ""
            for name in archive.namelist()
        }


def summary(found: Mapping[str, Bundle]) -> dict[str, Any]:
    """Return what the report says of where the bundles come from."""
    return {
        kind: {
            "id": bundle.id,
            "folder": str(bundle.folder),
            "whence": _whence(bundle).strip(" ()"),
        }
        for kind, bundle in found.items()
    }
