"""The code bundle, from real git repositories."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from bundler import snapshot
from bundler.bundle import Built
from bundler.errors import InputError
from bundler.rehearse.run import upload
from inference.boot import bundle


def git(repository: Path, *arguments: str) -> str:
    """Run git and return what it prints."""
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=repository, check=True, capture_output=True, text=True
    ).stdout.strip()


def tree_of(built: Built, name: str = "tree.zip") -> dict[str, bytes]:
    """Return the files in an archive of a code bundle."""
    with zipfile.ZipFile(built.bundle.folder / f"{name}.tmp") as archive:
        top = f"{name.removesuffix('.zip')}/"
        assert all(member.startswith(top) for member in archive.namelist())
        return {member.removeprefix(top): archive.read(member) for member in archive.namelist()}


def test_bundles_the_commit_and_the_runner(repository: Path, tmp_path: Path) -> None:
    built = snapshot.build(repository, tmp_path / "code")
    files = tree_of(built)
    assert files["package/module.py"] == b"ANSWER = 42\n"
    assert set(files) == {".gitignore", "package/module.py"}
    runner = tree_of(built, "runner.zip")
    assert {"inference/launch.py", "inference/run.py", "inference/boot/bundle.py"} <= set(runner)
    assert all(name.startswith("inference/") for name in runner)
    code = bundle.verify(tmp_path / "code").code
    assert code.commit == git(repository, "rev-parse", "HEAD")
    assert (code.dirty, code.branch) == (False, "work")
    assert code.runner == "0.1.0"


def test_two_builds_have_one_id(repository: Path, tmp_path: Path) -> None:
    ids = {snapshot.build(repository, tmp_path / place).bundle.id for place in ("one", "two")}
    assert len(ids) == 1


def test_bundles_from_a_subfolder_and_of_another_commit(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    (repository / "package" / "module.py").write_text("ANSWER = 43\n")
    git(repository, "commit", "-qam", "Second")
    built = snapshot.build(repository / "package", tmp_path / "code", rev=first[:10])
    assert tree_of(built)["package/module.py"] == b"ANSWER = 42\n"
    assert built.bundle.code.commit == first


def test_refuses_a_dirty_tree_unless_allowed(repository: Path, tmp_path: Path) -> None:
    (repository / "package" / "module.py").write_text("ANSWER = 44\n")
    (repository / "new.py").write_text("NEW = 1\n")
    (repository / "dist").mkdir()
    (repository / "dist" / "ignored").touch()
    before = git(repository, "status", "--porcelain")
    with pytest.raises(InputError, match=r"differs from the commit(.|\n)*new\.py(.|\n)*--allow"):
        snapshot.build(repository, tmp_path / "code")
    assert not (tmp_path / "code").exists()
    built = snapshot.build(repository, tmp_path / "code", allow_dirty=True)
    files = tree_of(built)
    assert files["package/module.py"] == b"ANSWER = 44\n"
    assert files["new.py"] == b"NEW = 1\n"
    assert "dist/ignored" not in files
    assert built.bundle.code.dirty is True
    assert git(repository, "status", "--porcelain") == before


def test_a_tree_and_the_runner_lie_side_by_side(repository: Path, tmp_path: Path) -> None:
    """Whatever the repository holds, nothing is merged, and nobody is to rename a folder."""
    for name in ("inference/run.py", "train/__init__.py", "bundler.py", "benchmarks/x.py"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("MINE = True\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Names of ours")
    built = snapshot.build(repository, tmp_path / "code")
    assert tree_of(built)["inference/run.py"] == b"MINE = True\n"
    assert {"train/__init__.py", "bundler.py", "benchmarks/x.py"} <= set(tree_of(built))
    assert b"MINE" not in tree_of(built, "runner.zip")["inference/run.py"]
    folder = bundle.unpack_code(built.bundle, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["runner", "tree"]
    assert (folder / "tree" / "inference" / "run.py").read_text() == "MINE = True\n"


@pytest.mark.parametrize("form", ["flat", "name/", "name/name/"])
def test_an_upload_that_unpacks_both_leaves_them_apart(
    repository: Path, tmp_path: Path, form: str
) -> None:
    (repository / "inference").mkdir()
    (repository / "inference" / "run.py").write_text("MINE = True\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "A name of ours")
    snapshot.build(repository, tmp_path / "code")
    upload.receive(tmp_path / "code", tmp_path / "mounted", form)
    folder = bundle.unpack_code(bundle.verify(tmp_path / "mounted"), tmp_path)
    assert (folder / "tree" / "inference" / "run.py").read_text() == "MINE = True\n"
    assert "MINE" not in (folder / "runner" / "inference" / "run.py").read_text()


def test_a_commit_without_files_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Nothing")
    with pytest.raises(InputError, match="has no files"):
        snapshot.build(tmp_path, tmp_path / "code")


def test_the_command_of_the_settings_is_recorded(repository: Path, tmp_path: Path) -> None:
    built = snapshot.build(repository, tmp_path / "code", run="python -m package.module")
    assert built.bundle.code.run == "python -m package.module"


def test_copies_what_a_link_points_to_and_refuses_one_that_leaves(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "link.py").symlink_to("package/module.py")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "A link")
    assert tree_of(snapshot.build(repository, tmp_path / "code"))["link.py"] == b"ANSWER = 42\n"
    (repository / "away").symlink_to("/etc/hostname")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "A link that leaves")
    with pytest.raises(InputError, match="away is a link to /etc/hostname"):
        snapshot.build(repository, tmp_path / "code")


@pytest.mark.parametrize("initialised", [False, True])
def test_names_a_missing_repository(tmp_path: Path, initialised: bool) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    if initialised:
        git(folder, "init", "-q")
    with pytest.raises(InputError, match="is in no git repository with a commit"):
        snapshot.build(folder, tmp_path / "code")


def test_names_a_missing_commit(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-such-branch"):
        snapshot.build(repository, tmp_path / "code", rev="no-such-branch")
