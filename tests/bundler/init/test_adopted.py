"""Names are taken from the metadata files of Kaggle's client, not asked for."""

import json
from pathlib import Path

import pytest

from bundler import settings
from bundler.errors import UsageError
from bundler.init import InitOptions, Made, init, mount_paths

KERNEL = {
    "id": "rosa/leaf-entry",
    "title": "leaf entry",
    "code_file": "predict.py",
    "language": "python",
    "kernel_type": "script",
    "enable_gpu": "true",
    "enable_internet": "false",
    "machine_shape": "NvidiaL4",
    "dataset_sources": ["rosa/leaf-weights", "someone/timm-wheels"],
    "competition_sources": ["leaf-disease"],
}


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take the machine's account away."""
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "no account"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An entry as people have them: a script, and the metadata that pushed it."""
    path = tmp_path / "entry"
    path.mkdir()
    (path / "predict.py").write_text("print('mine')\n")
    write(path / "kernel-metadata.json", KERNEL)
    return path


def write(path: Path, content: object) -> None:
    """Write a JSON file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def start(folder: Path, competition: str | None = None) -> Made:
    """Run init; nothing may be asked."""

    def refuse(question: str, default: str) -> str:
        raise AssertionError(question)

    return init(folder, InitOptions(competition=competition), refuse)


def test_everything_is_said_by_the_metadata(folder: Path) -> None:
    write(folder / "weights" / "dataset-metadata.json", {"id": "rosa/leaf-weights"})
    write(folder / "upload" / "dataset-metadata.json", {"id": "rosa/leaf-wheels"})
    made = start(folder)
    read = settings.load(folder)
    assert (read.owner, read.competition) == ("rosa", "leaf-disease")
    assert (read.notebook, read.accelerator) == ("leaf-entry", "NvidiaL4")
    assert (read.datasets.model, read.datasets.libs) == ("leaf-weights", "leaf-wheels")
    assert read.datasets.code == "leaf-disease-code"
    assert read.run == "python predict.py"
    assert not (folder / "submit.py").exists()
    assert "someone/timm-wheels" in made.summary()
    assert "rosa/leaf-weights" not in made.summary()
    assert (folder / "predict.py").read_text() == "print('mine')\n"
    assert json.loads((folder / "kernel-metadata.json").read_text()) == KERNEL
    assert start(folder).files == []


def test_metadata_in_a_folder_of_its_own(folder: Path) -> None:
    (folder / "kernel-metadata.json").unlink()
    write(folder / "my kernel" / "kernel-metadata.json", KERNEL | {"code_file": "run it.py"})
    (folder / "my kernel" / "run it.py").touch()
    start(folder)
    assert settings.load(folder).run == "python 'my kernel/run it.py'"


def test_a_cpu_and_the_internet(folder: Path) -> None:
    metadata = KERNEL | {"enable_gpu": False, "enable_internet": True}
    del metadata["machine_shape"]
    write(folder / "kernel-metadata.json", metadata)
    made = start(folder)
    assert settings.load(folder).accelerator == ""
    assert "turns the internet on" in made.summary()


def test_a_notebook_cannot_be_run_as_a_command(folder: Path) -> None:
    write(folder / "kernel-metadata.json", KERNEL | {"code_file": "entry.ipynb"})
    (folder / "entry.ipynb").write_text("{}")
    made = start(folder)
    assert settings.load(folder).run == "python submit.py"
    assert (folder / "submit.py").exists()
    assert "entry.ipynb is a notebook" in made.summary()


