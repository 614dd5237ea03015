"""A folder becomes a repository that the commands can work in."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundler import dependencies, settings
from bundler.errors import BundlerError, UsageError
from bundler.init import InitOptions, init
from bundler.settings import Settings
from tests.bundler.competition.gateway import phantom

ROOT = Path(__file__).parents[3]
OPTIONS = InitOptions(owner="rosa", competition="leaf-disease")
MAMMOGRAPHY = InitOptions(owner="rosa", competition=Settings.competition)
FILES = ["pyproject.toml", "wheelhouse.txt", "submit.py", ".gitignore"]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take the machine's account away."""
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "no account"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with a space in its name, outside any repository."""
    path = tmp_path / "my entry"
    path.mkdir()
    return path


def refuse(question: str, default: str) -> str:
    """Fail: nothing is to be asked."""
    raise AssertionError(question)


def content(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_folder_for_any_competition(folder: Path) -> None:
    made = init(folder, OPTIONS, refuse)
    assert [path.name for path in made.files] == FILES
    read = settings.load(folder)
    assert (read.owner, read.competition, read.run) == ("rosa", "leaf-disease", "python submit.py")
    assert read.notebook == "leaf-disease-submission"
    assert read.datasets.model == "leaf-disease-model"
    lines = (folder / "wheelhouse.txt").read_text().splitlines()
    assert all(line.startswith("#") for line in lines)


def test_twice_changes_nothing(folder: Path) -> None:
    init(folder, OPTIONS, refuse)
    before = content(folder)
    made = init(folder, OPTIONS, refuse)
    assert made.files == []
    assert content(folder) == before
    assert made.summary().startswith("nothing to write")


def test_mammography_gets_the_runner_in_the_box(folder: Path) -> None:
    made = init(folder, MAMMOGRAPHY, refuse)
    assert [path.name for path in made.files] == ["pyproject.toml", "wheelhouse.txt", ".gitignore"]
    assert (folder / "pyproject.toml").read_text() == (
        '[tool.rsna-bundle]\nowner = "rosa"\ncompetition = "rsna-breast-cancer-detection"\n'
        'target = "kaggle-gpu-2026-10"\nnotebook = "rsna-bundle-submission"\n\n'
        '[tool.rsna-bundle.datasets]\nlibs = "rsna-bundle-libs"\nmodel = "rsna-bundle-model"\n'
        'code = "rsna-bundle-code"\ncache = "rsna-bundle-cache"\n'
    )
    assert (folder / "wheelhouse.txt").read_text().startswith(dependencies.wheelhouse())
    # Where training keeps preprocessed images: the competition's, which nobody may publish.
    assert (folder / ".gitignore").read_text().splitlines()[-1] == "cache/"


def test_what_the_user_has_stays(folder: Path) -> None:
    own = {
        "pyproject.toml": '[project]\nname = "x"',
        "wheelhouse.txt": "mine\n",
        "submit.py": "print('mine')\n",
        ".gitignore": "dist/\nmine",
    }
    for name, text in own.items():
        (folder / name).write_text(text)
    made = init(folder, OPTIONS, refuse)
    assert [path.name for path in made.files] == ["pyproject.toml", ".gitignore"]
    for name, text in own.items():
        assert (folder / name).read_text().startswith(text)
    assert (folder / "submit.py").read_text() == own["submit.py"]
    assert (folder / "wheelhouse.txt").read_text() == own["wheelhouse.txt"]
    lines = (folder / ".gitignore").read_text().splitlines()
    assert lines[:2] == ["dist/", "mine"]
    assert lines.count("dist/") == 1
    assert settings.load(folder).run == "python submit.py"


def test_windows_line_endings_stay(folder: Path) -> None:
    path = folder / "pyproject.toml"
    own = b'# \xc3\xa4\r\n[project]\r\nname = "x"\r\n'
    path.write_bytes(own)
    (folder / ".gitignore").write_bytes(b"mine\r\n")
    init(folder, OPTIONS, refuse)
    assert path.read_bytes().startswith(own + b"\r\n[tool.rsna-bundle]\r\n")
    for written in (path, folder / ".gitignore"):
        assert written.read_bytes().count(b"\n") == written.read_bytes().count(b"\r\n")
    assert settings.load(folder).competition == "leaf-disease"
    before = content(folder)
    assert init(folder, OPTIONS, refuse).files == []
    assert content(folder) == before


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_modes_stay(folder: Path, mode: int) -> None:
    """Of a file that only its owner may read, nobody wants to be the one who opened it."""
    paths = [folder / ".gitignore", folder / "pyproject.toml"]
    for path in paths:
        path.touch()
        path.chmod(mode)
    init(folder, OPTIONS, refuse)
    assert [path.stat().st_mode & 0o777 for path in paths] == [mode, mode]
    assert all(path.read_text() for path in paths)


def test_a_link_stays_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shared.toml").write_text('[project]\nname = "x"\n')
    (folder / "pyproject.toml").symlink_to(tmp_path / "shared.toml")
    init(folder, OPTIONS, refuse)
    assert (folder / "pyproject.toml").is_symlink()
    assert "rsna-bundle" in (tmp_path / "shared.toml").read_text()


def test_options_that_contradict_the_settings(folder: Path) -> None:
    init(folder, OPTIONS, refuse)
    before = content(folder)
    made = init(folder, InitOptions(owner="rosa", competition="another"), refuse)
    assert content(folder) == before
    assert "keeps competition = 'leaf-disease'" in made.summary()


def test_settings_without_a_command(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.rsna-bundle]\ncompetition = "leaf-disease"\n')
    made = init(folder, InitOptions(), refuse)
    assert "run is not set in pyproject.toml" in made.summary()
    assert not (folder / "submit.py").exists()


def test_packages_listed_elsewhere(folder: Path) -> None:
    text = '[tool.rsna-bundle]\ncompetition = "leaf-disease"\nrequirements = "pyproject"\n'
    (folder / "pyproject.toml").write_text(text)
    init(folder, InitOptions(), refuse)
    assert not (folder / "wheelhouse.txt").exists()


@pytest.mark.parametrize("own", [OPTIONS, MAMMOGRAPHY])
def test_says_that_there_is_no_repository(folder: Path, own: InitOptions) -> None:
    assert "git init" in init(folder, own, refuse).summary()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / "inner").mkdir()
    assert "git init" not in init(folder, own, refuse).summary()
    assert "git init" not in init(folder / "inner", own, refuse).summary()


# --- what is asked for, and what is not ---


def test_asks_for_what_nothing_says(folder: Path) -> None:
    asked = []

    def answer(question: str, default: str) -> str:
        asked.append(question)
        return "rosa" if "user name" in question else default

    init(folder, InitOptions(), answer)
    assert len(asked) == 2
    assert settings.load(folder).competition == "rsna-breast-cancer-detection"


def test_takes_the_user_from_the_credentials(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no account").mkdir()
    secret = "0123456789abcdef0123456789abcdef"
    credentials = f'{{"username": "rosa", "key": "{secret}"}}'
    (tmp_path / "no account" / "kaggle.json").write_text(credentials)
    init(folder, InitOptions(competition="leaf-disease"), refuse)
    assert settings.load(folder).owner == "rosa"
    assert not any(secret.encode() in data for data in content(folder).values())
    monkeypatch.setenv("KAGGLE_USERNAME", "maria")
    (folder / "pyproject.toml").unlink()
    init(folder, InitOptions(competition="leaf-disease"), refuse)
    assert settings.load(folder).owner == "maria"


@pytest.mark.parametrize(
    "address",
    [
        "https://www.kaggle.com/competitions/leaf-disease",
        "https://www.kaggle.com/competitions/leaf-disease/data?select=train.csv",
        "https://kaggle.com/c/leaf-disease/overview",
    ],
)
def test_takes_the_slug_of_an_address(folder: Path, address: str) -> None:
    init(folder, InitOptions(owner="rosa", competition=address), refuse)
    assert settings.load(folder).competition == "leaf-disease"


def test_names_are_as_long_as_kaggle_takes(folder: Path) -> None:
    competition = "a-competition-with-a-name-that-is-much-too-long-for-a-prefix"
    init(folder, InitOptions(owner="rosa", competition=competition), refuse)
    assert len(settings.load(folder).notebook) <= 50


# --- what cannot be done ---


def test_bad_input_writes_nothing(folder: Path) -> None:
    with pytest.raises(UsageError, match="not a valid name"):
        init(folder, InitOptions(owner="a", competition="b", prefix="Not A Slug"), refuse)
    with pytest.raises(UsageError, match="not a competition's slug"):
        init(folder, InitOptions(owner="a", competition="my competition"), refuse)
    missing = InitOptions(owner="a", competition="b", competition_dir=folder / "nowhere")
    with pytest.raises(BundlerError, match="no folder"):
        init(folder, missing, refuse)
    assert content(folder) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [("no [toml", "not valid TOML"), ("tool = {black = {}}\n", "Add these settings by hand")],
)
def test_settings_that_cannot_be_added(folder: Path, text: str, message: str) -> None:
    (folder / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        init(folder, OPTIONS, refuse)
    assert content(folder) == {"pyproject.toml": text.encode()}


# --- with the competition's files ---


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    """Write a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_fills_in_the_competitions_tables(folder: Path) -> None:
    data = folder / "data"
    rows = [{"scan": f"{n:04d}", "age": n, "ill": n % 2} for n in range(1, 40)]
    write_table(data / "train.csv", rows)
    write_table(data / "test.csv", [{"scan": "0100", "age": 3}, {"scan": "0101", "age": 4}])
    write_table(
        data / "sample_submission.csv",
        [{"scan": "0100", "ill": 0}, {"scan": "0101", "ill": 0}],
    )
    options = InitOptions(owner="rosa", competition="leaf-disease", competition_dir=data)
    init(folder, options, refuse)
    assert 'IDS = ["scan"]' in (folder / "submit.py").read_text()
    hidden = settings.load(folder).hidden
    assert (hidden.train, hidden.targets, hidden.submission) == (
        "train.csv",
        ("ill",),
        "submission.csv",
    )
    assert "/data/" in (folder / ".gitignore").read_text().splitlines()
    before = content(folder)
    assert init(folder, options, refuse).files == []
    assert content(folder) == before


