"""A laptop with three bundles, beside a Kaggle that has older ones: where faults are tried."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from bundler import bundle
from bundler.errors import BundlerError
from bundler.image import target as targets
from bundler.publish import (
    bundles,
    client,
    competition,
    dataset,
    failures,
    kernel,
    push,
    slugs,
    submit,
)
from bundler.publish.bundles import KINDS, PublishOptions
from bundler.publish.submit import SubmitOptions
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.boot.card import Preprocess
from inference.boot.manifest import Cache, Part
from inference.errors import BundleError
from tests import parts
from tests.kaggle.faults import Faults
from tests.kaggle.server import COMPETITION, USER, Kaggle, serve
from tests.recorder import Recorder

# Waits that are minutes in earnest.
DELAYS: Mapping[tuple[Any, str], float] = {
    (failures, "FIRST_DELAY"): 0.01,
    (failures, "LONGEST_DELAY"): 0.05,
    (client, "SILENCE"): 3.0,
    (dataset, "FIRST_PAUSE"): 0.01,
    (dataset, "LONGEST_PAUSE"): 0.02,
    (kernel, "PAUSE"): 0.05,
    (kernel, "SETTLING"): 0.5,
    (competition, "PAUSE"): 0.01,
}
FOLDS = (
    parts.checkpoint("fold0.pt", metrics={"pfbeta": 0.4}, run_id="run0"),
    parts.checkpoint("fold1.pt", metrics={"pfbeta": 0.5}, run_id="run1"),
)
(TARGET,) = Settings.target
PARTS: Mapping[str, Part] = {
    "libs": parts.libs(name=TARGET, digest=targets.load(TARGET).digest),
    "code": parts.CODE,
    "cache": Cache(preprocess=Preprocess(version=1, size=(16, 8)), images=0, shards=0),
    "model": parts.model(parts.card(arch="tiny", threshold=0.31, checkpoints=FOLDS), "a.txt"),
}
LIBS = f"{USER}/rsna-bundle-libs"
NOTEBOOK = f"{USER}/rsna-bundle-submission"


def write_bundle(root: Path, kind: str, content: bytes) -> Path:
    """Write a bundle of two files to `dist`."""
    source = root / "source"
    source.mkdir(exist_ok=True)
    files = {}
    for name, data in {"a.txt": content, "b.bin": content * 1000}.items():
        (source / name).write_bytes(data)
        files[name] = source / name
    return bundle.write(root / "dist" / kind, files, PARTS[kind]).bundle.folder


@dataclass(kw_only=True)
class World:
    """Both sides, and the progress of the commands."""

    kaggle: Kaggle
    root: Path
    progress: Recorder = field(default_factory=Recorder)

    @property
    def settings(self) -> Settings:
        """Return settings as they are without a pyproject.toml."""
        return Settings(root=self.root)

    # --- what rsna-bundle does ---

    def publish(self) -> None:
        """Publish the libs of `dist`."""
        options = PublishOptions(kinds=("libs",))
        bundles.publish(self.settings, self.settings.dist, options, self.progress)

    def push(self) -> None:
        """Push the notebook and follow it."""
        push.push(self.settings, self.settings.dist, self.progress)

    def submit(self) -> None:
        """Push, submit, wait for the score: `submit` after building and rehearsing."""
        signed_in = client.connect(self.progress)
        competition.check(signed_in, COMPETITION)
        pushed = push.push_by(signed_in, self.settings, self.settings.dist)
        submit.send(signed_in, self.settings, pushed, SubmitOptions())

    def attempt(self, action: str) -> str:
        """Do it; return "" where it is done, else the error."""
        try:
            getattr(self, action)()
        except (BundlerError, BundleError) as error:
            return f"exit {error.exit_code}: {error}"
        return ""

    def heal(self) -> None:
        """Disarm all faults."""
        vars(self.kaggle.faults).update(vars(Faults()))
        self.kaggle.competitions.all[COMPETITION].entered = True
        self.kaggle.competitions.all[COMPETITION].daily = 100

    def settle(self) -> None:
        """Let time pass: what is only late arrives."""
        for held in self.kaggle.datasets.all.values():
            for version in held.versions:
                version.processing = version.stale = 0
        runs = [run for runs in self.kaggle.kernels.all.values() for run in runs]
        end = time.monotonic() + 5
        while any(not run.ended for run in runs) and time.monotonic() < end:
            time.sleep(0.01)

    # --- what is true ---

    def is_done(self, action: str) -> bool:
        """Say whether Kaggle is in the state that the action promises."""
        return bool(getattr(self, f"_is_{action}")())

    def _is_publish(self) -> bool:
        dataset = self.kaggle.datasets.all.get(LIBS)
        served = dataset.served if dataset else None
        wanted = self._wanted("libs")
        if served is None or served.files.get(reader.MANIFEST) != wanted.pop(reader.MANIFEST):
            return False
        packed = {name for name in wanted if name.endswith(".tmp")}
        return all(served.files.get(name) == wanted[name] for name in set(wanted) - packed)

    def _wanted(self, kind: str) -> dict[str, bytes]:
        folder = self.settings.dist / kind
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def _is_push(self) -> bool:
        run = self.kaggle.kernels.all.get(NOTEBOOK, [None])[-1]
        if run is None or "run.json" not in run.outputs:
            return False
        ids = {kind: reader.read(self.settings.dist / kind).id for kind in KINDS}
        return (
            run.status == "COMPLETE"
            and not run.body.get("enableInternet")
            and json.loads(run.outputs["run.json"])["ids"] == ids
        )

    def _is_submit(self) -> bool:
        made = self.kaggle.competitions.all[COMPETITION].submissions
        return len(made) > 0 and not made[-1].error

    # --- the client alone ---

    def arguments(self, action: str) -> list[str]:
        """Return the arguments by which the client does it."""
        commands = {"publish": self._version, "push": self._kernels, "submit": self._competitions}
        return commands[action]()

    def client_alone(self, arguments: list[str], seconds: float) -> tuple[int | None, str]:
        """Run the unmodified client; return its exit code (None: killed) and its last line."""
        home = self.root / "home"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("KAGGLE")}
        environment = clean | self.kaggle.environment(home) | {"TMPDIR": str(home)}
        program = str(Path(sys.executable).with_name("kaggle"))
        try:
            result = subprocess.run(
                [program, *arguments],
                env=environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                cwd=self.root,
            )
        except subprocess.TimeoutExpired:
            return None, ""
        texts = (result.stdout, result.stderr)
        noise = ("Starting upload", "Upload successful", "Warning:")
        printed, errors = (
            [
                line
                for line in text.replace("\r", "\n").splitlines()
                if line.strip() and "%|" not in line and not line.startswith(noise)
            ]
            for text in texts
        )
        lines = (errors or printed)[:1] if result.returncode else (printed or errors)[-1:]
        return result.returncode, lines[0].strip() if lines else "nothing"

    def _version(self) -> list[str]:
        staged = self.root / "staged"
        ref = slugs.reference(USER, "rsna-bundle-libs")
        shutil.copytree(reader.read(self.settings.dist / "libs").folder, staged)
        metadata = {"id": str(ref), "title": ref.title, "licenses": [{"name": "other"}]}
        (staged / "dataset-metadata.json").write_text(json.dumps(metadata))
        return ["datasets", "version", "-p", str(staged), "-m", "new"]

    def _kernels(self) -> list[str]:
        signed_in = client.connect()
        notebook, _ = push.prepare(signed_in, self.settings, self.settings.dist)
        path = notebook.path.parent / kernel.METADATA
        path.write_text(json.dumps(notebook.metadata()))
        return ["kernels", "push", "-p", str(path.parent)]

    def _competitions(self) -> list[str]:
        arguments = ["competitions", "submit", COMPETITION, "-f", "submission.csv", "-m", "x"]
        return [*arguments, "-k", NOTEBOOK, "-v", "1"]


@contextlib.contextmanager
def begin(root: Path, content: bytes = b"one") -> Iterator[World]:
    """Yield a world where Kaggle has everything of yesterday, and `dist` everything of today."""
    home = root / "home"
    home.mkdir(parents=True)
    with serve() as kaggle, contextlib.ExitStack() as stack:
        own = kaggle.environment(home) | {"RSNA_BUNDLE_CACHE": str(root / "cache")}
        stack.enter_context(mock.patch.dict(os.environ, own))
        os.environ.pop("KAGGLE_API_TOKEN", None)
        for (module, name), value in DELAYS.items():
            stack.enter_context(mock.patch.object(module, name, value))
        world = World(kaggle=kaggle, root=root)
        for kind in KINDS:
            write_bundle(root, kind, content)
        bundles.publish(world.settings, world.settings.dist, PublishOptions(), world.progress)
        yield world
        loaded = sys.modules["kaggle.api.kaggle_api_extended"]
        assert "--local" in loaded.KaggleApi.args, "the client would have asked the real Kaggle"
