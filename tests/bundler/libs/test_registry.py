"""Against the package registry itself: real sdists, the project's own extras, the real target."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.image.target import Target
from bundler.libs import requirements
from bundler.libs.index import sources
from bundler.libs.resolve import uv
from tests.bundler.libs.conftest import make_target

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[3]
Libs = Callable[..., Any]
MACHINES = {
    f"{system}-{python}": make_target(f"{python}.4", system)
    for system in ("linux", "darwin")
    for python in ("3.11", "3.12", "3.13")
}


@pytest.fixture(autouse=True)
def _shared_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path_factory.getbasetemp() / "registry-cache"
    monkeypatch.setenv("UV_CACHE_DIR", str(place / "uv"))


def project_requirements(extra: str) -> list[str]:
    """Return what an extra of the project asks for, the extras that it names followed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = []
    for line in project["optional-dependencies"][extra]:
        need = Requirement(line)
        if canonicalize_name(need.name) == canonicalize_name(project["name"]):
            found += [inner for name in need.extras for inner in project_requirements(name)]
        else:
            found.append(line)
    return found


@pytest.mark.parametrize("extra", ["inference", "bundle", "train", "dev"])
@pytest.mark.parametrize("name", MACHINES)
def test_the_projects_extras_resolve(name: str, extra: str) -> None:
    target: Target = MACHINES[name]
    needs = tuple(Requirement(line) for line in project_requirements(extra))
    wanted = [str(need) for need in requirements.applying(needs, target.environment)]

    pins = uv.resolve(target, wanted, [], sources.Sources())

    assert {canonicalize_name(Requirement(line).name) for line in wanted} <= {p.name for p in pins}
    assert all(pin.file.endswith(".whl") for pin in pins)


def test_sdists_of_the_field_become_wheels(libs: Libs) -> None:
    made = libs("wget", "word2number", "efficientnet-pytorch", target="kaggle-gpu-2026-10")

    pins = {pin.name: pin for pin in made.lock.pins}
    assert pins["wget"].version == "3.2"
    assert (pins["wget"].built_from or "").startswith("wget-3.2.zip ")
    assert (pins["word2number"].built_from or "").startswith("word2number-1.1.zip ")
    assert pins["efficientnet-pytorch"].version == "0.7.1"
    assert any("0.7.1" in note and "0.3.0" in note for note in made.lock.notes)
    assert "torch" in {item.name for item in made.lock.provided}
    assert "torch" not in pins
