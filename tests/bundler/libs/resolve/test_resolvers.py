"""uv and pip-tools give one answer, for machines other than this one."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from bundler import process
from bundler.errors import InputError
from bundler.image.target import Target
from bundler.libs import requirements
from bundler.libs.index import sources
from bundler.libs.resolve import builds, uv
from bundler.libs.resolve.resolution import Pin, UnresolvedError, best
from bundler.libs.resolve.resolvers import RESOLVERS
from tests.bundler.libs.conftest import make_target, platform_wheels
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]
TARGETS = {
    "linux-3.11": make_target("3.11.9"),
    "linux-3.12": make_target("3.12.4"),
    "linux-3.13": make_target("3.13.5"),
    "macos-arm64-3.12": make_target("3.12.4", "darwin"),
    "windows-3.12": make_target("3.12.4", "win32"),
}
SETS = {
    "markers": [
        'setuptools; python_version >= "3.12"',
        'colorama; sys_platform == "win32"',
        "click",
    ],
    "torch": ["torch<2.8"],
    "imaging": ["pydicom[pixeldata]", "imagecodecs"],
    "timm": ["timm<1.0.20", "torch<2.8"],
    "runtime": ["onnxruntime", "numpy<2.4"],
    "tables": ["pandas", "scikit-learn", "tqdm"],
    "bounds": ["albumentations==1.4.24", "numpy<2.2", "requests[socks]"],
}


def both(target: Target, lines: list[str]) -> list[list[tuple[str, ...]]]:
    """Return what each resolver answers."""
    needs = tuple(Requirement(line) for line in lines)
    wanted = [str(need) for need in requirements.applying(needs, target.environment)]
    places = sources.configured(sources.Sources())
    answers = [builds.resolve_wheels(wanted, target, name, places) for name in RESOLVERS]
    return [sorted((pin.name, pin.version, pin.file, pin.sha256) for pin in a) for a in answers]


@pytest.fixture
def world(registry: Registry) -> Registry:
    """Add what differs between machines: markers of all kinds, tags, and Requires-Python."""
    nvidia = 'nvidia-cublas-cu12; platform_system == "Linux" and platform_machine == "x86_64"'
    windows = 'colorama; sys_platform == "win32"'
    modern = 'setuptools; python_version >= "3.12"'
    older = 'tomli; python_full_version < "3.12"'
    posix = 'resource2; os_name == "posix" and implementation_name == "cpython"'
    for file in platform_wheels("torch", "2.7.0", (nvidia, windows, modern, older, posix)):
        registry.add(file)
    registry.add(wheel("nvidia-cublas-cu12", "12.8", tag="py3-none-manylinux_2_27_x86_64"))
    for name in ("setuptools", "tomli", "resource2"):
        registry.add(wheel(name, "1.0"))
    for tag in ("cp310-abi3-manylinux2014_x86_64", "py3-none-any", "cp313-cp313-win_amd64"):
        registry.add(wheel("torch-extra", "1.0", ["torch"], tag=tag))
    registry.add(wheel("torch-extra", "2.0", ["torch"]), python=">=3.13")
    return registry


@pytest.mark.parametrize("name", TARGETS)
def test_resolvers_agree(world: Registry, name: str) -> None:
    one, two = both(TARGETS[name], ["torch-extra", "albumentations", "pydicom[pixels]"])

    assert one == two
    versions = {entry[0]: entry[1] for entry in one}
    linux, windows = name.startswith("linux"), name.startswith("windows")
    newest = "3.13" in name
    assert ("nvidia-cublas-cu12" in versions) == linux
    assert ("colorama" in versions) == windows
    assert ("resource2" in versions) == (not windows)
    assert ("setuptools" in versions) == ("3.11" not in name)
    assert ("tomli" in versions) == ("3.11" in name)
    assert versions["torch-extra"] == ("2.0" if newest else "1.0")
    tags = TARGETS[name].tags
    assert all(set(parse_wheel_filename(entry[2])[3]) & set(tags) for entry in one)


@pytest.mark.network
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("lines", SETS.values(), ids=SETS)
def test_resolvers_agree_on_the_registry(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    lines: list[str],
) -> None:
    shared = tmp_path_factory.getbasetemp() / "shared-cache"
    for variable in ("RSNA_BUNDLE_CACHE", "UV_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(shared / variable.lower()))
    one, two = both(TARGETS[name], lines)

    assert one == two
    names = {entry[0] for entry in one}
    if "torch<2.8" in lines:
        assert any(entry.startswith("nvidia-") for entry in names) == name.startswith("linux")
    if "click" in lines:
        assert ("colorama" in names) == name.startswith("windows")
        assert ("setuptools" in names) == ("3.11" not in name)


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("2.35", "2_35"),
        ("2.31", "2_31"),
        ("2.30", "2_28"),
        ("2.28", "2_28"),
        ("2.17", "2_17"),
        ("2.55", "2_40"),
    ],
)
def test_uv_is_told_the_newest_platform_it_knows(release: str, expected: str) -> None:
    assert uv.platform(make_target(release=release)) == f"x86_64-manylinux_{expected}"


def test_uv_knows_every_platform_it_is_told() -> None:
    said = process.run([uv.executable(), "pip", "compile", "--help"]).stdout
    for release in ("2.17", "2.28", *(f"2.{minor}" for minor in range(31, 41))):
        assert uv.platform(make_target(release=release)) in said
    assert uv.platform(TARGETS["macos-arm64-3.12"]) in said
    assert uv.platform(TARGETS["windows-3.12"]) in said


def test_best_wheel_is_the_first_in_the_targets_tags() -> None:
    names = [
        "x-1.0-py3-none-any.whl",
        "x-1.0-cp310-abi3-manylinux2014_x86_64.whl",
        "x-1.0-cp313-cp313-manylinux_2_17_x86_64.whl",
        "x-1.0-1-cp313-cp313-manylinux_2_17_x86_64.whl",
        "x-1.0-cp313-cp313-manylinux_2_36_x86_64.whl",
        "no wheel",
    ]
    entries = [(name, name) for name in names]
    assert best(make_target(), entries) == names[3]
    assert best(make_target("3.12.1"), entries) == names[1]
    assert best(make_target(system="win32"), entries) == names[0]
    assert best(make_target(system="win32"), entries[2:]) is None


def test_index_without_hashes_is_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bundler.libs.resolve.resolution import with_digest

    pin = Pin(name="x", version="1", file="x.whl", sha256="", url="https://one.example/x.whl")
    with pytest.raises(InputError, match="no sha256"):
        with_digest(pin)


def test_settings_of_uv_and_pip_do_not_decide(
    libs: Libs, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "uv.toml").write_text('[pip]\nresolution = "lowest"\n')
    monkeypatch.setenv("UV_RESOLUTION", "lowest")
    monkeypatch.setenv("PIP_PRE", "1")
    monkeypatch.setenv("PIP_CONSTRAINT", str(folder / "absent.txt"))
    monkeypatch.chdir(folder)
    registry.add(wheel("pydicom", "4.0rc1"))

    for resolver in ("uv", "pip-tools"):
        made = libs("pydicom", "numpy", resolver=resolver, upgrade=())
        assert [pin.version for pin in made.lock.pins] == ["2.3.0", "3.0.2"]


def test_missing_uv_names_the_other_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(Exception, match="--resolver pip-tools"):
        uv.executable()


def test_pip_tools_says_why_not(registry: Registry) -> None:
    places = sources.configured(sources.Sources())
    with pytest.raises(UnresolvedError, match="absent-package"):
        builds.resolve_wheels(["absent-package"], make_target(), "pip-tools", places)
