"""Folders as trainings leave them: Hugging Face's cache, nnU-Net's results, pickles."""

import contextlib
import hashlib
import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

from bundler.bundle import Built
from bundler.model import files
from bundler.model.files import FilesOptions
from bundler.progress import SILENT, Progress


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder (links followed) by its path there."""
    found = {}
    for root, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = Path(root) / name
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = digest
    return found


def build(*paths: Path, out: Path, progress: Progress = SILENT) -> Built:
    """Bundle paths as `rsna-bundle model --files` does."""
    return files.build(FilesOptions(paths=paths, out=out, progress=progress))


def fill(path: Path, size: int, seed: int = 0) -> Path:
    """Write a file of random bytes, the same for the same seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(f"{path.name}{seed}").randbytes(size))
    return path


def hugging_face(root: Path) -> Path:
    """Write a snapshot of Hugging Face's cache: names that are links to blobs beside it."""
    home = root / "models--org--llm"
    snapshot = home / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    contents = {
        "config.json": b'{"architectures": ["Net"]}',
        "tokenizer.json": b"{}" * 5000,
        "model-00001-of-00002.safetensors": random.Random(1).randbytes(300_000),
        "model-00002-of-00002.safetensors": random.Random(2).randbytes(200_000),
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "added tokens & more@.json": b"[]",
    }
    for name, content in contents.items():
        blob = home / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def nnunet(root: Path, folds: int = 5) -> Path:
    """Write a tree of nnU-Net's results."""
    trained = root / "Dataset501_Knee" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold in range(folds):
        place = trained / f"fold_{fold}"
        fill(place / "checkpoint_final.pth", 200_000, fold)
        fill(place / "checkpoint_best.pth", 100_000, fold)
        (place / "validation").mkdir()
        summary = {"foreground_mean": {"Dice": 0.8 + fold / 100, "IoU": 0.7}}
        (place / "validation" / "summary.json").write_text(json.dumps(summary))
        for case in range(20):
            fill(place / "validation" / f"case_{case:03}.nii.gz", 500, fold)
        (place / "training_log.txt").touch()
    (trained / "plans.json").write_text("{}")
    (trained / "crossval_results_folds_0_1_2_3_4").mkdir()
    return root / "Dataset501_Knee"


def scikit_learn(root: Path) -> Path:
    """Write a pickled classifier of scikit-learn."""
    from sklearn.linear_model import LogisticRegression

    root.mkdir(parents=True, exist_ok=True)
    fitted = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    path = root / "model_fold2_auc0.93.pkl"
    path.write_bytes(pickle.dumps(fitted))
    return path


class Meddling(Progress):
    """A progress that does something when the first bytes were read."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self.meddle: Callable[[], object] | None = meddle

    def bar(self, text: str, total: int | None, unit: str = "B"):  # type: ignore[no-untyped-def]
        """Yield what meddles once."""
        return contextlib.nullcontext(self._advance)

    def _advance(self, count: int) -> None:
        meddle, self.meddle = self.meddle, None
        if meddle:
            meddle()
