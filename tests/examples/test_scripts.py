"""Each example's scripts, run directly: valid submissions, also for data nobody has seen."""

import ast
import re
import shutil
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from tests.examples.conftest import EXAMPLES, Copy, python

SCRIPTS = ("tabular", "images", "dicom-series")
WAYS = [("tabular",), ("images",), ("images", "--parquet"), ("dicom-series",)]
WAYS += [("dicom-series", "--parquet")]
IDS = {"tabular": "patient_id", "images": "image_id", "dicom-series": "row_id"}


def read(folder: Path, stem: str) -> pd.DataFrame:
    """Return a table, csv or parquet, its ids as text in either."""
    (path,) = folder.glob(f"{stem}.*")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype=dict.fromkeys(IDS.values(), str))


def submit(folder: Path, working: Path) -> tuple[pd.DataFrame, str]:
    """Run submit.py in another folder, as the notebook does; return submission and output."""
    working.mkdir(exist_ok=True)
    output = python(
        working,
        folder / "submit.py",
        RSNA_BUNDLE_COMPETITION=str(folder / "data"),
        RSNA_BUNDLE_MODEL=str(folder / "weights"),
    )
    assert [path.stem for path in working.iterdir()] == ["submission"]
    return read(working, "submission"), output


def put_hidden(folder: Path, test: pd.DataFrame, targets: list[str]) -> None:
    """Put a table in the test's place, and a sample in another order beside it."""
    data = folder / "data"
    test.to_csv(data / "test.csv", index=False)
    sample = test[[IDS[folder.name]]][::-1].assign(**dict.fromkeys(targets, 0.5))
    (path,) = data.glob("sample_submission.*")
    if path.suffix == ".parquet":
        sample.to_parquet(path, index=False)
    else:
        sample.to_csv(path, index=False)


@pytest.mark.parametrize("way", WAYS, ids="".join)
def test_the_public_rows(trained: Copy, tmp_path: Path, way: tuple[str, ...]) -> None:
    folder = trained(*way)
    submission, _ = submit(folder, tmp_path / "working")
    sample = read(folder / "data", "sample_submission")
    assert 1 <= len(read(folder / "data", "test")) <= 3
    assert list(submission.columns) == list(sample.columns)
    assert list(submission[IDS[way[0]]]) == list(sample[IDS[way[0]]])
    assert submission.drop(columns=IDS[way[0]]).to_numpy().min() >= 0
    assert submission.drop(columns=IDS[way[0]]).to_numpy().max() <= 1


def test_the_same_answers_again_from_weights_made_again(trained: Copy, copy: Copy) -> None:
    first, again = trained("images"), copy("images")
    shutil.rmtree(again / "weights")
    python(again, "train.py")
    name = "weights/network.pt"
    assert (again / name).read_bytes() == (first / name).read_bytes()


# --- hidden rows, each with what a hidden test is feared for ---


def test_table_with_gaps_and_unseen_categories(copy: Copy, tmp_path: Path) -> None:
    folder = copy("tabular")
    rows = pd.read_csv(folder / "data" / "train.csv", dtype={"patient_id": str})
    labels = rows.pop("readmitted").head(200)
    rows = rows.head(200)
    rows["patient_id"] = [f"{number:06d}" for number in range(200)]  # leading zeros
    rows.loc[0, "ward"] = "a ward nobody knows"
    rows.loc[1, ["age", "creatinine", "sex"]] = None
    put_hidden(folder, rows, ["readmitted"])
    submission, _ = submit(folder, tmp_path / "working")
    assert list(submission["patient_id"]) == list(rows["patient_id"])[::-1]
    assert submission["readmitted"].notna().all()
    # By id, not by position: the sample's order is not the table's.
    answers = submission.set_index("patient_id").loc[rows["patient_id"], "readmitted"].to_numpy()
    assert answers[labels == 1].mean() > answers[labels == 0].mean() + 0.1