def test_adds_the_tables_to_settings_that_lack_them(folder: Path) -> None:
    init(folder, OPTIONS, refuse)
    text = (folder / "pyproject.toml").read_text()
    rows: list[dict[str, object]] = [{"scan": "0100", "ill": 0}, {"scan": "0101", "ill": 0}]
    write_table(folder / "data" / "sample_submission.csv", rows)
    write_table(folder / "data" / "test.csv", [{"scan": "0100", "age": 3}])
    options = InitOptions(competition_dir=folder / "data")
    assert folder / "pyproject.toml" in init(folder, options, refuse).files
    assert (folder / "pyproject.toml").read_text().startswith(text)
    assert settings.load(folder).hidden.id == ("scan",)


def test_a_server_where_a_gateway_calls(folder: Path) -> None:
    phantom.competition(folder / "data")
    options = InitOptions(owner="rosa", competition="gait", competition_dir=folder / "data")
    made = init(folder, options, refuse)
    assert "GaitInferenceServer(predict)" in (folder / "submit.py").read_text()
    assert "submit.py" in made.summary().splitlines()[0]
    assert settings.load(folder).hidden.gateway
    assert "submission.parquet" in (folder / ".gitignore").read_text().splitlines()


def test_no_server_where_a_gateway_does_not_show_its_calls(folder: Path) -> None:
    phantom.competition(folder / "data")
    phantom.change(folder / "data", phantom.GATEWAY, "generate_data_batches", "play")
    options = InitOptions(owner="rosa", competition="gait", competition_dir=folder / "data")
    made = init(folder, options, refuse)
    assert not (folder / "submit.py").exists()
    assert "no submit.py was written. Start your inference server in it" in made.summary()


# --- as a user runs it ---


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `rsna-bundle init` in a folder, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "bundler.cli", "init", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_as_a_user_runs_it(folder: Path) -> None:
    result = run(folder, "--owner", "rosa")
    assert result.returncode == 0, result.stderr
    assert "rsna-bundle doctor" in result.stdout


def test_without_a_home_that_can_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o500)
    result = run(folder, "--competition", "leaf-disease", HOME=str(tmp_path / "home"))
    assert result.returncode == 0, result.stderr
    assert sorted(content(folder)) == sorted(FILES)
    assert not any((tmp_path / "home").iterdir())
    result = run(folder, "--competition", "leaf-disease", HOME="/nonexistent")
    assert result.returncode == 0, result.stderr
