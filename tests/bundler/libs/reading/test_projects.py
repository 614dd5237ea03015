"""Their project as input: pyproject.toml with extras, groups and uv's sources."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import InputError
from bundler.image.target import Target
from bundler.libs.reading import choose
from bundler.libs.requirements import Requirements, write
from tests.bundler.libs.conftest import make_target
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry, serving

Libs = Callable[..., Any]
PROJECT = """
[project]
name = "Ours"
version = "1.0"
dependencies = ["albumentations>=2", "colorama; sys_platform == 'win32'"]

[project.optional-dependencies]
Dicom_Files = ["pydicom[pixels]"]
all = ["ours[dicom-files]", "tqdm"]

[dependency-groups]
base = ["tqdm"]
Submit = [{include-group = "base"}, "pydicom>=3", "ours[dicom-files]"]
round = [{include-group = "round"}]
"""


def read(folder: Path, selected: str, text: str = PROJECT, **target: Any) -> Requirements:
    (folder / "pyproject.toml").write_text(text)
    machine: Target = make_target(**target)
    return choose.read(folder / f"pyproject.toml{selected}", machine).on(machine.environment)


def wanted(requirements: Requirements) -> list[str]:
    return sorted(map(write, requirements.wanted))


@pytest.mark.parametrize(
    ("selected", "lines"),
    [
        ("", ["albumentations>=2"]),
        ("[dicom-files]", ["albumentations>=2", "pydicom[pixels]"]),
        ("[ALL]", ["albumentations>=2", "pydicom[pixels]", "tqdm"]),
        (":base", ["tqdm"]),
        (":submit", ["pydicom>=3", "pydicom[pixels]", "tqdm"]),
    ],
)
def test_dependencies_extras_and_groups(tmp_path: Path, selected: str, lines: list[str]) -> None:
    assert wanted(read(tmp_path, selected)) == lines


def test_markers_are_the_targets(tmp_path: Path) -> None:
    assert wanted(read(tmp_path, "", system="win32")) == ["albumentations>=2", "colorama"]


@pytest.mark.parametrize(
    ("selected", "text", "message"),
    [
        ("[gpu]", PROJECT, "has no extra 'gpu'; its extras: dicom-files, all."),
        (":gpu", PROJECT, "has no dependency group 'gpu'; its groups: base, Submit, round."),
        (":round", PROJECT, "pyproject.toml: Cyclic"),
        ("", "", "there is no such file, or it is empty"),
        ("", "[project\n", "Cannot read"),
        ("", "[project]\nname='x'\nversion='1'\ndependencies=['num py']\n", "pyproject.toml: "),
        ("", "[project]\nname='x'\nversion='1'\ndependencies=[3]\n", "pyproject.toml: "),
        (
            "",
            f"{PROJECT}[tool.uv]\noverride-dependencies=['numpy<2']\n",
            'requirements = "uv.lock"',
        ),
        ("", f"{PROJECT}[tool.uv]\nindex=3\n", "[tool.uv] cannot be read"),
        (
            "",
            f"{PROJECT}[tool.uv.sources]\nalbumentations = {{index='x'}}\n",
            "[tool.uv.sources] albumentations: there is no index 'x'",
        ),
        (
            "",
            f"{PROJECT}[tool.uv.sources]\nalbumentations = {{workspace=true}}\n",
            "is a member of a workspace",
        ),
        (
            "",
            f"{PROJECT}[tool.uv.sources]\nalbumentations = {{path='absent'}}\n",
            "absent does not exist",
        ),
    ],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, selected: str, text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, selected, text)
    assert message in str(caught.value)


def test_project_becomes_a_bundle_with_a_lock_of_its_own(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "uv.lock").write_text("of uv, and none of ours\n")

    made = libs(requirements=folder / "pyproject.toml[dicom-files]")

    names = {pin.name for pin in made.lock.pins}
    assert names == {"albumentations", "numpy", "pydicom", "pylibjpeg", "tqdm"}
    assert made.targets[0].path == folder / "wheelhouse.lock"
    assert (folder / "uv.lock").read_text() == "of uv, and none of ours\n"
    assert libs(requirements=folder / "pyproject.toml[dicom-files]", check=True)
    # Another part of the project is another input.
    assert libs(requirements=folder / "pyproject.toml:base").changes


def test_dynamic_dependencies_are_asked_of_the_build_tool(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    import io
    import tarfile

    content = sdist("ours", "1.0", ["tqdm", 'pydicom; extra == "dicom"'])[1]
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for name in ("backend.py", "pyproject.toml"):
            member = tar.extractfile(f"ours-1.0/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())

    def names(selected: str) -> set[str]:
        made = libs(requirements=folder / f"pyproject.toml{selected}")
        return {pin.name for pin in made.lock.pins}

    assert names("") == {"tqdm"}
    (folder / "backend.py").write_text(
        (folder / "backend.py").read_text().replace("Requires-Dist: tqdm", "Provides-Extra: dicom")
    )
    assert names("[dicom]") == {"pydicom"}
    with pytest.raises(InputError, match="has no extra 'gpu'"):
        names("[gpu]")


# --- uv's indexes and sources ---


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Any:
    with serving() as index:
        index.password = "me:s3cr3t-of-ours"
        yield index


def with_index(private: Registry, sources: str, more: str = "") -> str:
    index = f"[[tool.uv.index]]\nname = 'our-own'\nurl = '{private.url}/simple'\n{more}\n"
    return f"{index}\n[tool.uv.sources]\n{sources}\n"


def test_package_that_is_pinned_to_an_index_comes_from_there(
    libs: Libs,
    registry: Registry,
    private: Registry,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_INDEX_OUR_OWN_USERNAME", "me")
    monkeypatch.setenv("UV_INDEX_OUR_OWN_PASSWORD", "s3cr3t-of-ours")
    for name in ("tqdm", "pydicom"):
        private.add(wheel(name, "9.0"))
    text = with_index(private, "tqdm = { index = 'our-own' }", "explicit = true")
    (folder / "pyproject.toml").write_text(text)

    made = libs("tqdm", "pydicom")

    pins = {pin.name: (pin.version, pin.origin) for pin in made.lock.pins}
    assert pins["tqdm"] == ("9.0", f"{private.url}/simple")
    assert pins["pydicom"] == ("3.0.2", f"{registry.url}/simple")  # it is for pinned ones alone
    assert private.asked("/simple/pydicom") == registry.asked("/simple/tqdm") == []
    assert "s3cr3t" not in (folder / "wheelhouse.lock").read_text()
    assert made.lock.notes == ()
    # Where it is pinned to is an input; and what is pinned is taken from nowhere else.
    (folder / "pyproject.toml").write_text("")
    assert {p.name: p.version for p in libs(upgrade=()).lock.pins}["tqdm"] == "4.0"
    (folder / "pyproject.toml").write_text(text)
    private.files.clear()
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "cold"))
    with pytest.raises(InputError, match="No index has a package named tqdm"):
        libs()


def test_sources_of_a_project_are_followed(
    libs: Libs, registry: Registry, private: Registry, folder: Path
) -> None:
    name, content = wheel("albumentations", "7.0")
    (folder / name).write_bytes(content)
    sources = f"albumentations = [{{ path = '{name}', marker = \"sys_platform == 'linux'\" }}]"
    (folder / "pyproject.toml").write_text(PROJECT + f"[tool.uv.sources]\n{sources}\n")

    made = libs(requirements=folder / "pyproject.toml")

    (pin,) = made.lock.pins
    assert (pin.version, pin.origin) == ("7.0", f"./{name}")
    elsewhere = libs(requirements=folder / "pyproject.toml", target=make_target(system="darwin"))
    assert {p.name: p.version for p in elsewhere.lock.pins}["albumentations"] == "2.0.8"


def test_constraints_of_uv_hold(libs: Libs, registry: Registry, folder: Path) -> None:
    text = f"{PROJECT}[tool.uv]\nconstraint-dependencies = ['numpy<2.3']\n"
    (folder / "pyproject.toml").write_text(text)

    made = libs(requirements=folder / "pyproject.toml")

    assert {pin.name: pin.version for pin in made.lock.pins}["numpy"] == "2.1.3"
