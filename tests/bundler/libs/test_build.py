"""The flow: requirements → lock → wheels → bundle, against a small index with real resolvers."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import BundlerError, CheckError, InputError, NetworkError
from bundler.libs import locks
from bundler.libs.build import build
from bundler.libs.options import LibsOptions
from inference.boot import bundle as reader
from inference.boot import install
from tests.bundler.libs.conftest import make_target, platform_wheels
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]
RESOLVERS = ("uv", "pip-tools")
IMAGE = {"numpy": "2.1.3", "tqdm": "4.0", "torch": ("2.11.0+cu128", ["numpy>=2"])}


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_complete_wheelhouse_holds_all_with_hashes(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    made = libs("albumentations", "pydicom[pixels]", resolver=resolver)

    bundle = reader.verify(made.built.bundle.folder)
    versions = {pin.name: pin.version for pin in made.lock.pins}
    assert versions == {
        "albumentations": "2.0.8",
        "numpy": "2.3.0",
        "pydicom": "3.0.2",
        "pylibjpeg": "2.0",
        "tqdm": "4.0",
    }
    assert {file.name for file in bundle.files} >= {pin.file for pin in made.lock.pins}
    (target,) = bundle.libs.targets
    for pin in made.lock.pins:
        assert pin.sha256 == hashlib.sha256(registry.files[pin.file]).hexdigest()
        assert f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}" in target.lock
    via = {pin.name: pin.via for pin in made.lock.pins}
    assert via["pylibjpeg"] == ("pydicom",)
    assert via["albumentations"] == ("wheelhouse.txt",)
    assert target.python == "3.13.5"


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_a_list_of_nothing_is_a_bundle_of_nothing(
    libs: Libs, registry: Registry, folder: Path, resolver: str
) -> None:
    made = libs("# The image has all that is needed.", resolver=resolver, target="host")

    bundle = reader.verify(made.built.bundle.folder)
    (target,) = bundle.libs.targets
    assert target.lock == ()
    assert registry.log == []  # so it can be built on a train
    site = install.install(bundle, folder)
    assert list(site.iterdir()) == []
    # A package that is added makes another bundle.
    assert libs("tqdm", resolver=resolver, target="host").built.bundle.id != bundle.id


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_delta_brings_only_what_the_image_lacks(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    made = libs("albumentations", "torch", target=make_target(installed=IMAGE), resolver=resolver)

    assert [pin.name for pin in made.lock.pins] == ["albumentations"]
    assert {item.name: item.version for item in made.lock.provided} == {
        "numpy": "2.1.3",
        "tqdm": "4.0",
        "torch": "2.11.0+cu128",
    }
    assert made.built.bundle.libs.targets[0].excluded == (
        "numpy==2.1.3",
        "torch==2.11.0+cu128",
        "tqdm==4.0",
    )
    assert made.built.bundle.libs.targets[0].shadowed == ()


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_delta_follows_the_extras_of_the_image_packages(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    image = {"pydicom": ("3.0.2", ['pylibjpeg; extra == "pixels"'])}

    made = libs("pydicom[pixels]", target=make_target(installed=image), resolver=resolver)

    assert [pin.name for pin in made.lock.pins] == ["pylibjpeg"]


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_conflict_names_both_sides_and_ways_out(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    with pytest.raises(InputError) as caught:
        libs("albumentations==1.3.0", target=make_target(installed=IMAGE), resolver=resolver)

    said = str(caught.value)
    assert "albumentations 1.3.0 needs numpy<2; the image has numpy 2.1.3" in said
    assert "--no-delta" in said


def test_conflict_of_the_file_itself_is_named(libs: Libs, registry: Registry) -> None:
    with pytest.raises(InputError, match=r"asks for `numpy<2`; the image has numpy 2.1"):
        libs("numpy<2", target=make_target(installed=IMAGE))


def test_no_delta_says_what_it_hides_and_breaks(libs: Libs, registry: Registry) -> None:
    made = libs("albumentations==1.3.0", target=make_target(installed=IMAGE), delta=False)

    assert made.built.bundle.libs.targets[0].shadowed == ("numpy 2.1.3 → 1.26.4",)
    notes = "\n".join(made.lock.notes)
    assert "numpy 2.1.3 → 1.26.4" in notes
    assert "the image's torch 2.11.0+cu128 needs numpy>=2; the bundle would bring 1.26.4" in notes


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_one_package_replaces_the_images(libs: Libs, registry: Registry, resolver: str) -> None:
    made = libs(
        "albumentations==1.3.0",
        "numpy<2  # replace",
        target=make_target(installed=IMAGE),
        resolver=resolver,
    )

    assert [pin.name for pin in made.lock.pins] == ["albumentations", "numpy"]
    assert [item.name for item in made.lock.provided] == ["tqdm"]
    assert made.built.bundle.libs.targets[0].shadowed == ("numpy 2.1.3 → 1.26.4",)
    assert any("the image's torch" in note for note in made.lock.notes)


def test_nothing_is_asked_or_written_when_nothing_changed(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    first = libs("albumentations")
    files = sorted((folder / "dist" / "libs").iterdir())
    before = [(path, path.stat().st_mtime_ns) for path in [*files, folder / "wheelhouse.lock"]]
    registry.log.clear()

    second = libs("# a comment changes nothing", "albumentations")

    assert registry.log == []
    assert second.built.bundle.id == first.built.bundle.id
    assert not second.built.changed
    assert [(path, path.stat().st_mtime_ns) for path, _ in before] == before


def test_the_same_input_gives_the_same_bytes(
    libs: Libs, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = libs("albumentations", "pydicom", out=folder / "one")
    lock = (folder / "wheelhouse.lock").read_bytes()
    (folder / "wheelhouse.lock").unlink()
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "another-cache"))

    two = libs("pydicom", "albumentations", out=folder / "two")

    assert (folder / "wheelhouse.lock").read_bytes() == lock
    assert one.built.bundle.id == two.built.bundle.id
    for path in sorted((folder / "one").iterdir()):
        assert (folder / "two" / path.name).read_bytes() == path.read_bytes()


def test_many_wheels_travel_in_one_archive(libs: Libs, registry: Registry, folder: Path) -> None:
    names = [f"tiny{number}" for number in range(50)]
    for name in names:
        registry.add(wheel(name, "1.0"))

    made = libs(*names)

    shipped = [path.name for path in (folder / "dist" / "libs").iterdir()]
    assert "wheels.tar.tmp" in shipped
    assert len(shipped) < 10
    reader.verify(folder / "dist" / "libs")
    assert len(made.lock.pins) == 50


def test_check_passes_on_a_fresh_lock_and_fails_on_a_stale_one(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    with pytest.raises(CheckError, match="does not exist"):
        libs("albumentations", check=True)
    libs("albumentations")
    seen = sorted(folder.rglob("*"))
    assert "is current: 3 packages" in libs(check=True).summary()
    assert sorted(folder.rglob("*")) == seen

    with pytest.raises(CheckError, match="the requirements or the options have changed"):
        libs("albumentations", "pydicom", check=True)
    with pytest.raises(CheckError, match="the target image has changed"):
        libs("albumentations", target=make_target("3.12.1"), check=True)
    assert CheckError.exit_code == 1


def test_the_shipped_lock_is_current_and_leaves_the_image_alone() -> None:
    root = Path(__file__).parents[3]
    made = build(
        LibsOptions(
            requirements=root / "wheelhouse.txt",
            targets=("kaggle-gpu-2026-10",),
            out=root / "dist" / "libs",
            check=True,
        )
    )

    names = {pin.name for pin in made.lock.pins}
    assert {"onnxruntime-gpu", "dicomsdl", "pylibjpeg-openjpeg", "imagecodecs"} <= names
    assert not names & {"numpy", "pillow", "pydicom", "torch"}


def test_lock_holds_no_url_of_a_file_and_survives_a_round_trip(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    made = libs("albumentations", target=make_target(installed=IMAGE))

    text = (folder / "wheelhouse.lock").read_text()
    urls = [line for line in text.splitlines() if "://" in line]
    assert urls == [f'origin = "{registry.url}/simple"'] * len(made.lock.pins)
    assert str(folder) not in text
    assert locks.read(folder / "wheelhouse.lock") == made.lock


def test_upgrade_moves_one_package_and_leaves_the_rest(libs: Libs, registry: Registry) -> None:
    libs("albumentations", "pydicom")
    registry.add(wheel("albumentations", "2.1.0", ["numpy>=1.24", "tqdm"]))
    registry.add(wheel("pydicom", "3.1.0"))

    unchanged = libs("albumentations", "pydicom")
    one = libs("albumentations", "pydicom", upgrade=("pydicom",))
    every = libs("albumentations", "pydicom", upgrade=())

    def versions(made: Any) -> list[str]:
        return [
            f"{p.name} {p.version}"
            for p in made.lock.pins
            if p.name in ("albumentations", "pydicom")
        ]

    assert versions(unchanged) == ["albumentations 2.0.8", "pydicom 3.0.2"]
    assert versions(one) == ["albumentations 2.0.8", "pydicom 3.1.0"]
    assert versions(every) == ["albumentations 2.1.0", "pydicom 3.1.0"]


def test_adding_a_requirement_leaves_the_locked_versions(libs: Libs, registry: Registry) -> None:
    libs("albumentations")
    registry.add(wheel("albumentations", "2.1.0", ["numpy>=1.24", "tqdm"]))

    made = libs("albumentations", "pydicom")

    assert {pin.name: pin.version for pin in made.lock.pins}["albumentations"] == "2.0.8"


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_adding_a_requirement_moves_only_what_must_move(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    names = ["one", "two", "three", "four", "five"]
    for name in names:
        registry.add(wheel(name, "1.0"))
    libs(*names)
    for name in names:
        registry.add(wheel(name, "2.0"))
    registry.add(wheel("newcomer", "1.0", ["three>=2"]))

    made = libs(*names, "newcomer", resolver=resolver)

    moved = {pin.name for pin in made.lock.pins if pin.version != "1.0"}
    assert moved == {"three"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('version = "2.3.0"', 'version = "2.1.3"').replace(
            "numpy-2.3.0", "numpy-2.1.3"
        ),
        lambda text: (
            text[: text.index("[[package]]")]
            + text[text.index("[[package]]", text.index("[[package]]") + 1) :]
        ),
        lambda text: text.replace('via = ["albumentations"]', 'via = ["nobody"]', 1),
    ],
    ids=["version", "removed", "via"],
)
def test_check_notices_what_was_edited_by_hand(
    libs: Libs, registry: Registry, folder: Path, edit: Callable[[str], str]
) -> None:
    libs("albumentations")
    lock = folder / "wheelhouse.lock"
    whole = lock.read_text()
    assert edit(whole) != whole
    lock.write_text(edit(whole))

    with pytest.raises(CheckError, match="was edited since it was written"):
        libs(check=True)
    lock.write_text("# a comment says nothing\n" + whole)
    libs(check=True)


def test_locked_pins_give_way_where_they_no_longer_fit(libs: Libs, registry: Registry) -> None:
    libs("albumentations==1.3.0")

    made = libs("albumentations==2.0.8")

    assert {pin.name: pin.version for pin in made.lock.pins}["albumentations"] == "2.0.8"


def test_constraints_and_includes_hold(libs: Libs, registry: Registry, folder: Path) -> None:
    (folder / "limits.txt").write_text("numpy==2.1.3\nnever-asked-for==1\n")
    (folder / "more.txt").write_text("pydicom  # from another file\n")

    made = libs("-c limits.txt", "-r more.txt", "albumentations \\", "  >=2")

    versions = {pin.name: pin.version for pin in made.lock.pins}
    assert versions["numpy"] == "2.1.3"
    assert "pydicom" in versions
    assert "never-asked-for" not in versions


# --- sdists ---


@pytest.mark.parametrize(("suffix", "resolver"), [(".zip", "pip-tools"), (".tar.gz", "uv")])
def test_pure_sdist_becomes_a_wheel(
    libs: Libs, registry: Registry, suffix: str, resolver: str
) -> None:
    registry.add(sdist("wget", "3.2", suffix=suffix))

    made = libs("wget", resolver=resolver)

    (pin,) = made.lock.pins
    assert pin.file == "wget-3.2-py3-none-any.whl"
    assert (pin.built_from or "").startswith(f"wget-3.2{suffix} ")
    assert any(f"built from wget-3.2{suffix}" in note for note in made.lock.notes)


def test_newest_release_is_built_where_the_resolver_would_fall_back(
    libs: Libs, registry: Registry
) -> None:
    registry.add(wheel("efficientnet-pytorch", "0.3.0"))
    registry.add(sdist("efficientnet-pytorch", "0.7.1"))

    made = libs("efficientnet-pytorch")

    assert [pin.version for pin in made.lock.pins] == ["0.7.1"]
    (note,) = made.lock.notes
    assert "0.7.1" in note
    assert "0.3.0" in note


def test_compiled_sdist_is_refused_with_the_reason(libs: Libs, registry: Registry) -> None:
    registry.add(sdist("fastpix", "1.0", tag="cp311-cp311-linux_x86_64"))

    with pytest.raises(
        InputError,
        match=r"fastpix 1\.0 has no wheel that fits, and its sdist "
        r"contains compiled code",
    ):
        libs("fastpix")


def test_fallback_to_an_older_wheel_is_said_with_both_versions(
    libs: Libs, registry: Registry
) -> None:
    registry.add(wheel("fastpix", "0.9"))
    registry.add(sdist("fastpix", "1.0", needs="raise SystemExit('no compiler')"))

    made = libs("fastpix")

    assert [pin.version for pin in made.lock.pins] == ["0.9"]
    (note,) = made.lock.notes
    assert "fastpix 1.0 has no wheel that fits" in note
    assert "0.9 was taken" in note


def test_built_wheel_is_built_again_elsewhere_and_is_the_same(
    libs: Libs, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add(sdist("wget", "3.2", suffix=".zip"))
    first = libs("wget")
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "another-cache"))

    second = libs(out=folder / "second")

    assert second.built.bundle.id == first.built.bundle.id


def test_allowed_sdist_travels_with_what_builds_it(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    registry.add(wheel("tinybuild", "1.0"))
    registry.add(
        sdist(
            "fastpix",
            "1.0",
            ["pydicom"],
            tag="cp311-cp311-linux_x86_64",
            build_requires=["tinybuild"],
            needs="import tinybuild",
        )
    )

    made = libs("fastpix", allow_sdist=True)

    shipped = {path.name for path in (folder / "dist" / "libs").iterdir()}
    assert {"fastpix-1.0.tar.gz.tmp", "tinybuild-1.0-py3-none-any.whl.tmp"} <= shipped
    assert [pin.name for pin in made.lock.pins] == ["fastpix", "pydicom"]
    assert [pin.name for pin in made.lock.build] == ["tinybuild"]


# --- what bad input gets ---


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_typo_gets_the_nearest_names(libs: Libs, registry: Registry, resolver: str) -> None:
    with pytest.raises(
        InputError, match=r"No index has a package named pydicm. Did you mean pydicom"
    ):
        libs("pydicm", resolver=resolver)


def test_conda_name_is_called_one(libs: Libs, registry: Registry) -> None:
    with pytest.raises(
        InputError, match=r"gdcm is a conda package.*The same on PyPI is python-gdcm"
    ):
        libs("gdcm")


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_no_word_of_a_complaint_is_looked_up(libs: Libs, registry: Registry, resolver: str) -> None:
    for word in ("and", "package", "because", "you", "no", "error", "matching", "distribution"):
        registry.add(sdist(word, "1.0"))

    with pytest.raises(InputError):
        libs("pydicm", "numpy>=2", "albumentations==1.3.0", resolver=resolver)

    names = {path.strip("/").removeprefix("simple/") for path in registry.asked("/simple/")}
    assert names <= {"pydicm", "numpy", "albumentations", "tqdm"}


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_sdist_that_a_requirement_needs_is_built(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    registry.add(wheel("outer", "1.0", ["inner-part>=0.5"]))
    registry.add(sdist("inner-part", "0.6"))

    made = libs("outer", resolver=resolver)

    assert [pin.file for pin in made.lock.pins] == [
        "inner_part-0.6-py3-none-any.whl",
        "outer-1.0-py3-none-any.whl",
    ]


def test_name_of_condas_is_noted_where_the_index_has_it_too(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("gdcm", "1.0"))

    (note,) = libs("gdcm").lock.notes
    assert "python-gdcm" in note


def test_impossible_pin_lists_what_there_is(libs: Libs, registry: Registry) -> None:
    with pytest.raises(InputError) as caught:
        libs("albumentations==9.9")

    said = str(caught.value)
    assert "No release of albumentations matches ==9.9; the index has 2.0.8, 1.3.0." in said
    assert "The output of uv" in said


def test_yanked_release_is_called_yanked(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("pydicom", "3.3.0"), yanked="wrong pixels")

    made = libs("pydicom")
    assert made.lock.pins[0].version == "3.0.2"

    with pytest.raises(InputError, match=r"3\.3\.0 was yanked \(wrong pixels\)"):
        libs("pydicom>3.2")


def test_no_wheel_for_this_python_lists_those_there_are(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("dicomsdl", "1.0", tag="cp312-cp312-win_amd64"))

    with pytest.raises(
        InputError, match=r"Python 3\.13 on manylinux_2_35_x86_64; 1\.0 has wheels for cp312"
    ):
        libs("dicomsdl")


def test_contradiction_is_told_in_the_resolvers_words(libs: Libs, registry: Registry) -> None:
    with pytest.raises(InputError, match=r"albumentations.*depends on\s+numpy<2"):
        libs("albumentations==1.3.0", "numpy>=2")


def test_cuda_13_build_is_kept_off_a_cuda_12_image(libs: Libs, registry: Registry) -> None:
    for version in ("1.26.0", "1.27.0"):
        for file in platform_wheels("onnxruntime-gpu", version):
            registry.add(file)
    machine = make_target(cuda="12.8")

    made = libs("onnxruntime-gpu", target=machine)
    assert made.lock.pins[0].version == "1.26.0"
    assert "CUDA 13" in made.lock.notes[0]

    with pytest.raises(InputError, match=r"falls back to the CPU without a word"):
        libs("onnxruntime-gpu>=1.27", target=machine)
    newer = libs("onnxruntime-gpu", target=make_target(cuda="13.0"))
    assert newer.lock.pins[0].version == "1.27.0"


def test_two_wheels_that_install_one_file_are_noted(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("opencv-python", "4.0", files={"cv2.py": "a = 1\n"}))
    registry.add(wheel("opencv-python-headless", "4.0", files={"cv2.py": "a = 2\n"}))

    made = libs("opencv-python", "opencv-python-headless")

    assert any("both install cv2.py" in note for note in made.lock.notes)


@pytest.mark.parametrize(
    "file",
    [
        wheel("odd", "1.0", record_lacks="odd/__init__.py"),
        wheel("odd", "1.0", metadata_name="other"),
    ],
    ids=["record", "name"],
)
def test_wheel_that_disagrees_with_itself_is_refused(
    libs: Libs, registry: Registry, file: tuple[str, bytes], folder: Path
) -> None:
    registry.add(file)

    with pytest.raises(BundlerError):
        libs("odd", resolver="pip-tools" if b"other" in file[1] else "uv")
    assert not (folder / "dist").exists()


# --- the network ---


def test_half_a_download_is_resumed(libs: Libs, registry: Registry, folder: Path) -> None:
    body = "x = '" + "0123456789" * 200_000 + "'\n"
    registry.add(wheel("large", "1.0", body=body))
    name = "large-1.0-py3-none-any.whl"
    registry.faults[name] = "cut"

    made = libs("large")

    reader.verify(made.built.bundle.folder)
    half = len(registry.files[name]) // 2
    assert registry.asked(f"/files/{name} ") == [f"/files/{name} bytes={half}-"]


def test_what_a_killed_run_left_is_used(libs: Libs, registry: Registry, tmp_path: Path) -> None:
    name = "pydicom-3.0.2-py3-none-any.whl"
    content = registry.files[name]
    digest = hashlib.sha256(content).hexdigest()
    place = tmp_path / "cache" / "files" / digest[:2] / digest
    place.mkdir(parents=True)
    (place / f"{name}.part").write_bytes(content[:100])

    libs("pydicom")

    assert registry.asked(f"/files/{name} ") == [f"/files/{name} bytes=100-"]
    assert not list(place.glob("*.part"))
    assert (place / name).read_bytes() == content


def test_wrong_left_over_is_thrown_away(libs: Libs, registry: Registry, tmp_path: Path) -> None:
    name = "pydicom-3.0.2-py3-none-any.whl"
    digest = hashlib.sha256(registry.files[name]).hexdigest()
    place = tmp_path / "cache" / "files" / digest[:2] / digest
    place.mkdir(parents=True)
    (place / f"{name}.part").write_bytes(b"never a wheel")

    libs("pydicom")

    assert (place / name).read_bytes() == registry.files[name]


def test_busy_server_is_asked_again(libs: Libs, registry: Registry) -> None:
    registry.faults["pydicom-3.0.2-py3-none-any.whl"] = "busy"

    libs("pydicom")


def test_changed_file_is_refused(libs: Libs, registry: Registry, folder: Path) -> None:
    registry.faults["pydicom-3.0.2-py3-none-any.whl"] = "changed"

    with pytest.raises(InputError, match="is not the one that was locked"):
        libs("pydicom")
    assert not (folder / "dist").exists()


def test_vanished_file_names_the_way_out(
    libs: Libs, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libs("pydicom")
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "another-cache"))
    del registry.files["pydicom-3.0.2-py3-none-any.whl"]

    with pytest.raises(InputError, match=r"no longer on the index.*--upgrade pydicom"):
        libs(out=folder / "elsewhere")


def test_warm_cache_needs_no_network(
    libs: Libs, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = libs("albumentations")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")

    again = libs(out=folder / "elsewhere")

    assert again.built.bundle.id == first.built.bundle.id


def test_cold_cache_without_network_says_what_is_missing(
    libs: Libs, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libs("pydicom")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "cold"))

    with pytest.raises(
        NetworkError, match=r"pydicom-3\.0\.2-py3-none-any\.whl is not in the cache"
    ):
        libs(out=folder / "elsewhere")
    assert NetworkError.exit_code == 8


def test_resolving_without_network_says_so(
    libs: Libs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")

    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:9 cannot be reached"):
        libs("pydicom")


def test_html_index_is_read_as_well(libs: Libs, registry: Registry, folder: Path) -> None:
    registry.as_html = True

    made = libs("albumentations", resolver="pip-tools")

    assert {pin.name for pin in made.lock.pins} == {"albumentations", "numpy", "tqdm"}


def test_altered_file_in_the_cache_is_fetched_again(
    libs: Libs, registry: Registry, folder: Path, tmp_path: Path
) -> None:
    first = libs("pydicom")
    (kept,) = (tmp_path / "cache" / "files").rglob("*.whl")
    kept.write_bytes(b"altered")

    second = libs(out=folder / "elsewhere")

    assert second.built.bundle.id == first.built.bundle.id


def test_folder_of_links_needs_no_index(libs: Libs, folder: Path) -> None:
    name, content = wheel("private", "1.0")
    (folder / "wheels").mkdir()
    (folder / "wheels" / name).write_bytes(content)

    for resolver in RESOLVERS:
        os.environ["PIP_NO_INDEX"] = "1"
        try:
            made = libs("--find-links wheels", "private", resolver=resolver, upgrade=())
        finally:
            del os.environ["PIP_NO_INDEX"]
        assert made.lock.pins[0].sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_what_the_cache_remembers_is_not_locked_without_a_network(
    libs: Libs, registry: Registry, folder: Path, resolver: str
) -> None:
    libs("pydicom", "numpy")
    registry.close()
    (folder / "wheelhouse.lock").unlink()

    with pytest.raises(NetworkError, match="cannot be reached"):
        libs("pydicom", resolver=resolver)
    assert not (folder / "wheelhouse.lock").exists()


def test_estimate_is_called_one(libs: Libs, registry: Registry) -> None:
    assert "is an estimate" in libs("pydicom", target=make_target(estimate=True)).summary()
    assert "is an estimate" not in libs("pydicom", target=make_target()).summary()
