"""Against the package registry itself: real sdists, the project's own extras, the real target."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.image import target as targets
from bundler.image.target import Target
from bundler.libs import requirements
from bundler.libs.index import sources
from bundler.libs.resolve import builds
from bundler.libs.resolve.builds import Builder
from bundler.libs.resolve.solution import Problem, choose, offer
from tests.bundler.libs.conftest import make_target

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[3]
HEAVY = {"torch", "torchvision", "numpy", "scipy", "pillow", "scikit-learn"}
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

    pins = builds.resolve_wheels(wanted, target, "uv", sources.Sources())

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


# What each brought of a package that is, or needs, an sdist alone; the image counts as empty.
SDISTS = {
    "hydra-core": {"hydra-core": "1.3", "antlr4-python3-runtime": "4.9.3"},
    "omegaconf==2.1.2": {"omegaconf": "2.1.2", "antlr4-python3-runtime": "4.8"},
    "segmentation-models-pytorch<0.4": {"segmentation-models-pytorch": "0.3.4"},
    "fvcore": {"fvcore": "0.1.5.post20221221", "iopath": "0.1.10"},
    "iopath": {"iopath": "0.1.10"},
    "sentence-transformers": {"sentence-transformers": "6"},
    "sentence-transformers<2.3": {"sentence-transformers": "2.2.2"},
}


@pytest.mark.parametrize("name", ["kaggle-gpu-2026-06", "kaggle-gpu-2026-10"])
@pytest.mark.parametrize("line", SDISTS)
def test_packages_that_need_an_sdist_are_of_this_year(name: str, line: str) -> None:
    target = targets.load(name)
    bare = target.without({package.name for package in target.installed} - HEAVY)
    problem = Problem(
        requirements=requirements.Requirements(
            path=Path("wheelhouse.txt"),
            wanted=(Requirement(line),),
            constraints=(),
            sources=sources.Sources(),
        ),
        target=bare,
        builder=Builder(target=bare, sources=sources.Sources()),
    )

    chosen = {one.name: one.version for one in choose(problem, offer(problem))}

    for package, version in SDISTS[line].items():
        assert chosen[package].startswith(version)
