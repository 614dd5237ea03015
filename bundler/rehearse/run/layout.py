"""A stage: what lies where in the room of one performance, what runs in it, and its limits."""

import functools
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.competition.screening.awkward import USUAL
from bundler.competition.screening.hidden_test import HiddenSet
from bundler.image.emulation import EmulatedImage
from bundler.notebook import execute
from bundler.rehearse.run import audit_hook, probe, supervise
from bundler.sandbox import sandbox
from bundler.sandbox.sandbox import Room
from bundler.settings import Settings

WORKING, OUT = "/kaggle/working", "/rehearsal/out"
HOME_BYTES = 2 << 30
RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
ORDINARY = 16  # images of the sample whose numbers are compared
WORK = 4000  # images of steady work at most


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the notebook may use, as far as this machine has it."""

    cpus: int
    memory_bytes: int
    working_bytes: int
    seconds: float
    scaled: tuple[str, ...] = ()  # what this machine has less of than the target


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A folder for one performance, and what it is made of."""

    folder: Path
    notebook: Path
    published: Mapping[str, Path]  # kind → the dataset as it is mounted
    hidden: HiddenSet
    image: EmulatedImage
    settings: Settings
    limits: Limits
    layout: str
    backend: str
    measure_seconds: float | None = None  # None: nothing is measured after the notebook

    @functools.cached_property
    def pythons(self) -> dict[str, Path]:
        """Return the folders of the notebook's Python and of the one that drives it."""
        return sandbox.python_folders([self.image.python, Path(sys.executable)])

    def at(self, place: str) -> str:
        """Return where the notebook finds one of Kaggle's places: there, or below a root."""
        return f"{self.folder / 'root'}{place}" if self.backend == "sandbox-exec" else place

    @property
    def home(self) -> str:
        """Return the home folder: Kaggle's, unless a Python of this machine lies in it."""
        taken = any(name.startswith("/root/") for name in self.pythons)
        return "/kaggle/home" if taken else "/root"


def lay_out(stage: Stage) -> Path:
    """Write what the room's own folder holds, and return where the results will lie."""
    own, out = stage.folder / "own", stage.folder / "out"
    for folder in (own / "watch", own / "out", out, stage.folder / "tmp"):
        folder.mkdir(parents=True)
    (stage.folder / "tmp").chmod(0o1777)
    for module, name in (
        (execute, "execute.py"),
        (supervise, "supervise.py"),
        (probe, "probe.py"),
        (audit_hook, "watch/sitecustomize.py"),
    ):
        shutil.copyfile(str(module.__file__), own / name)
    shutil.copyfile(stage.notebook, own / "notebook.ipynb")
    (own / "resolv.conf").write_text(RESOLVER)
    (own / "spec.json").write_text(json.dumps(_spec(stage)), encoding="utf-8")
    (own / "measure.json").write_text(json.dumps(_measuring(stage)), encoding="utf-8")
    return out


def _spec(stage: Stage) -> dict[str, Any]:
    python, own, out = str(stage.image.python), stage.at("/rehearsal"), stage.at(OUT)
    notebooks = [f"{own}/notebook.ipynb", f"{out}/executed.ipynb"]
    driver = [sys.executable, "-I", f"{own}/execute.py", *notebooks, "--python", python]
    watched = {"REHEARSAL_WATCH": f"{out}/attempts.jsonl", "REHEARSAL_ROOT": stage.at("")}
    working = stage.at(WORKING)
    steps = [{"name": "notebook", "command": driver, "cwd": working, "env": watched}]
    if stage.measure_seconds is not None:
        command = [python, "-P", f"{own}/probe.py", f"{own}/measure.json"]
        steps.append({"name": "probe", "command": command, "cwd": working, "env": {}})
    return {
        "out": out,
        "cpus": stage.limits.cpus,
        "names": f"{out}/names.txt",
        "working": working,
        "home": stage.at(stage.home),
        "tmp": stage.at("/tmp"),
        "steps": steps,
    }


def _measuring(stage: Stage) -> dict[str, Any]:
    """Return what `probe.py` is told."""
    hidden = stage.hidden
    places = {kind: stage.at(place) for kind, place in mounts(stage).items()}
    compared = [row["image_id"] for row in probed_rows(hidden)]
    return {
        "libs": places["libs"],
        "model": places["model"],
        "competition": places["competition"],
        "images": compared,
        "work": hidden.mixture.order(WORK) or compared,
        "small": [image.row["image_id"] for image in hidden.planted if image.case in USUAL],
        "seconds": stage.measure_seconds,
        "out": stage.at(OUT),
    }


def probed_rows(hidden: HiddenSet) -> list[dict[str, str]]:
    """Return the rows whose numbers are compared: whole breasts, some ordinary, all awkward."""
    lost = {image.row["prediction_id"] for image in hidden.planted if image.may_fail}
    awkward = [i.row for i in hidden.planted if i.row["prediction_id"] not in lost]
    ordinary: list[dict[str, str]] = []
    for breast in dict.fromkeys(row["prediction_id"] for row in hidden.sample):
        if len(ordinary) >= ORDINARY:
            break
        ordinary += [row for row in hidden.sample if row["prediction_id"] == breast]
    return [*ordinary, *awkward]


def mounts(stage: Stage) -> dict[str, str]:
    """Return where Kaggle mounts each dataset and the competition in the stage's layout."""
    settings = stage.settings
    new = stage.layout == "new"
    datasets = f"/kaggle/input/datasets/{settings.owner or 'owner'}" if new else "/kaggle/input"
    competitions = "/kaggle/input/competitions" if new else "/kaggle/input"
    slugs = {kind: getattr(settings.datasets, kind) for kind in stage.published}
    places = {kind: f"{datasets}/{slug}" for kind, slug in slugs.items()}
    return {**places, "competition": f"{competitions}/{settings.competition}"}


def make_room(stage: Stage, out: Path) -> Room:
    places = mounts(stage)
    read_only = {places[kind]: folder for kind, folder in stage.published.items()}
    read_only[places["competition"]] = stage.hidden.folder
    read_only["/rehearsal"] = stage.folder / "own"
    if not os.path.islink("/etc/resolv.conf") and os.path.exists("/etc/resolv.conf"):
        read_only["/etc/resolv.conf"] = stage.folder / "own" / "resolv.conf"
    return Room(
        read_only={**stage.pythons, **read_only},
        writable={"/tmp": stage.folder / "tmp", OUT: out},
        limited={WORKING: stage.limits.working_bytes, stage.home: HOME_BYTES},
    )


def environment(stage: Stage) -> dict[str, str]:
    """Return the variables that a notebook finds on Kaggle when its hidden test is run."""
    return {
        "PATH": os.pathsep.join([str(stage.image.python.parent), "/usr/local/bin", os.defpath]),
        "HOME": stage.at(stage.home),
        "LANG": "C.UTF-8",
        "TMPDIR": stage.at("/tmp"),
        "PYTHONPATH": stage.at("/rehearsal/watch"),
        **({"RSNA_BUNDLE_INPUT": stage.at("/kaggle/input")} if stage.at("") else {}),
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        "KAGGLE_IS_COMPETITION_RERUN": "1",
        "KAGGLE_CONTAINER_NAME": "rehearsal",
    }
