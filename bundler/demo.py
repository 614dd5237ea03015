"""The main job on real input, as `make demo` runs it.

Draws a small competition (phantom mammograms, and real radiographs among its test images),
trains a tiny model on it, builds the three bundles and the notebook, and executes the notebook
as Kaggle would: inputs read-only, no network. Each step is a command that one could type.
"""

import argparse
import csv
import os
import shutil
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from bundler import dependencies, process, settings
from bundler.errors import BundlerError, InputError
from bundler.notebook.submission import NAME as NOTEBOOK
from bundler.sandbox import offline

SHOWN = 8  # rows of the submission
# Real images of the package pydicom-data, by the breast that each is passed off as.
RADIOGRAPHS = {
    "70001_L": ("RG1_J2KR.dcm", "RG3_J2KR.dcm"),  # JPEG 2000, MONOCHROME1
    "70001_R": ("RG1_UNCR.dcm", "RG3_UNCR.dcm"),  # uncompressed, MONOCHROME1
    "70002_L": ("JPEG-LL.dcm", "MR2_J2KR.dcm"),  # JPEG Lossless and 2000, MONOCHROME2
    "70002_R": ("MR2_UNCR.dcm",),  # uncompressed, MONOCHROME2
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bundler.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dist/demo"), metavar="DIR")
    parser.add_argument(
        "--python", default=sys.executable, help="the notebook's Python: pip and ipykernel"
    )
    options = parser.parse_args(arguments)
    try:
        run(options.out.resolve(), options.python)
    except BundlerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(out: Path, python: str) -> None:
    """Do the main job below the folder `out`, with `python` as the notebook's."""
    if reason := offline.why_not():  # before the minutes of work, not after them
        raise offline.SandboxError(reason)
    start = time.monotonic()
    shutil.rmtree(out, ignore_errors=True)
    competition = write_competition(out / "competition")
    checkpoint = train(competition, out / "runs")
    build_bundles(out, checkpoint)
    mounted = mount(out, competition)
    submission = submit(out, mounted, python)
    show(out, submission, time.monotonic() - start)


def write_competition(folder: Path) -> Path:
    """Draw a competition in Kaggle's layout and add real radiographs to its test set."""
    banner("1. A competition folder: phantom mammograms, and real radiographs")
    from train.phantom import write_competition as draw_competition

    draw_competition(
        folder, patients=24, test_patients=5, prevalence=0.25, contrast=1.0, size=(640, 480)
    )
    with (folder / "test.csv").open("a", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for breast, names in RADIOGRAPHS.items():
            patient, laterality = breast.split("_")
            for number, name in enumerate(names):
                image = f"{patient}{laterality == 'R':d}{number}"
                view = ("CC", "MLO")[number]
                writer.writerow([1, patient, image, laterality, view, "", 0, 49, breast])
                path = folder / "test_images" / patient / f"{image}.dcm"
                path.parent.mkdir(exist_ok=True)
                shutil.copy(radiograph(name), path)
    with (folder / "sample_submission.csv").open("a", newline="") as stream:
        stream.writelines(f"{breast},0.25\n" for breast in RADIOGRAPHS)
    return folder


def radiograph(name: str) -> Path:
    """Return the path of a real image that the package pydicom-data brought."""
    try:
        files = metadata.files("pydicom-data") or []
    except metadata.PackageNotFoundError as error:
        raise InputError("The demo needs pydicom-data: pip install 'rsna-bundle[dev]'.") from error
    return next(Path(str(file.locate())) for file in files if file.name == name)


def train(competition: Path, runs: Path) -> Path:
    """Train a tiny model for a few seconds and return its checkpoint."""
    banner("2. A checkpoint: a tiny timm model, trained for a few seconds")
    overrides = ["experiment=demo", "tracking=none", f"data.dir={competition}", f"out={runs}"]
    process.run(process.own_module("train.run", *overrides), echo=True)
    checkpoints = sorted(runs.glob("fold0_*.pt"), key=lambda path: path.stat().st_mtime)
    if not checkpoints:
        raise InputError(f"The training left no checkpoint below {runs}.")
    return checkpoints[-1]


def build_bundles(out: Path, checkpoint: Path) -> None:
    """Build libs, model and code, and the notebook that was made for them."""
    banner("3. Three bundles and a notebook")
    requirements = out / "wheelhouse.txt"
    requirements.write_text(dependencies.demo_wheelhouse(), encoding="utf-8")
    # The notebook below shows that they install and import.
    wheels = ["--requirements", str(requirements), "--target", "host", "--no-install-test"]
    run_command("libs", *wheels, "--out", str(out / "libs"))
    # Numbers rather than 0 and 1, so that one sees the model at work.
    numbers = ["--output", "probability"]
    run_command("model", "--ckpt", str(checkpoint), *numbers, "--out", str(out / "model"))
    run_command("code", "--allow-dirty", "--out", str(out / "code"))
    run_command("notebook", "--target", "host", "--out", str(out))


def run_command(*arguments: str) -> None:
    """Run `rsna-bundle` as one would type it."""
    process.run([Path(sys.executable).with_name("rsna-bundle"), *arguments], echo=True)


def mount(out: Path, competition: Path) -> Path:
    """Lay the inputs out as Kaggle mounts them: three datasets and the competition."""
    mounted = out / "input"
    slug = settings.load().competition
    for kind in ("libs", "model", "code"):
        shutil.copytree(out / kind, mounted / "datasets" / "demo" / f"demo-{kind}")
    shutil.copytree(competition, mounted / "competitions" / slug)
    return mounted


def submit(out: Path, mounted: Path, python: str) -> Path:
    """Execute the notebook with the inputs read-only and without a network."""
    banner("4. The notebook, network cut, inputs read-only")
    working = out / "working"
    working.mkdir()
    notebooks = [str(out / "notebook" / NOTEBOOK), str(working / "executed.ipynb")]
    command = process.own_module("bundler.notebook.execute", *notebooks, "--python", python)
    environment = os.environ | {
        "RSNA_BUNDLE_INPUT": str(mounted),
        "TMPDIR": str(out / "scratch"),
    }
    (out / "scratch").mkdir()
    offline.run(command, cwd=working, env=environment, read_only=[mounted], echo=True)
    return working / "submission.csv"


def show(out: Path, submission: Path, seconds: float) -> None:
    """Show the first rows of the submission and where everything lies."""
    banner(f"Done in {seconds:.0f} s")
    lines = submission.read_text().splitlines()
    print("\n".join(lines[: SHOWN + 1]))
    print(f"… {len(lines) - 1} breasts in all\n")
    for name, what in {
        "competition": "the data, in Kaggle's layout",
        "runs": "the training run and its checkpoint",
        "libs": "bundle: the wheels",
        "model": "bundle: the ONNX model",
        "code": "bundle: the commit",
        f"notebook/{NOTEBOOK}": "what one submits",
        "working/submission.csv": "the submission",
        "working/submission.json": "figures of the run: seconds, failures, warnings",
        "working/executed.ipynb": "the executed notebook",
    }.items():
        print(f"  {os.path.relpath(out / name):40} {what}")


def banner(text: str) -> None:
    """Print a heading."""
    print(f"\n=== {text} ===", flush=True)


if __name__ == "__main__":
    sys.exit(main())
