"""The wheel, as a stranger installs it: what is in it, and that it works in any repository."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "tests/bundler/model/data/format1.pt"
NAMES = ("inference", "train", "bundler", "benchmarks")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the files that git knows, without a network."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in run(listed, cwd=ROOT).stdout.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    (source / "tests").mkdir()
    (source / "tests" / "__init__.py").touch()  # as a folder that could be taken along
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", out, source], cwd=out)
    (path,) = out.glob("rsna_bundle-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel installed; what it needs is this one's."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", folder], cwd=folder.parent)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    run([*pip, "--no-deps", "--no-index", wheel], cwd=folder.parent)
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout
    # A path file adds the folder alone, not the development install that lies in it.
    Path(site.strip(), "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.fixture(params=["folders", "modules"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A user's repository whose code has our names, and dies where it is imported."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in NAMES:
        path = folder / f"{name}.py"
        if request.param == "folders":
            path = folder / name / "__init__.py"
            path.parent.mkdir()
        path.write_text(f"raise RuntimeError('the user\\'s own {name} was imported')\n")
    run(["git", "init", "--quiet"], cwd=folder)
    (folder / "pyproject.toml").write_text('[tool.rsna-bundle]\ncompetition = "some"\n')
    run(["git", "add", "-A"], cwd=folder)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    run(["git", *identity, "commit", "--quiet", "-m", "First"], cwd=folder)
    return folder


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    code: int = 0,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=cwd, env=None if env is None else dict(env), capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def hostile(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f".{os.pathsep}tests"} | more


def test_the_wheel_holds_the_packages_and_their_data_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA")))
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"bundler", "inference", "train", "rsna_bundle.py"}
    for data in (
        "bundler/dependencies.toml",
        "bundler/model/architectures.json",
        "bundler/image/targets/kaggle-gpu-2026-10.json",
        "train/conf/config.yaml",
        "train/conf/experiment/demo.yaml",
    ):
        assert data in names
    tracked = run(["git", "ls-files", "bundler", "inference", "train"], cwd=ROOT).stdout.split()
    assert {name for name in tracked if name.endswith((".json", ".toml", ".yaml", ".css"))} <= {
        *names
    }
    assert b"Provides-Extra: bundle" in metadata


def test_the_command_line_works_whatever_the_repository_holds(
    environment: Path, repository: Path
) -> None:
    command = environment / "bin" / "rsna-bundle"
    for words in (["--help"], ["doctor", "--help"], ["init", "--owner", "rosa"]):
        run([command, *words], cwd=repository, env=hostile())
    shown = run([command, "target", "show", "host", "--json"], cwd=repository, env=hostile())
    assert "python" in json.loads(shown.stdout)


def test_a_checkpoint_is_read_with_the_trainings_schema(
    environment: Path, repository: Path
) -> None:
    """It needs our own `train` and `inference`, not the user's."""
    command = [environment / "bin" / "rsna-bundle", "model", "--dry-run", "--ckpt", CHECKPOINT]
    done = run([*command, "--json"], cwd=repository, env=hostile())
    assert "format1.pt" in done.stdout
    assert "0f5c" in done.stdout


@pytest.mark.parametrize("way", ["module", "script"])
def test_without_the_script_too(way: str, environment: Path, repository: Path) -> None:
    """As child processes call a module of ours, and as one may call the command line."""
    python = environment / "bin" / "python"
    (path,) = environment.glob("lib/python*/site-packages/rsna_bundle.py")
    if way == "module":
        done = run([python, "-m", "rsna_bundle", "--version"], cwd=repository, env=hostile())
        assert "version" in done.stdout
        return
    command = [python, "-P", path, "-m", "bundler.dependencies", "kernel"]
    assert "ipykernel" in run(command, cwd=repository, env=hostile()).stdout


def test_what_is_the_users_stays_importable_and_comes_last(
    environment: Path, repository: Path
) -> None:
    (repository / "mine.py").write_text("answer = 42\n")
    (repository / "click.py").write_text("raise RuntimeError('not the installed one')\n")
    code = (
        "import rsna_bundle as own; own.put_own_packages_first(); import bundler, train, mine\n"
        "import inference, click; print(bundler.__file__, mine.answer)"
    )
    python = environment / "bin" / "python"
    done = run([python, "-c", code], cwd=repository, env=hostile())
    assert done.stdout.startswith(str(environment))
    assert done.stdout.endswith(" 42\n")


def test_installed_into_a_folder_that_pythonpath_names(
    wheel: Path, repository: Path, tmp_path: Path
) -> None:
    """As `pip install --target` does, with the user's folder before it on the path."""
    options = ["--quiet", "--no-deps", "--no-index", "--target", tmp_path / "target"]
    run([sys.executable, "-m", "pip", "install", *options, wheel], cwd=tmp_path)
    path = os.pathsep.join([".", str(tmp_path / "target"), sysconfig.get_path("purelib")])
    command = [sys.executable, "-S", "-m", "rsna_bundle", "--version"]
    done = run(command, cwd=repository, env=hostile(PYTHONPATH=path))
    assert "version" in done.stdout


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel's packages alone, without one of their extras."""
    folder = tmp_path_factory.mktemp("bare") / "site"
    options = ["--quiet", "--no-deps", "--no-index", "--target", folder]
    run([sys.executable, "-m", "pip", "install", *options, wheel], cwd=folder.parent)
    return folder


COMMANDS = (
    ["init", "--owner", "rosa", "--competition-dir", "."],
    ["libs"],
    ["model", "--ckpt", str(CHECKPOINT)],
    ["model", "--files", str(CHECKPOINT)],
    ["code"],
    ["notebook"],
    ["competition", "--competition-dir", "."],
    ["rehearse"],
    ["publish"],
    ["push"],
    ["submit"],
    ["status"],
    ["doctor"],
    ["target", "show"],
    ["train", "run"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("others", [(), ("click",)], ids=["nothing", "click"])
def test_a_missing_extra_is_one_line_that_says_what_to_install(
    bare: Path, repository: Path, words: list[str], others: tuple[str, ...]
) -> None:
    """Neither a traceback nor exit code 70: it is no bug of ours."""
    for name in others:
        if not (bare / name).exists():
            (bare / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    command = [sys.executable, "-S", bare / "rsna_bundle.py", *words]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    for name in others:
        (bare / name).unlink()
    assert "Traceback" not in done.stderr
    assert done.returncode not in (1, 70), done.stderr
    if not others:
        assert done.returncode == 3
        assert done.stderr.startswith("error: The package click is not installed")
        assert "pip install 'rsna-bundle[bundle]'" in done.stderr
    elif words[0] in ("libs", "rehearse") or "--ckpt" in words:
        assert "is not installed" in done.stderr, done.stderr


def test_a_missing_extra_of_training_is_named(bare: Path, repository: Path) -> None:
    """As `rsna-bundle train run` starts it, in a Python of its own."""
    command = [sys.executable, "-S", bare / "rsna_bundle.py", "-m", "train.run"]
    done = run(command, cwd=repository, code=3)
    assert "pip install 'rsna-bundle[train]'" in done.stderr
    assert "Traceback" not in done.stderr
