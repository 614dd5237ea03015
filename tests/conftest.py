"""What tests of all parts share: a git repository, a tiny wheel, a bundle."""

import base64
import hashlib
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's git and Kaggle surroundings out of the tests."""
    for name, value in GIT_IDENTITY.items():
        monkeypatch.setenv(name, value)
    # The rules of the search for secrets take seconds to compile: once for all tests.
    monkeypatch.setenv("KF_RULE_CACHE_DIR", f"{tempfile.gettempdir()}/rsna-bundle-test-rules")
    for name in ("RSNA_BUNDLE_INPUT", "KAGGLE_IS_COMPETITION_RERUN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit."""
    root = tmp_path / "repository"
    (root / "package").mkdir(parents=True)
    (root / "package" / "module.py").write_text("ANSWER = 42\n")
    (root / ".gitignore").write_text("dist/\n")
    for command in (["init", "-q", "-b", "work"], ["add", "."], ["commit", "-qm", "First"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.fixture
def make_wheel(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of real wheels: pure Python, installable, tiny."""

    def make(name: str, version: str = "1.0", requires: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / "made-wheels"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        files = {
            f"{name}/__init__.py": f"VERSION = {version!r}\n",
            f"{info}/METADATA": metadata,
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        rows = [f"{member},sha256={_digest(text)},{len(text)}" for member, text in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in files.items():
                archive.writestr(zipfile.ZipInfo(member), text)
        return path

    return make


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; skips where none may be mounted (on Linux, that takes root)."""
    place = tmp_path / "small-disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)
