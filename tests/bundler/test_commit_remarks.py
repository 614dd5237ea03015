"""What is said of a commit: files that the notebook would lack, and those too large for git."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bundler import commit_remarks, snapshot
from bundler.bundle import Built
from bundler.errors import InputError
from tests.bundler.test_snapshot import git, tree_of
from tests.recorder import Recorder

LOCAL = ("-c", "protocol.file.allow=always")  # git distrusts submodules of its own machine


def commit(root: Path, name: str, size: int) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    with (root / name).open("wb") as stream:
        stream.truncate(size)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    subprocess.run(["git", "commit", "-qm", "Add weights"], cwd=root, check=True)


def test_45_mb_in_a_commit_get_a_hint(repository: Path) -> None:
    commit(repository, "models/best.pth", 45_000_000)
    progress = Recorder()
    built = snapshot.build(repository, repository / "dist" / "code", progress=progress)
    (text,) = [text for text in progress.texts if "weights" in text]
    assert "models/best.pth (45 MB)" in text
    assert "rsna-bundle model --files models/best.pth" in text
    assert built.changed  # it is a hint, no refusal


def test_a_commit_without_weights_gets_none(repository: Path) -> None:
    commit(repository, "small.pth", 1000)
    commit(repository, "film.mp4", 20_000_000)
    progress = Recorder()
    snapshot.build(repository, repository / "dist" / "code", progress=progress)
    assert progress.texts == []


@pytest.mark.parametrize("count", [3, 5])
def test_names_the_largest_few(count: int) -> None:
    files = {f"{number}.pt": bytes((11 << 20) + number) for number in range(count)}
    (text,) = commit_remarks.hints(files)
    assert f"{count - 1}.pt (12 MB)" in text
    assert ("and 2 more" in text) == (count == 5)


def test_150_mb_of_any_kind_get_a_hint(repository: Path) -> None:
    commit(repository, "film.mp4", 150_000_000)
    progress = Recorder()
    snapshot.build(repository, repository / "dist" / "code", progress=progress)
    (text,) = [text for text in progress.texts if "film.mp4" in text]
    assert "large files: film.mp4 (150 MB)" in text


def test_names_what_export_ignore_drops(repository: Path) -> None:
    (repository / ".gitattributes").write_text("assets export-ignore\n")
    commit(repository, "assets/labels.txt", 10)
    built, (text,) = build(repository)
    assert "Files that the bundle lacks: assets/labels.txt." in text
    assert "assets/labels.txt" not in tree_of(built)


def test_a_commit_that_drops_all_its_files_is_refused(repository: Path) -> None:
    (repository / ".gitattributes").write_text("* export-ignore\n")
    commit(repository, "more.txt", 10)
    with pytest.raises(InputError, match=r"lacks: .gitattributes, .gitignore, more.txt and 1 more"):
        build(repository)


def test_names_pointers_of_git_lfs(repository: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (repository / "labels.parquet").write_text(pointer)
    (repository / "notes.md").write_text(f"A pointer reads:\n{pointer}")
    commit(repository, "empty.txt", 0)
    _, (text,) = build(repository)
    assert "in place of content: labels.parquet. The" in text


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Return a repository with a submodule of its own, not yet anybody's submodule."""
    for name in ("inner", "library"):
        root = tmp_path / name
        root.mkdir()
        git(root, "init", "-q")
        (root / f"{name}.py").write_text(f"NAME = {name!r}\n")
        if name == "library":
            add_submodule(root, tmp_path / "inner", "vendor/inner")
        git(root, "add", ".")
        git(root, "commit", "-qm", name)
    return tmp_path / "library"


def test_the_files_of_submodules_travel(repository: Path, library: Path) -> None:
    add_submodule(repository, library, "third_party/library")
    git(repository, *LOCAL, "submodule", "update", "-q", "--init", "--recursive")
    git(repository, "commit", "-qm", "Add the library")
    inside = repository / "third_party" / "library"
    recorded = git(inside, "rev-parse", "HEAD")
    built, texts = build(repository)
    files = tree_of(built)
    assert files["third_party/library/library.py"] == b"NAME = 'library'\n"
    assert files["third_party/library/vendor/inner/inner.py"] == b"NAME = 'inner'\n"
    assert texts == []
    # What is checked out by now is not what the commit names.
    (inside / "library.py").write_text("NAME = 'later'\n")
    git(inside, "commit", "-qam", "Later")
    built, _ = build(repository, rev=git(repository, "rev-parse", "HEAD"))
    assert git(inside, "rev-parse", "HEAD") != recorded
    assert tree_of(built)["third_party/library/library.py"] == b"NAME = 'library'\n"
    built, _ = build(repository, allow_dirty=True)
    assert tree_of(built)["third_party/library/library.py"] == b"NAME = 'later'\n"


def test_names_submodules_that_are_not_checked_out(repository: Path, library: Path) -> None:
    add_submodule(repository, library, "third_party/library")
    git(repository, "commit", "-qm", "Add the library")
    _, (text,) = build(repository)  # its own submodule is not checked out
    assert "lacks: third_party/library/vendor/inner." in text
    git(repository, "submodule", "deinit", "-q", "--all", "--force")
    _, (text,) = build(repository)
    assert "lacks: third_party/library. They" in text
    assert "git submodule update --init --recursive" in text


def add_submodule(root: Path, library: Path, path: str) -> None:
    """Add a repository of this machine as a submodule."""
    git(root, *LOCAL, "submodule", "add", "-q", str(library), path)


def build(repository: Path, **options: Any) -> tuple[Built, list[str]]:
    """Build the code bundle; return it and what was said of the commit."""
    progress = Recorder()
    built = snapshot.build(repository, repository / "dist" / "code", progress=progress, **options)
    return built, progress.texts
