"""Installing offline: real pip, tiny real wheels."""

import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler import bundle as writer
from bundler.rehearse.run import upload
from inference.boot import bundle, install
from inference.boot.manifest import Libs, LibsTarget
from inference.errors import BundleError, InstallError
from tests.parts import libs


def write_libs(place: Path, wheels: list[Path], **changes: Any) -> bundle.Bundle:
    """Write a libs bundle of these wheels."""
    lock = tuple(
        f"{path.name.split('-')[0]}==1.0 --hash=sha256:{writer.describe(path.name, path).sha256}"
        for path in wheels
    )
    part = libs(**{"lock": lock} | changes)
    writer.write(place, {path.name: path for path in wheels}, part)
    return bundle.read(place)


def test_installs_into_a_folder_of_its_own(
    tmp_path: Path, make_wheel: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine's pip configuration and variables must not decide what is installed.
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    built = write_libs(tmp_path / "libs", [make_wheel("alphapkg"), make_wheel("betapkg")])
    site = install.install(built, tmp_path)
    code = "import alphapkg, betapkg; print(alphapkg.VERSION, alphapkg.__file__)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith(f"1.0 {site}")
    assert not (tmp_path / "elsewhere").exists()
    assert [path.name for path in tmp_path.glob("wheels-*")] == []


def test_uses_a_completed_site_again(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    built = write_libs(tmp_path / "libs", [make_wheel("alphapkg")])
    site = install.install(built, tmp_path)
    (site / "mark").touch()
    assert (install.install(built, tmp_path) / "mark").exists()


def test_installs_a_wheel_that_an_upload_unpacked(
    tmp_path: Path, make_wheel: Callable[..., Path]
) -> None:
    built = write_libs(tmp_path / "libs", [make_wheel("alphapkg")])
    (wheel,) = built.folder.glob("*.tmp")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, tmp_path / "x"], check=True)
    wheel.unlink()
    (tmp_path / "x").rename(wheel)
    site = install.install(built, tmp_path)
    assert (site / "alphapkg" / "__init__.py").read_text() == "VERSION = '1.0'\n"


@pytest.mark.parametrize("form", ["as published", "flat", "name/", "name/name/"])
def test_installs_many_wheels_however_an_upload_unpacked_them(
    tmp_path: Path, make_wheel: Callable[..., Path], form: str
) -> None:
    wheels = [make_wheel("alphapkg"), make_wheel("betapkg")]
    alone = write_libs(tmp_path / "alone", wheels)
    with tarfile.open(tmp_path / "wheels.tar", "w") as archive:
        for path in wheels:
            archive.add(path, path.name)
    files = {"wheels.tar": tmp_path / "wheels.tar"}
    writer.write(tmp_path / "libs", files, alone.libs)
    upload.receive(tmp_path / "libs", tmp_path / "mounted", form)
    site = install.install(bundle.verify(tmp_path / "mounted"), tmp_path)
    for name in ("alphapkg", "betapkg"):
        assert (site / name / "__init__.py").read_text() == "VERSION = '1.0'\n"


