"""Targets: what fits a machine, its digest, capturing, comparing."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from packaging import tags

from bundler.errors import InputError
from bundler.image import captured, difference
from bundler.image import target as targets
from bundler.image.target import Target

LINUX = {
    "format": 1,
    "name": "x",
    "python": "3.13.5",
    "system": "linux",
    "machine": "x86_64",
    "release": "2.35",
}


def made(**changed: object) -> Target:
    return targets.parse({**LINUX, **changed})


@pytest.mark.skipif(sys.platform != "linux", reason="compares with this interpreter's tags")
def test_host_has_the_tags_and_markers_of_this_interpreter() -> None:
    from packaging.markers import default_environment

    host = targets.host()

    ours = [tag for tag in tags.sys_tags() if "musllinux" not in tag.platform]
    assert host.tags == ours
    here = {k: v for k, v in default_environment().items() if not k.startswith("platform_")}
    assert here.items() <= host.environment.items()
    assert host.installed == ()


@pytest.mark.parametrize(
    ("changed", "first", "has", "lacks"),
    [
        ({}, "cp313-cp313-linux_x86_64", "cp313-cp313-manylinux_2_35_x86_64", "manylinux_2_36"),
        (
            {"python": "3.12.1"},
            "cp312-cp312-linux_x86_64",
            "cp310-abi3-manylinux2014_x86_64",
            "cp313",
        ),
        (
            {"system": "darwin", "machine": "arm64", "release": "14.2"},
            "cp313-cp313-macosx_14_0_arm64",
            "cp313-cp313-macosx_11_0_universal2",
            "macosx_15",
        ),
        (
            {"system": "win32", "machine": "AMD64", "release": ""},
            "cp313-cp313-win_amd64",
            "py3-none-any",
            "linux",
        ),
        ({"machine": "aarch64"}, "cp313-cp313-linux_aarch64", "py3-none-any", "manylinux1_"),
    ],
)
def test_tags_of_other_machines(changed: dict[str, str], first: str, has: str, lacks: str) -> None:
    found = [str(tag) for tag in made(**changed).tags]

    assert found[0] == first
    assert has in found
    assert not [tag for tag in found if lacks in tag]


@pytest.mark.parametrize("name", ["kaggle-gpu-2026-10", "kaggle-gpu-2026-06"])
def test_shipped_targets_are_estimates_of_the_image(name: str) -> None:
    found = targets.load(name)

    assert name in targets.shipped()
    assert found.name == name
    assert found.estimate
    assert found.release == "2.35"
    assert (found.cuda or "").startswith("12.")
    assert "onnxruntime-gpu" not in found.packages
    # Kaggle's own additions, removals and pins, as its repository lists them.
    assert {"onnx", "simpleitk", "papermill", "catboost"} <= found.unversioned_packages.keys()
    assert "google-cloud-bigquery-storage" not in found.packages
    assert found.packages["protobuf"].version == "5.29.5"
    assert found.packages["nbconvert"].version == "6.4.5"
    assert (found.image_digest or "").startswith("sha256:")
    known = found.knowledge
    assert 0 < known.modules < known.requirements < known.versions < known.packages
    assert known.summary() in found.summary()
    assert found.packages["numpy"].version in {"2.1.3", "2.0.2"}
    assert len(found.installed) > 600


def test_digest_follows_what_matters_only() -> None:
    one = made(installed=[{"name": "NumPy", "version": "2.1.3", "requires": []}])

    assert one.digest == made(name="y", cpus=8, installed=one.as_dict()["installed"]).digest
    assert one.digest != made(installed=[]).digest
    assert one.digest != made(python="3.13.6", installed=one.as_dict()["installed"]).digest
    assert one.digest != made(cuda="13.0", installed=one.as_dict()["installed"]).digest


def test_text_is_read_back_as_it_was(tmp_path: Path) -> None:
    packages = [
        {"name": "b.c_d", "version": "1.0", "requires": ["numpy>=2", "what is this"]},
        {"name": "a", "version": "2.0", "requires": None},
        {"name": "A", "version": "1.0", "requires": []},
        {"name": "odd", "version": "not-a-version", "requires": []},
    ]
    one = made(installed=packages, gpus=["Tesla T4"], cpus=4, memory_bytes=1 << 30)
    (tmp_path / "x.json").write_text(one.text())

    again = targets.load("x.json", tmp_path)

    assert again == one
    assert [package.name for package in again.installed] == ["a", "b-c-d"]
    assert again.packages["a"].version == "2.0"
    assert [str(need) for need in again.packages["b-c-d"].needs()] == ["numpy>=2"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        json.dumps({**LINUX, "system": "plan9"}),
        json.dumps({**LINUX, "python": "three"}),
        json.dumps({**LINUX, "release": ""}),
        json.dumps({**LINUX, "installed": [1]}),
        "[" * 100_000,
    ],
    ids=["empty", "list", "bare", "format", "system", "python", "glibc", "installed", "deep"],
)
def test_broken_file_is_an_input_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)

    with pytest.raises(InputError, match=r"x\.json is not a target"):
        targets.load("x.json", tmp_path)


def test_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kaggle-gpu-2026-06, kaggle-gpu-2026-10, host"):
        targets.load("kaggle", tmp_path)


def test_capture_runs_alone_on_the_standard_library(tmp_path: Path) -> None:
    script = tmp_path / "cell.py"
    script.write_text(captured.capture_script())

    subprocess.run(
        [sys.executable, "-I", "-S", script, tmp_path / "x.json"],
        check=True,
        env={"PATH": os.defpath},
    )

    found = targets.load("x.json", tmp_path)
    assert found.tags == targets.host().tags
    assert not found.estimate
    assert found.cpus == os.cpu_count()


def test_capture_lists_what_is_installed(tmp_path: Path) -> None:
    message = captured.capture("laptop", tmp_path / "x.json").summary()

    found = targets.load("x.json", tmp_path)
    assert "x.json" in message
    assert found.packages["pytest"].version == pytest.__version__
    assert "pluggy" in {need.name for need in found.packages["pytest"].needs()}
    again = targets.parse(captured.capture("laptop", None).as_dict())
    assert found.core_seconds is not None
    assert found.core_seconds > 0
    assert replace(again, core_seconds=None) == replace(found, core_seconds=None)
    assert again.digest == found.digest  # how fast it is decides no wheels


def test_difference_says_what_moved() -> None:
    def installed(**versions: str) -> list[dict[str, object]]:
        return [{"name": name, "version": version} for name, version in versions.items()]

    old = made(python="3.12.13", installed=installed(numpy="2.0.2", gone="1.0", same="1"))
    new = made(cuda="12.8", installed=installed(numpy="2.1.3", new="1.0", same="1"))

    found = difference.between(old, new)

    assert found.moved == {"numpy": ("2.0.2", "2.1.3")}
    assert found.added == {"new": "1.0"}
    assert found.removed == {"gone": "1.0"}
    assert found.facts["cuda"] == (None, "12.8")
    assert "python: 3.12.13 → 3.13.5" in found.summary()
    assert "do not install on the other" in found.summary()
    assert difference.between(old, old).summary() == (
        "The two targets are the same. Whether it is the same image is not known: a digest is "
        "missing."
    )
    json.dumps(found.as_dict())


# --- by digest ---


def test_a_target_is_found_by_its_images_digest(tmp_path: Path) -> None:
    october, june = (targets.load(f"kaggle-gpu-2026-{month}") for month in ("10", "06"))
    assert october.image_digest
    digits = october.image_digest.removeprefix("sha256:")
    for name in (october.image, october.image_digest, f"sha256:{digits[:12]}", digits[:8]):
        assert targets.load(name or "", tmp_path) == october
    assert targets.load(june.digest[:12], tmp_path) == june  # the target's own, as `show` has it
    mine = made(image=f"kaggle/python@sha256:{'5' * 64}")
    (tmp_path / "mine.json").write_text(mine.text())
    (tmp_path / "package.json").write_text("{}")  # any other JSON
    assert targets.load("sha256:55555555", tmp_path) == mine


def test_a_digest_that_is_nobodys_or_two_targets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No target has the digest sha256:0{8}.*target capture"):
        targets.load("sha256:00000000", tmp_path)
    for name, python in (("one", "3.13.1"), ("two", "3.13.2")):
        target = made(name=name, python=python, image=f"x@sha256:{'5' * 64}")
        (tmp_path / f"{name}.json").write_text(target.text())
    with pytest.raises(InputError, match=r"that of one \(\w{12}\), two .*by its name"):
        targets.load("sha256:55555555", tmp_path)


def test_difference_by_digest_and_what_it_cannot_know() -> None:
    one, other = (made(image=f"kaggle/python@sha256:{digit * 64}") for digit in "12")
    assert difference.between(one, other).facts["image"] == (one.image, other.image)
    assert difference.between(one, other).same_image is False
    same = difference.between(one, replace(one, name="again"))
    assert same.same_image is True
    assert same.summary() == (
        "The two targets are the same. Both describe the same image, by its digest."
    )
    assert difference.between(one, made()).same_image is None
    known = made(installed=[{"name": "onnx", "version": "1.19.0"}])
    unknown = made(unversioned=["onnx", "lime"])
    found = difference.between(known, unknown)
    assert (found.added, found.removed, found.moved) == ({}, {}, {})
    assert found.unknown == {"lime": (None, None), "onnx": ("1.19.0", None)}
    assert "? onnx 1.19.0 → not known" in found.summary()
    assert found
    json.dumps(found.as_dict())


def test_capture_lists_modules_and_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = f"gcr.io/kaggle-gpu-images/python@sha256:{'a' * 64}"
    monkeypatch.setenv("KAGGLE_DOCKER_IMAGE", reference)
    target = captured.capture("here", None).target
    assert target.image == reference
    assert target.packages["pytest"].modules is not None
    assert {"pytest", "py"} <= set(target.packages["pytest"].modules)
    assert target.packages["protobuf"].modules == ("google.protobuf",)  # others share `google`
    known = target.knowledge
    assert known.packages == known.versions == known.requirements
    assert known.modules > 0.9 * known.packages


def test_modules_decide_no_wheel() -> None:
    package = {"name": "a", "version": "1", "requires": []}
    one, other = made(installed=[package]), made(installed=[{**package, "modules": ["a", "b"]}])
    assert one.digest == other.digest
    assert other.packages["a"].modules == ("a", "b")