@pytest.mark.parametrize("way", [("images",), ("images", "--parquet")], ids="".join)
def test_images_that_cannot_be_read(copy: Copy, tmp_path: Path, way: tuple[str, ...]) -> None:
    folder = copy(*way)
    data = folder / "data"
    train = pd.read_csv(data / "train.csv", dtype={"image_id": str}).head(70)
    for name in train["image_id"]:
        shutil.copy(data / "train_images" / f"{name}.png", data / "test_images")
    missing, empty, cut = (data / "test_images" / f"{name}.png" for name in train["image_id"][:3])
    missing.unlink()
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:500])
    classes = ["healthy", "rust", "scab"]
    put_hidden(folder, train[["image_id"]], classes)
    submission, output = submit(folder, tmp_path / "working")
    answers = submission.set_index("image_id").loc[train["image_id"], classes].to_numpy()
    assert answers[:3] == pytest.approx(1 / 3)
    assert re.findall(r"(\d+) keeps the fallback", output) == list(train["image_id"][:3])
    right = answers[3:].argmax(1) == train[classes].to_numpy()[3:].argmax(1)
    assert right.mean() > 0.8
    assert answers.sum(1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("way", [("dicom-series",), ("dicom-series", "--parquet")], ids="".join)
def test_studies_with_broken_slices(copy: Copy, tmp_path: Path, way: tuple[str, ...]) -> None:
    folder = copy(*way)
    data = folder / "data"
    train = pd.read_csv(data / "train.csv", dtype={"study_id": str})
    lost, cut, single, *_ = train["study_id"].unique()
    for study in train["study_id"].unique():
        if study != lost:
            shutil.copytree(data / "train_series" / study, data / "test_series" / study)
    slices = sorted((data / "test_series" / cut).rglob("*.dcm"))
    slices[0].write_bytes(slices[0].read_bytes()[:1000])
    slices[1].write_bytes(b"")
    for path in sorted((data / "test_series" / single).rglob("*.dcm"))[1:]:
        path.unlink()
    test = train.drop(columns="present")
    test.loc[test["row_id"] == f"{cut}_tumor", "condition"] = "a condition nobody knows"
    put_hidden(folder, test, ["present"])
    submission, output = submit(folder, tmp_path / "working")
    answers = submission.set_index("row_id")["present"]
    assert answers.notna().all()
    assert set(answers[test["row_id"][test["study_id"] == lost]]) == {0.4}
    assert answers[f"{cut}_tumor"] == 0.4
    assert answers[f"{single}_tumor"] != 0.4
    assert output.count("left out: ") == 2
    known = ~train["study_id"].isin([lost, cut])
    right = (answers[train["row_id"]].to_numpy() > 0.5) == (train["present"] == 1)
    assert right[known].mean() > 0.9


# --- what one copies ---


@pytest.mark.parametrize("name", SCRIPTS)
def test_stands_alone(name: str) -> None:
    folder = EXAMPLES / name
    own = {path.stem for path in folder.glob("*.py")}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
            if isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.split(".")[0] not in {"examples", "bundler", "train"} - own
        assert "kaggle/" not in path.read_text(), "a mount path is written into the code"
    lines = (folder / "README.md").read_text().splitlines()
    assert len(lines) <= 45


@pytest.mark.parametrize("name", [path.name for path in EXAMPLES.iterdir() if path.is_dir()])
def test_says_which_files_it_has(name: str) -> None:
    folder = EXAMPLES / name
    readme = (folder / "README.md").read_text()
    listed = {line.split()[0] for line in readme.split("```")[1].splitlines() if line}
    ignored = ("README.md", ".gitignore", *(p.name for p in folder.glob("*") if p.is_dir()))
    folders = {name for name in listed if name.endswith("/")}
    assert all((folder / name).is_dir() for name in folders)
    files = {path.name for path in folder.iterdir() if path.name not in ignored}
    assert listed - folders == files
    settings = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["rsna-bundle"]
    assert ("run" in settings) == (name != "mammography")