def test_refuses_a_tampered_wheel(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    built = write_libs(tmp_path / "libs", [make_wheel("alphapkg")])
    (wheel,) = built.folder.glob("*.tmp")
    wheel.write_bytes(make_wheel("alphapkg", requires=("evil",)).read_bytes())
    with pytest.raises(BundleError, match="was altered"):
        install.install(built, tmp_path)
    assert not list(tmp_path.glob("site-*"))


def test_names_a_missing_transitive_wheel(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    built = write_libs(tmp_path / "libs", [make_wheel("alphapkg", requires=("gammapkg>=2",))])
    with pytest.raises(InstallError, match=r"do not fit this machine(.|\n)*gammapkg"):
        install.install(built, tmp_path)
    assert not list(tmp_path.glob("site-*"))


def test_counts_what_the_image_has(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    built = write_libs(tmp_path / "libs", [make_wheel("alphapkg", requires=("pytest>=1",))])
    assert (install.install(built, tmp_path) / "alphapkg").is_dir()


def test_refuses_another_python(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    built = write_libs(tmp_path / "libs", [make_wheel("alphapkg")], python="3.9.1")
    with pytest.raises(InstallError, match=r"made for host \(Python 3\.9\.1\), and this"):
        install.install(built, tmp_path)


def test_refuses_a_lock_without_its_wheel(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    lock = (f"alphapkg==1.0 --hash=sha256:{'0' * 64}",)
    built = write_libs(tmp_path / "libs", [make_wheel("alphapkg")], lock=lock)
    with pytest.raises(InstallError, match="holds no wheel with its hash"):
        install.install(built, tmp_path)


def test_installs_nothing_from_an_empty_lock(tmp_path: Path) -> None:
    site = install.install(write_libs(tmp_path / "libs", []), tmp_path)
    assert list(site.iterdir()) == []


# --- a bundle for several images ---


def image(name: str, python: str, glibc: str | None = None, digest: str = "") -> LibsTarget:
    """Return the part of a bundle that was made for one image."""
    (about,) = libs(name=name, python=python).targets
    return replace(about, glibc=glibc, image=f"kaggle/python@sha256:{digest}" if digest else None)


@pytest.mark.parametrize(
    ("python", "glibc", "reference", "name"),
    [
        ("3.13.1", "2.35", None, "newer"),  # of two that fit, the one with the newer glibc
        ("3.13.1", "2.31", None, "older"),
        ("3.13.1", "2.40", None, "newer"),
        ("3.13.1", None, None, "newer"),  # not known: it decides nothing
        ("3.13.1", "2.35", "kaggle/python@sha256:0b", "older"),  # the very image
        ("3.13.1", "2.35", "kaggle/python:latest", "newer"),
        ("3.12.9", "2.35", None, "june"),
        ("3.12.9", "2.35", "kaggle/python@sha256:0b", "june"),  # its Python is another by now
        ("3.12.9", "2.9", None, "june"),  # of its glibc nothing is known
        ("3.13.1", "2.9", None, None),  # 9 is less than 31
        ("3.1.3", "2.35", None, None),
    ],
)
def test_the_image_that_fits_best_is_taken(
    python: str, glibc: str | None, reference: str | None, name: str | None
) -> None:
    both = Libs(
        targets=(
            image("older", "3.13.0", "2.31", "0b"),
            image("newer", "3.13.0", "2.35", "0a"),
            image("june", "3.12.1"),
        )
    )
    taken = both.fitting(python, glibc, reference)
    assert (taken.name if taken else None) == name


def test_one_name_stands_for_one_image() -> None:
    with pytest.raises(ValueError, match="twice"):
        Libs(targets=(image("same", "3.13.0"), image("same", "3.12.0")))


def test_what_only_another_image_installs_is_left_where_it_is(
    tmp_path: Path, make_wheel: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    wheels = {name: make_wheel(name) for name in ("alphapkg", "betapkg")}
    locks = {name: write_libs(tmp_path / name, [path]).libs for name, path in wheels.items()}
    (own,), (other,) = (one.targets for one in locks.values())
    part = Libs(targets=(replace(other, name="other", python="3.9.1"), own))
    files = {path.name: path for path in wheels.values()}
    writer.write(tmp_path / "libs", files, part)
    (broken,) = (tmp_path / "libs").glob("betapkg*")
    broken.write_bytes(b"which nobody reads here")
    site = install.install(bundle.read(tmp_path / "libs"), tmp_path)
    assert {path.name for path in site.iterdir()} == {"alphapkg", "alphapkg-1.0.dist-info"}
    assert capsys.readouterr().out == f"libs: the lock for {own}, 1 packages\n"


def test_a_file_whose_name_another_image_has_lies_in_a_folder(
    tmp_path: Path, make_wheel: Callable[..., Path]
) -> None:
    path = make_wheel("alphapkg")
    (own,) = write_libs(tmp_path / "alone", [path]).libs.targets
    with tarfile.open(tmp_path / "wheels.tar", "w") as archive:
        (tmp_path / "other").write_bytes(b"built by another Python")
        archive.add(tmp_path / "other", path.name)
        archive.add(path, f"0123/{path.name}")
    digest = writer.describe("other", tmp_path / "other").sha256
    other = replace(
        own, name="other", python="3.9.1", lock=(f"alphapkg==1.0 --hash=sha256:{digest}",)
    )
    files = {"wheels.tar": tmp_path / "wheels.tar"}
    writer.write(tmp_path / "libs", files, Libs(targets=(other, own)))
    site = install.install(bundle.verify(tmp_path / "libs"), tmp_path)
    assert (site / "alphapkg" / "__init__.py").read_text() == "VERSION = '1.0'\n"
