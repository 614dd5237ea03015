"""What a tree imports: its closure from the command on, as the image's packages."""

import datetime
import pathlib
import pickle

import pytest

from bundler.image import imports

TREE = {
    "submit.py": b"import torch\nfrom mine import model\nfrom mine.deep.data import load\n",
    "train.py": b"import mlflow\n",
    "src/mine/__init__.py": b"",
    "src/mine/model.py": b"def make():\n    import timm\n    return timm\nfrom . import losses\n",
    "src/mine/losses.py": b"import sklearn.metrics as m\nfrom .deep import data\n",
    "src/mine/deep/__init__.py": b"try:\n    import cupy\nexcept ImportError:\n    pass\n",
    "src/mine/deep/data.py": b"import cv2, os.path\nfrom ..losses import m\nimport pandas as pd\n",
    "notes.py": b"this is no Python at all",
}
EXPECTED = {"torch", "timm", "sklearn", "cupy", "cv2", "pandas"}


@pytest.mark.parametrize(
    "command", ["python submit.py", "python -u ./submit.py --fast", "env X=1 python submit.py"]
)
def test_follows_imports_from_the_command_on(command: str) -> None:
    assert imports.closure(TREE, command) == EXPECTED


def test_a_module_named_with_m() -> None:
    assert imports.closure(TREE, "python -m mine.deep.data") == {"cupy", "cv2", "pandas", "sklearn"}
    package = {"mine/__init__.py": b"", "mine/__main__.py": b"import torch\n"}
    assert imports.closure(package, "python -m mine") == {"torch"}


def test_a_script_that_cannot_be_followed_counts_all_modules() -> None:
    assert imports.closure(TREE, "bash run.sh") == EXPECTED | {"mlflow"}


def test_its_own_modules_are_none_of_the_images() -> None:
    tree = {"a.py": b"import torch, inference\n", "torch/__init__.py": b"", "inference.py": b""}
    assert imports.closure(tree, "python a.py") == frozenset()


def test_names_of_packages() -> None:
    image = {"torch", "timm", "torchvision", "scikit-learn", "opencv-python", "pandas", "cupy-x"}
    assert imports.packages(EXPECTED, image) == (
        "opencv-python",
        "pandas",
        "scikit-learn",
        "timm",
        "torch",
        "torchvision",
    )


def test_a_pickle_names_what_loading_it_imports() -> None:
    """In each protocol, and without its being loaded."""
    value = {"when": datetime.date(2026, 11, 24), "path": pathlib.PurePosixPath("a")}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert {"datetime", "pathlib"} <= imports.pickled(pickle.dumps(value, protocol))
    bomb = b"cos\nsystem\n(S'touch /tmp/pickle-was-loaded'\ntR."
    assert "os" in imports.pickled(bomb)
    assert not pathlib.Path("/tmp/pickle-was-loaded").exists()
