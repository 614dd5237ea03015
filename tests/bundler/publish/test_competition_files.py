"""A competition that is only at Kaggle: listed a page at a time, understood as from a folder."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler import settings
from bundler.competition import profile
from bundler.errors import InputError
from bundler.publish import competition_files
from bundler.publish.client import connect
from bundler.publish.failures import KaggleError
from tests.bundler.competition import folders
from tests.bundler.competition.gateway import phantom
from tests.kaggle.competitions import Competition
from tests.kaggle.server import Kaggle, serve


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    home = tmp_path / "home"
    home.mkdir()
    with serve() as service:
        for name, value in service.environment(home).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
        yield service


def hold(kaggle: Kaggle, tmp_path: Path, shape: str) -> Competition:
    root = getattr(folders, shape)(tmp_path / shape)
    kaggle.competitions.all["leaves"] = Competition(slug="leaves", folder=root)
    return kaggle.competitions.all["leaves"]


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("shape", ["images", "dicom_long", "mammography", "zeros", "tabular"])
def test_the_profile_is_that_of_the_folder(
    kaggle: Kaggle, tmp_path: Path, shape: str, packs: bool
) -> None:
    competition = hold(kaggle, tmp_path, shape)
    competition.packs = packs
    (tmp_path / "copy").mkdir()
    left_out = competition_files.fetch(connect(), "leaves", tmp_path / "copy")
    assert left_out == ()
    assert competition.folder is not None
    assert profile.read(tmp_path / "copy").hidden == profile.read(competition.folder).hidden


def test_the_package_of_a_gateway_is_read_from_kaggle(kaggle: Kaggle, tmp_path: Path) -> None:
    root = phantom.competition(tmp_path / "gait")
    kaggle.competitions.all["leaves"] = Competition(slug="leaves", folder=root)
    (tmp_path / "copy").mkdir()
    assert competition_files.fetch(connect(), "leaves", tmp_path / "copy") == ()
    copied, own = profile.read(tmp_path / "copy").gateway, profile.read(root).gateway
    assert copied is not None
    assert own is not None
    assert dict(copied.lines()) == dict(own.lines())
    assert not (tmp_path / "copy" / "test_signals" / "000900.npy").read_bytes()


def test_a_folder_of_thousands_is_asked_for_one_page(kaggle: Kaggle, tmp_path: Path) -> None:
    competition = hold(kaggle, tmp_path, "images")
    assert competition.folder is not None
    for number in range(3000):
        (competition.folder / "train_images" / f"z{number:05d}.png").touch()
    (tmp_path / "copy").mkdir()
    competition_files.fetch(connect(), "leaves", tmp_path / "copy")
    assert kaggle.competitions.listed < 300
    assert profile.read(tmp_path / "copy").hidden.files


def test_a_large_table_is_not_downloaded_and_said(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(kaggle, tmp_path, "tabular")
    monkeypatch.setattr(competition_files, "LARGEST", 600)
    (tmp_path / "copy").mkdir()
    (left_out,) = competition_files.fetch(connect(), "leaves", tmp_path / "copy")
    assert left_out.startswith("train.csv (")
    assert not (tmp_path / "copy" / "train.csv").exists()


def test_rules_that_are_not_accepted(kaggle: Kaggle, tmp_path: Path) -> None:
    hold(kaggle, tmp_path, "tabular").entered = False
    with pytest.raises(KaggleError, match="accepted the competition's rules"):
        competition_files.fetch(connect(), "leaves", tmp_path)


def test_a_competition_without_files(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.competitions.all["empty"] = Competition(slug="empty")
    with pytest.raises(InputError, match="no files of empty"):
        competition_files.fetch(connect(), "empty", tmp_path)


def test_the_command_reads_it_from_kaggle_where_no_folder_is_named(
    kaggle: Kaggle, tmp_path: Path
) -> None:
    hold(kaggle, tmp_path, "images")
    (tmp_path / "pyproject.toml").write_text('[tool.rsna-bundle]\ncompetition = "leaves"\n')
    command = [sys.executable, "-m", "bundler.cli", "competition", "--write"]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("leaves at Kaggle, as its files suggest:")
    assert settings.load(tmp_path).hidden.unit == "patient_id"


def test_the_command_without_credentials_says_what_to_do(tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("KAGGLE")}
    with socket.create_server(("127.0.0.1", 0)) as proxy:  # so that there seems to be a network
        env["HTTPS_PROXY"] = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        result = subprocess.run(
            [sys.executable, "-m", "bundler.cli", "competition"],
            cwd=tmp_path,
            env=env | {"HOME": str(tmp_path), "KAGGLE_CONFIG_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
        )
    assert result.returncode == 8
    assert "access_token" in result.stderr
    assert "Traceback" not in result.stderr
