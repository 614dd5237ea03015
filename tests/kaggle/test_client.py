"""The unmodified `kaggle` command line passes against the Kaggle on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kaggle.server import COMPETITION, USER, Kaggle


class Client:
    """The client as a user runs it."""

    def __init__(self, kaggle: Kaggle, home: Path, *, token: bool) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.lower().startswith("kaggle")}
        clean = {k: v for k, v in clean.items() if not k.lower().endswith("_proxy")}
        self.environment = clean | kaggle.environment(home, token=token)
        self.environment["TMPDIR"] = str(home)

    def __call__(self, *arguments: str, cwd: Path) -> str:
        """Run it and return its output; its exit code must be 0."""
        program = Path(sys.executable).with_name("kaggle")
        result = subprocess.run(
            [program, *arguments], cwd=cwd, env=self.environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture
def client(kaggle: Kaggle, home: Path) -> Client:
    """The client with a user's name and key."""
    return Client(kaggle, home, token=False)


def write_dataset(folder: Path, text: str) -> Path:
    """Write a folder that the client uploads."""
    folder.mkdir(exist_ok=True)
    (folder / "note.txt").write_text(text)
    metadata = {"id": f"{USER}/my-dataset", "title": "my-dataset", "licenses": [{"name": "other"}]}
    (folder / "dataset-metadata.json").write_text(json.dumps(metadata))
    return folder


def test_datasets(client: Client, kaggle: Kaggle, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", "one")
    assert "is being created" in client("datasets", "create", "-p", str(folder), cwd=tmp_path)
    assert "already in use" in client("datasets", "create", "-p", str(folder), cwd=tmp_path)
    write_dataset(folder, "second")
    arguments = ["datasets", "version", "-p", str(folder), "-m", "two"]
    assert "is being created" in client(*arguments, cwd=tmp_path)
    assert client("datasets", "status", f"{USER}/my-dataset", cwd=tmp_path).strip() == "ready"
    listed = client("datasets", "files", f"{USER}/my-dataset", cwd=tmp_path)
    assert "note.txt" in listed
    client("datasets", "download", f"{USER}/my-dataset", "-f", "note.txt", cwd=tmp_path)
    assert (tmp_path / "note.txt").read_text() == "second"
    client("datasets", "download", f"{USER}/my-dataset", "--unzip", "-p", "all", cwd=tmp_path)
    assert (tmp_path / "all" / "note.txt").read_text() == "second"
    dataset = kaggle.datasets.all[f"{USER}/my-dataset"]
    assert [version.notes for version in dataset.versions] == ["Initial release", "two"]
    assert dataset.private


def test_kernels_and_submissions(client: Client, kaggle: Kaggle, tmp_path: Path) -> None:
    cell = {"cell_type": "code", "source": "print(1)", "metadata": {}, "outputs": []}
    text = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "n.ipynb").write_text(json.dumps(text))
    metadata = {
        "id": f"{USER}/my-notebook",
        "title": "my notebook",
        "code_file": "n.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "competition_sources": [COMPETITION],
    }
    (tmp_path / "kernel-metadata.json").write_text(json.dumps(metadata))
    pushed = client("kernels", "push", "-p", str(tmp_path), cwd=tmp_path)
    assert "Kernel version 1 successfully pushed" in pushed
    assert kaggle.kernels.all[f"{USER}/my-notebook"][0].body["enableInternet"]  # the client's own
    name = f"{USER}/my-notebook"
    assert "started" in client("kernels", "logs", name, "--follow", cwd=tmp_path)
    assert "COMPLETE" in client("kernels", "status", name, cwd=tmp_path)
    client("kernels", "output", name, "-p", "out", cwd=tmp_path)
    assert (tmp_path / "out" / "submission.csv").read_bytes().startswith(b"prediction_id")
    arguments = ["competitions", "submit", COMPETITION, "-f", "submission.csv", "-k", name]
    printed = client(*arguments, "-v", "1", "-m", "first", cwd=tmp_path)
    assert "Successfully submitted" in printed
    assert "4 submissions remaining today" in printed
    listed = client("competitions", "submissions", COMPETITION, cwd=tmp_path)
    assert "PENDING" in listed
    assert "0.41" in client("competitions", "submissions", COMPETITION, cwd=tmp_path)


@pytest.mark.parametrize("status", [0, 503], ids=["reset", "unavailable"])
def test_a_cut_upload_arrives_whole(
    client: Client, kaggle: Kaggle, tmp_path: Path, status: int
) -> None:
    faults = kaggle.faults
    faults.cut_blob_at, faults.cut_blob_times, faults.cut_blob_status = 1 << 20, 1, status
    folder = write_dataset(tmp_path / "data", "x" * (3 << 20))
    client("datasets", "create", "-p", str(folder), cwd=tmp_path)
    (version,) = kaggle.datasets.all[f"{USER}/my-dataset"].versions
    assert len(version.files["note.txt"]) == 3 << 20
    resumed = kaggle.datasets.bytes_received == 3 << 20
    assert resumed == (status == 503)  # after a reset the client begins anew


def test_a_token(kaggle: Kaggle, home: Path, tmp_path: Path) -> None:
    client = Client(kaggle, home, token=True)
    client("datasets", "create", "-p", str(write_dataset(tmp_path / "d", "one")), cwd=tmp_path)
    assert f"{USER}/my-dataset" in kaggle.datasets.all
