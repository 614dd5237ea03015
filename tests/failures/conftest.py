"""One small submission that passes, and a way to plant a failure in a copy of it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bundler import bundle
from bundler.notebook import submission
from bundler.rehearse.options import RehearseOptions
from bundler.rehearse.rehearsal import run
from bundler.rehearse.result import Rehearsal
from bundler.sandbox import backends
from bundler.settings import Settings
from inference.boot.card import Card, Checkpoint, Golden, GoldenDicom
from inference.boot.fields import plain
from inference.golden import fingerprint
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig
from tests import parts
from train import phantom

ROOT = Path(__file__).parents[2]
SIZE = (64, 48)
CONFIG = PreprocessConfig(size=SIZE, window="min-max", crop="none", flip="none", fit="stretch")
Files = Mapping[str, str]


def python_version() -> str:
    """Return this Python's version, which stands for the notebook's."""
    return ".".join(map(str, sys.version_info[:3]))


@dataclass(frozen=True, kw_only=True)
class House:
    """A dist folder, and how it is rehearsed."""

    dist: Path
    settings: Settings

    def options(self, **more: Any) -> RehearseOptions:
        """Return options for one patient and one layout, changed by `more`."""
        small: dict[str, Any] = {
            "units": 1,
            "phantom_size": (320, 256),
            "layouts": ("new",),
            "python": Path(sys.executable),
            "measure_seconds": 0.2,
            "out": self.dist / "rehearsal",
            "budget": 1.0,
            # Most failures show in one run; growth, order and neighbours need two layouts.
            "quick": len(more.get("layouts", ("new",))) == 1,
        }
        return RehearseOptions(settings=self.settings, dist=self.dist, **small | more)

    def rehearse(self, **more: Any) -> Rehearsal:
        """Rehearse it with one patient and one layout."""
        return run(self.options(**more))

    def write_notebook(self, *more: str) -> None:
        """Write the notebook for the bundles of the dist folder."""
        plan = submission.plan(self.settings, *more)
        submission.write(self.dist, self.dist / "notebook", plan)

    def write_code(self, changes: Files, scratch: Path) -> None:
        """Bundle the runner with some files changed or added, and the notebook for it."""
        write_code_bundle(self.dist / "code", {**runner(), **changes}, scratch)
        self.write_notebook()

    def write_libs(self, wheels: Mapping[str, Path], **more: Any) -> None:
        """Bundle some wheels, locked as they are, and the notebook for them."""
        entries = [bundle.describe(name, path) for name, path in wheels.items()]
        lock = tuple(f"{_pin(e.name)} --hash=sha256:{e.sha256}" for e in entries)
        bundle.write(self.dist / "libs", wheels, parts.libs(**{"lock": lock} | more))
        self.write_notebook()


def write_code_bundle(place: Path, files: Files, scratch: Path) -> None:
    """Bundle files: those of `inference` as the runner, all others as the tree."""
    archives = {"runner.zip": scratch / "runner.zip", "tree.zip": scratch / "tree.zip"}
    for name, path in archives.items():
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in sorted({"README.md": "", **files}.items()):
                if member.startswith("inference/") == (name == "runner.zip"):
                    info = zipfile.ZipInfo(f"{name.removesuffix('.zip')}/{member}")
                    archive.writestr(info, text)
    bundle.write(place, archives, parts.CODE)


def _pin(name: str) -> str:
    parts = name.removesuffix(".tar.gz").split("-")
    return f"{parts[0]}=={parts[1]}"


def runner() -> dict[str, str]:
    """Return the runner's own files by their path."""
    paths = (ROOT / "inference").rglob("*.py")
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


def own_runner(body: str) -> Files:
    """Return a runner of a competitor's own making: a few lines that write a submission."""
    start = (
        "import csv, json, os, sys\n"
        "from pathlib import Path\n"
        "data = next(Path('/kaggle/input/competitions').iterdir())\n"
        "rows = list(csv.DictReader((data / 'test.csv').open(encoding='utf-8')))\n"
        "ids = list(dict.fromkeys(row['prediction_id'] for row in rows))\n"
        "lines = [[name, number / len(ids)] for number, name in enumerate(ids)]\n"
        "columns = ['prediction_id', 'cancer']\n"
    )
    end = (
        "with open('submission.csv', 'w', newline='') as stream:\n"
        "    csv.writer(stream).writerows([columns, *lines])\n"
    )
    return {"inference/run.py": start + body + "\n" + end}


def write_model(folder: Path) -> Path:
    """Write an ONNX model that answers the mean brightness; return its file."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "scale"], ["probability"]),
        ],
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, *SIZE])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n"])],
        [
            onnx.numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
            onnx.numpy_helper.from_array(np.array(255, np.float32), "scale"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"rsna-bundle": json.dumps(plain(card()))})
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def card(*checkpoints: Checkpoint) -> Card:
    """Return what the model says of itself."""
    return parts.card(CONFIG, checkpoints=checkpoints)


def write_model_bundle(place: Path, scratch: Path, checkpoint: str, **changes: Any) -> None:
    """Bundle the model as that of a checkpoint, with a golden image."""
    golden = scratch / "golden.dcm"
    phantom.write_dicom(golden, phantom.draw(7, (320, 256)))
    prepared = fingerprint(load(golden, [CONFIG]).inputs[0])
    about = replace(card(parts.checkpoint(checkpoint)), **changes)
    dicom = GoldenDicom(file="golden.dcm", prepared={"model.onnx": prepared})
    bundle.write(
        place,
        {"model.onnx": write_model(scratch), "golden.dcm": golden},
        parts.model(about, golden=Golden(dicoms=(dicom,), predictions=())),
    )


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A submission without a fault: three bundles and the notebook."""
    if backends.choose() is None and "CI" not in os.environ:
        pytest.skip(f"no sandbox on this machine: {backends.reasons()}")
    place = tmp_path_factory.mktemp("sound")
    scratch = tmp_path_factory.mktemp("scratch")
    os.environ["RSNA_BUNDLE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    house = House(dist=place, settings=Settings(root=place, target=("host",), hidden_units=1000))
    write_model_bundle(place / "model", scratch, "fold0_best.pt")
    bundle.write(place / "libs", {}, parts.libs())
    write_code_bundle(place / "code", runner(), scratch)
    house.write_notebook()
    return house


@pytest.fixture
def house(sound: House, tmp_path: Path) -> House:
    """A copy of the sound submission, to plant a failure in."""
    place = tmp_path / "dist"
    shutil.copytree(sound.dist, place)
    return replace(sound, dist=place, settings=replace(sound.settings, root=tmp_path))


Plant = Callable[[Files], House]


@pytest.fixture
def plant(house: House, tmp_path: Path) -> Plant:
    """Return a function that changes files of the runner and returns the house with them."""

    def change(changes: Files) -> House:
        house.write_code(changes, tmp_path)
        return house

    return change


def failed(rehearsal: Rehearsal) -> dict[str, str]:
    """Return what each failed check says; the rehearsal must have failed."""
    assert not rehearsal.passed
    return {check.name: check.message for check in rehearsal.checks if check.status == "failed"}


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of running processes that name a folder."""
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


@pytest.fixture(scope="session")
def rehearsed(sound: House) -> Rehearsal:
    """The rehearsal of the sound submission, in both layouts."""
    return sound.rehearse(layouts=("new", "legacy"))
