"""Weights in a commit travel, and the user is told where they had better lie."""

import subprocess
from pathlib import Path

import pytest

from bundler import committed_weights, snapshot
from tests.recorder import Recorder


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
    text = committed_weights.hint(files)
    assert text
    assert f"{count - 1}.pt (12 MB)" in text
    assert ("and 2 more" in text) == (count == 5)
