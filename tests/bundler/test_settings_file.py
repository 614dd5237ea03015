"""A table in pyproject.toml is replaced, and all else stays byte for byte."""

import tomllib
from pathlib import Path

import pytest

from bundler import settings_file
from bundler.errors import UsageError

VALUES = {
    "id": ["a", "b"],
    "labels": ["1", "2", "3", "4", "5"],
    "tolerance": 0.5,
    "gateway": True,
    "files": {"test/{id}.png": "train/{id}.png"},
}
FILES = {
    "a file of one's own": '# top\n[project]\nname = "x"   # why\n\n[tool.rsna-bundle]\n'
    'competition = "abc"\n# a note\n\n[tool.ruff]\nline-length = 100\n',
    "no such table": "[tool.ruff]\nx=1\n",
    "empty": "",
    "windows": '[tool.rsna-bundle]\r\nowner = "me"\r\n\r\n[other]\r\nx = [1,\r\n  2]\r\n',
    "apart": '[tool.rsna-bundle]\nowner = "me"\n[tool.ruff]\nx = 1\n'
    '[tool.rsna-bundle.datasets]\nlibs = "my-libs"\n',
}


@pytest.mark.parametrize("name", FILES)
def test_writes_a_table_and_keeps_the_rest(tmp_path: Path, name: str) -> None:
    path, original = tmp_path / "pyproject.toml", FILES[name]
    path.write_bytes(original.encode())
    settings_file.write_table(path, "hidden", VALUES)
    text = path.read_bytes().decode()
    written = tomllib.loads(text)
    assert written["tool"]["rsna-bundle"].pop("hidden") == VALUES
    kept = iter(text.splitlines(keepends=True))
    for line in original.splitlines(keepends=True):
        assert line in kept, f"{line!r} was changed or moved"
    settings_file.write_table(path, "hidden", {"id": ["c"]})
    again = tomllib.loads(path.read_bytes().decode())
    assert again["tool"]["rsna-bundle"].pop("hidden") == {"id": ["c"]}
    assert again == written, "another table was changed"


def test_twice_the_same_is_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(FILES["a file of one's own"])
    settings_file.write_table(path, "hidden", VALUES)
    once = path.read_bytes()
    settings_file.write_table(path, "hidden", VALUES)
    assert path.read_bytes() == once


def test_a_file_that_is_absent_is_made(tmp_path: Path) -> None:
    settings_file.write_table(tmp_path / "pyproject.toml", "hidden", VALUES)
    written = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert written == {"tool": {"rsna-bundle": {"hidden": VALUES}}}


def test_a_broken_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.x\n")
    with pytest.raises(UsageError, match="cannot be read"):
        settings_file.write_table(path, "hidden", VALUES)
    assert path.read_text() == "[tool.x\n"
