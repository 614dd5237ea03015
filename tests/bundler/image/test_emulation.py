"""The notebook's image, played: the target's Python with what the runner takes from the image."""

import platform
import subprocess
from pathlib import Path

import pytest

from bundler.errors import InputError
from bundler.image import emulation
from bundler.image import target as targets
from bundler.image.target import Distribution, Target
from tests.bundler.libs.packages import wheel


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, which is all that uv finds."""
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    return folder


def put(folder: Path, name: str, version: str) -> None:
    """Put a tiny wheel into the shop."""
    file, content = wheel(name, version)
    (folder / file).write_bytes(content)


def machine(**installed: str) -> Target:
    """Return a target with this Python and some packages."""
    have = tuple(Distribution(name=name, version=version) for name, version in installed.items())
    host = targets.host()
    return Target(
        name="played",
        python=platform.python_version(),
        system=host.system,
        machine=host.machine,
        release=host.release,
        installed=have,
    )


def versions(played: emulation.Image, *names: str) -> list[str]:
    """Return the versions of some packages in the played image."""
    code = "import importlib.metadata as m, sys; print(*(m.version(n) for n in sys.argv[1:]))"
    words = [played.python, "-I", "-c", code, *names]
    return subprocess.check_output(words, text=True).split()


def test_takes_the_images_versions_and_what_the_runner_makes_use_of(shop: Path) -> None:
    for name, version in {"pip": "9.1", "ipykernel": "9.2", "numba": "9.3", "own": "9.4"}.items():
        put(shop, name, version)
        put(shop, name, "99")
    there = machine(pip="9.1", ipykernel="9.2", numba="9.3", own="9.4", other="9.5")
    played = emulation.play(there, ["own==9.4"])
    assert versions(played, "pip", "ipykernel", "numba", "own") == ["9.1", "9.2", "9.3", "9.4"]
    assert versions(played, "other") == ["9.5"]  # hollow: it is there for the install
    code = "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('numba', 'other')])"
    assert subprocess.check_output([played.python, "-I", "-c", code]) == b"[True, False]\n"


def test_goes_without_what_it_need_not_have(shop: Path) -> None:
    for name in ("pip", "ipykernel"):
        put(shop, name, "9.1")
    played = emulation.play(machine(pip="9.1", ipykernel="9.1", numba="9.3"), [])
    assert versions(played, "pip", "ipykernel") == ["9.1", "9.1"]
    code = "import importlib.util; print(importlib.util.find_spec('numba'))"
    assert subprocess.check_output([played.python, "-I", "-c", code]) == b"None\n"


def test_says_what_it_cannot_do_without(shop: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be installed for the rehearsal \(pip==9\.1"):
        emulation.play(machine(pip="9.1", ipykernel="9.1"), [])
