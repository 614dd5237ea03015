"""Three real bundles and a test set as the notebook has them mounted, and the runner on them."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler import bundle
from inference.boot.card import Golden, GoldenDicom
from inference.golden import fingerprint
from inference.pixels.loading import load
from tests import parts
from tests.inference.conftest import CONFIG
from tests.inference.test_launch import PACKAGE, runner, zipped

SLUG = "screening"
COLUMNS = ("patient_id", "image_id", "laterality", "view", "prediction_id")

# Python imports it before anything else; the runner's own modules come from the same path.
PLANTED = """\
import os, signal, sys, time
from pathlib import Path
from inference import workers
def before(path): pass
{code}
load = workers.load
def planted(path, configs):
    before(Path(path))
    return load(path, configs)
workers.load = planted
"""
Mount = Callable[[int], "Mounted"]
SLOW = "def before(path): time.sleep({seconds})"


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """The input folder, and a working folder where the runner is started."""

    root: Path

    @property
    def working(self) -> Path:
        return self.root / "working"

    @property
    def csv(self) -> Path:
        return self.working / "submission.csv"

    @property
    def competition(self) -> Path:
        return self.root / "input" / "competitions" / SLUG

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.working / "submission.json").read_text())
        return content

    @property
    def journals(self) -> list[Path]:
        return list((self.root / "scratch").glob("*.journal"))

    def image(self, image_id: str) -> Path:
        (path,) = self.competition.glob(f"test_images/*/{image_id}.dcm")
        return path

    def values(self) -> dict[str, float]:
        """Return what submission.csv says."""
        with self.csv.open(newline="") as stream:
            return {row["prediction_id"]: float(row["cancer"]) for row in csv.DictReader(stream)}

    def write_table(self, rows: Sequence[dict[str, str]], end: str = "") -> None:
        """Write test.csv."""
        lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
        (self.competition / "test.csv").write_text("\n".join(lines) + "\n" + end)

    def command(self, *options: str) -> list[str]:
        """Return the runner's command line."""
        words = ["-P", "-m", "inference.run", "--input", str(self.root / "input")]
        words += ["--scratch", str(self.root / "scratch"), "--workers", "2"]
        return [sys.executable, *words, *options]

    def environment(self, **variables: str) -> dict[str, str]:
        paths = os.pathsep.join([str(self.root / "planted"), str(PACKAGE.parent)])
        return {"PATH": os.environ["PATH"], "PYTHONPATH": paths, **variables}

    def plant(self, code: str) -> None:
        """Run code at the start of every process of the runner: its parent and its workers.

        `before(path)` is called by a worker before it loads an image.
        """
        folder = self.root / "planted"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(PLANTED.format(code=code))

    def run(self, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run the runner to its end."""
        return subprocess.run(
            self.command(*options),
            env=self.environment(**variables),
            cwd=self.working,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def start(self, *options: str, **variables: str) -> "subprocess.Popen[str]":
        """Start the runner."""
        return subprocess.Popen(
            self.command(*options),
            env=self.environment(**variables),
            cwd=self.working,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a group of its own, as a terminal gives it
        )


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def rows_of(mounted: Mounted) -> list[dict[str, str]]:
    """Return the rows of test.csv."""
    with (mounted.competition / "test.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def mount(
    root: Path, model: Path, make_image: Callable[..., Path], patients: int, views: str = "CC MLO"
) -> Mounted:
    """Mount the bundles, and a test set of patients with both breasts in these views."""
    datasets = root / "input" / "datasets" / "me"
    golden = make_image("golden", 0.3)
    prepared = fingerprint(load(golden, [CONFIG]).inputs[0])
    dicom = GoldenDicom(file="golden.dcm", prepared={model.name: prepared})
    bundle.write(
        datasets / "model",
        {model.name: model, "golden.dcm": golden},
        parts.model(parts.card(CONFIG), golden=Golden(dicoms=(dicom,), predictions=())),
    )
    archives = {
        "tree.zip": zipped(root / "tree.zip", {"README.md": ""}),
        "runner.zip": zipped(root / "runner.zip", runner()),
    }
    bundle.write(datasets / "code", archives, parts.CODE)
    bundle.write(datasets / "libs", {}, parts.libs())
    mounted = Mounted(root=root)
    mounted.working.mkdir()
    rows = []
    for number in range(patients):
        for side in "LR":
            for view in views.split():
                name = f"{number}{side}{view}"
                rows.append(
                    {
                        "patient_id": str(number),
                        "image_id": name,
                        "laterality": side,
                        "view": view,
                        "prediction_id": f"{number}_{side}",
                    }
                )
                path = mounted.competition / "test_images" / str(number) / f"{name}.dcm"
                path.parent.mkdir(parents=True, exist_ok=True)
                make_image(name, (len(rows) % 31) / 62).rename(path)
    mounted.write_table(rows)
    return mounted