def test_a_script_elsewhere_is_not_taken(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").touch()
    write(folder / "kernel-metadata.json", KERNEL | {"code_file": "../elsewhere.py"})
    start(folder)
    assert settings.load(folder).run == "python submit.py"


def test_options_come_before_metadata(folder: Path) -> None:
    start(folder, "another-competition")
    read = settings.load(folder)
    assert (read.competition, read.notebook) == ("another-competition", "leaf-entry")


def test_a_template_that_nobody_filled_in(folder: Path) -> None:
    filled = {"id": "INSERT_OWNER_HERE/INSERT_SLUG_HERE", "title": "INSERT_TITLE_HERE"}
    write(folder / "dataset-metadata.json", filled)
    write(folder / "kernel-metadata.json", KERNEL | {"id": "rosa/INSERT_KERNEL_SLUG_HERE"})
    start(folder)
    read = settings.load(folder)
    assert (read.owner, read.notebook) == ("rosa", "leaf-disease-submission")
    assert read.datasets.model == "leaf-disease-model"


def test_a_dataset_whose_content_is_not_known_is_not_replaced(folder: Path) -> None:
    write(folder / "dataset-metadata.json", {"id": "rosa/extra-images"})
    write(folder / "a" / "dataset-metadata.json", {"id": "rosa/fold-models"})
    write(folder / "b" / "dataset-metadata.json", {"id": "rosa/old-models"})
    made = start(folder)
    read = settings.load(folder)
    assert read.datasets.model == "fold-models"
    assert "extra-images" not in (folder / "pyproject.toml").read_text()
    assert "extra-images of dataset-metadata.json was not taken" in made.summary()
    assert "old-models" in made.summary()


def test_folders_that_are_not_looked_into(folder: Path) -> None:
    (folder / "kernel-metadata.json").unlink()
    for path in ("dist/notebook", ".git/x", "a/b/c"):
        (folder / path).mkdir(parents=True)
        write(folder / path / "kernel-metadata.json", KERNEL)
    (folder / "closed").mkdir(mode=0)
    with pytest.raises(AssertionError, match="user name"):  # it would be asked for
        start(folder, "leaf-disease")


def test_two_kernels_are_not_guessed_between(folder: Path) -> None:
    (folder / "kernel-metadata.json").unlink()
    for name in ("a", "b"):
        write(folder / name / "kernel-metadata.json", KERNEL | {"id": f"rosa/entry-{name}"})
    made = start(folder, "leaf-disease")
    assert settings.load(folder).notebook == "leaf-disease-submission"
    assert "there are several" in made.summary()


def test_several_competitions(folder: Path) -> None:
    write(folder / "kernel-metadata.json", KERNEL | {"competition_sources": ["one", "other"]})
    made = start(folder, "one")
    assert "several competitions: one, other" in made.summary()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "JSON object"),
        ('{"id": 1}', "id is 1; it must be text"),
        ('{"enable_gpu": 3}', "must be true or false"),
        ('{"competition_sources": "x"}', "must be a list"),
    ],
)
def test_broken_metadata_writes_nothing(folder: Path, content: str, message: str) -> None:
    (folder / "kernel-metadata.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        start(folder, "leaf-disease")
    assert not (folder / "pyproject.toml").exists()


PATHS = """\
import os
ROOT = "/kaggle/input/leaf-disease/"
NEW = '/kaggle/input/competitions/leaf-disease/train.csv'
weights = f"../input/leaf-weights/{fold}.pth"
WHEELS = "/kaggle/input/timm-wheels"
ANY = Path("/kaggle/input")
"""


def test_mount_paths_in_a_script_are_named_with_what_is_there(folder: Path) -> None:
    write(folder / "weights" / "dataset-metadata.json", {"id": "rosa/leaf-weights"})
    (folder / "predict.py").write_text(PATHS)
    (folder / "mine").mkdir()
    (folder / "mine" / "data.py").write_text("x = 1\nDATA = '/kaggle/input/leaf-disease'\n")
    notes = "\n".join(start(folder).notes)
    assert "predict.py:2 names /kaggle/input/leaf-disease: only Kaggle's legacy layout has" in notes
    assert "mine/data.py:2 names /kaggle/input/leaf-disease: only Kaggle's legacy" in notes
    assert "/kaggle/input/competitions/leaf-disease/train.csv: only Kaggle's new layout" in notes
    assert 'Take os.environ["RSNA_BUNDLE_COMPETITION"], which both layouts have.' in notes
    assert "predict.py:4 names /kaggle/input/leaf-weights/{fold}.pth: only Kaggle's legacy" in notes
    assert "the model bundle there, its files under other names" in notes
    assert "/kaggle/input/timm-wheels: the notebook mounts no such dataset." in notes
    assert "predict.py:6 names /kaggle/input: both layouts have it" in notes
    assert "It finds the competition's files by" not in notes


def test_a_folder_of_data_is_not_read_for_mount_paths(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    for number in range(mount_paths.MOST_ENTRIES + 1):
        (data / f"{number}.json").write_text("/kaggle/input/leaf-disease")
    assert list(mount_paths.find(folder)) == []


def test_a_script_without_mount_paths_is_told_how_to_find_its_files(folder: Path) -> None:
    assert "names no folder below /kaggle/input" in "\n".join(start(folder).notes)
    (folder / "predict.py").write_text("os.environ['RSNA_BUNDLE_COMPETITION']\n")
    assert "It finds the competition's files by RSNA_BUNDLE_COMPETITION." in start(folder).notes
