"""No secret of any kind passes, and none is repeated in a message."""

import subprocess
from pathlib import Path

import pytest

from bundler import snapshot
from bundler.errors import InputError
from bundler.secrets.check import check_files
from tests.bundler.secrets.planted import TEXTS, content, environ, key


def test_there_are_enough_kinds() -> None:
    assert len(TEXTS) >= 40


@pytest.mark.parametrize("kind", TEXTS)
def test_is_refused(kind: str) -> None:
    path, text = TEXTS[kind]
    with pytest.raises(InputError, match="looks like secrets") as caught:
        check_files({path: content(text)}, "The commit")
    lines = set(content(text).decode("utf-8", "replace").split()) - {path}
    assert not any(line in str(caught.value) for line in lines if len(line) > 20)


def test_the_line_is_named() -> None:
    with pytest.raises(InputError, match=r"a/b\.py:3: Kaggle's key\n"):
        check_files({"a/b.py": f"import os\n\n{environ()}".encode()}, "The commit")


def test_what_is_in_a_name_is_not_repeated() -> None:
    path, text = TEXTS["in a file's name"]
    with pytest.raises(InputError, match=r"\*\*\*: github pat in the file's name") as caught:
        check_files({f"folder/{path}": content(text)}, "The commit")
    assert path not in str(caught.value)


def test_code_refuses(repository: Path) -> None:
    (repository / "notes.txt").write_text(f'{{"username": "a", "key": "{key()}"}}')
    for arguments in (["add", "."], ["commit", "-qm", "Oops"]):
        subprocess.run(["git", *arguments], cwd=repository, check=True)
    with pytest.raises(InputError, match=r"notes.txt:1: Kaggle's key"):
        snapshot.build(repository, repository / "dist" / "code")
    assert not (repository / "dist" / "code").exists()
