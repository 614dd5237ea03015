"""A small world: an index, an image, and nothing of this machine's settings."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bundler.image import target as targets
from bundler.image.target import Target
from bundler.libs.build import build
from bundler.libs.options import LibsOptions
from bundler.libs.result import LibsResult
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry, serving

PLATFORMS = {
    "linux": "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "darwin": "macosx_11_0_arm64",
    "win32": "win_amd64",
}
PYTHONS = ("cp311", "cp312", "cp313")


def make_target(
    python: str = "3.13.5",
    system: str = "linux",
    installed: dict[str, Any] | None = None,
    **more: Any,
) -> Target:
    """Return a target; `installed` maps names to versions or to (version, requirements)."""
    machine = {"linux": "x86_64", "darwin": "arm64", "win32": "AMD64"}[system]
    release = {"linux": "2.35", "darwin": "14.0", "win32": ""}[system]
    entries = []
    for name, about in (installed or {}).items():
        version, requires = about if isinstance(about, tuple) else (about, [])
        entries.append({"name": name, "version": version, "requires": requires})
    content = {"format": 1, "name": "image", "python": python, "system": system}
    content |= {"machine": machine, "release": release, "installed": entries}
    return targets.parse(content | more)


def platform_wheels(name: str, version: str, requires: tuple[str, ...] = ()) -> list[Any]:
    """Return the wheels of a compiled package for all systems and Pythons."""
    return [
        wheel(name, version, requires, tag=f"{python}-{python}-{platform}")
        for python in PYTHONS
        for platform in PLATFORMS.values()
    ]


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other-cache"))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """An index with a few packages of the field in miniature."""
    with serving() as index:
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        for version in ("1.26.4", "2.1.3", "2.3.0"):
            for file in platform_wheels("numpy", version):
                index.add(file)
        index.add(wheel("albumentations", "1.3.0", ["numpy<2", "tqdm"]))
        index.add(wheel("albumentations", "2.0.8", ["numpy>=1.24", "tqdm"]))
        index.add(wheel("tqdm", "4.0", ['colorama; sys_platform == "win32"']))
        index.add(wheel("colorama", "0.4.6"))
        index.add(wheel("pydicom", "3.0.2", ['pylibjpeg; extra == "pixels"'], extras=["pixels"]))
        index.add(wheel("pylibjpeg", "2.0"))
        yield index


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a repository."""
    place = tmp_path / "repository"
    place.mkdir()
    return place


@pytest.fixture
def libs(folder: Path) -> Callable[..., LibsResult]:
    """Build the bundle of some requirement lines for a target."""

    def run(
        *lines: str,
        target: Target | str | None = None,
        targets: Sequence[Target] = (),
        **options: Any,
    ) -> LibsResult:
        path = folder / "wheelhouse.txt"
        if lines:
            path.write_text("\n".join(lines) + "\n")
        names = [target if isinstance(target, str) else "image.json"]
        if targets:
            names = [f"{one.name}.json" for one in targets]
            for name, one in zip(names, targets, strict=True):
                (folder / name).write_text(one.text())
        elif not isinstance(target, str):
            (folder / "image.json").write_text((target or make_target()).text())
        options = {"out": folder / "dist" / "libs", "install_test": False, **options}
        return build(LibsOptions(**{"requirements": path, "targets": tuple(names), **options}))

    return run
