"""The code bundle, from real git repositories."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from bundler import snapshot
from bundler.bundle import Built
from bundler.errors import InputError
from inference.boot import bundle


def git(repository: Path, *arguments: str) -> str:
    """Run git and return what it prints."""
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=repository, check=True, capture_output=True, text=True
    ).stdout.strip()


def tree_of(built: Built) -> dict[str, bytes]:
    """Return the files in a code bundle."""
    with zipfile.ZipFile(built.bundle.folder / "tree.zip.tmp") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_bundles_the_commit_and_the_runner(repository: Path, tmp_path: Path) -> None:
    built = snapshot.build(repository, tmp_path / "code")
    files = tree_of(built)
    assert files["package/module.py"] == b"ANSWER = 42\n"
    assert {"inference/run.py", "inference/boot/bundle.py"} <= set(files)
    assert not any(name.startswith("bundler") for name in files)
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


def test_keeps_a_runner_of_the_repositorys_own(repository: Path, tmp_path: Path) -> None:
    (repository / "inference" / "boot").mkdir(parents=True)
    (repository / "inference" / "__init__.py").write_text('__version__ = "9.9"\n')
    (repository / "inference" / "boot" / "bundle.py").write_text("")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Own runner")
    built = snapshot.build(repository, tmp_path / "code")
    assert built.bundle.code.runner == "9.9"
    assert "inference/run.py" not in tree_of(built)


def test_refuses_a_folder_that_only_looks_like_the_runner(repository: Path, tmp_path: Path) -> None:
    (repository / "inference").mkdir()
    (repository / "inference" / "mine.py").write_text("")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Something else")
    with pytest.raises(InputError, match=r"not rsna-bundle's \(inference/mine\.py\)"):
        snapshot.build(repository, tmp_path / "code")


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
