"""What the bundle and the image do to each other, and what is not known of the image."""

from collections.abc import Callable

import pytest

from bundler.image import imports, target
from bundler.libs.result import LibsResult
from tests.bundler.libs.conftest import make_target
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., LibsResult]
CV2 = {"cv2/__init__.py": "", "cv2/gapi/__init__.py": ""}


@pytest.fixture
def opencv(registry: Registry) -> Registry:
    """An index with two builds of OpenCV, which hold one module under two names."""
    for name in ("opencv-contrib-python-headless", "opencv-python"):
        registry.add(wheel(name, "4.11", files=CV2))
    return registry


def notes(made: LibsResult, part: str) -> list[str]:
    """Return the lock's notes that hold some text."""
    return [note for note in made.lock.notes if part in note]


def image(**changes: object) -> dict[str, object]:
    """Return an installed package as a target's file lists it."""
    return {"name": "opencv-python", "version": "4.12", "requires": []} | changes


@pytest.mark.parametrize(
    ("package", "line"),
    [
        (image(modules=["cv2"]), "hides the image's cv2, which is that of opencv-python 4.12."),
        (
            image(),
            "hides the image's cv2, which is most likely that of opencv-python 4.12 (its list of "
            "modules is not known).",
        ),
        (image(modules=["elsewhere"]), None),  # known, and another
        (image(name="numpy", version="2.1.3"), None),
    ],
)
def test_a_module_of_the_image_under_another_name(
    libs: Libs, opencv: Registry, package: dict[str, object], line: str | None
) -> None:
    installed = make_target().as_dict() | {"installed": [package]}
    made = libs("opencv-contrib-python-headless", target=target.parse(dict(installed)))
    found = notes(made, "hides the image's")
    if line is None:
        assert found == []
        return
    assert len(found) == 1
    assert line in found[0]
    assert found[0].startswith("opencv-contrib-python-headless 4.11 hides")


def test_the_shipped_targets_know_whose_cv2_it_is(libs: Libs, opencv: Registry) -> None:
    for name in target.shipped():
        made = libs("opencv-contrib-python-headless", target=name)
        assert any("cv2" in note for note in notes(made, "hides the image's")), name


def test_the_same_package_and_its_neighbours_in_a_namespace_are_no_clash(
    libs: Libs, registry: Registry
) -> None:
    registry.add(wheel("google-other", "1.0", files={"google/other/__init__.py": ""}))
    registry.add(wheel("google-lib", "2.0", files={"google/lib/deep/__init__.py": ""}))
    packages = [
        {"name": "google-cloud", "version": "1.0", "requires": [], "modules": ["google.cloud"]},
        {"name": "protobuf", "version": "5.0", "requires": []},  # not known: `google`, likely
        {"name": "vendored", "version": "1.0", "requires": [], "modules": ["google.lib"]},
    ]
    content = dict(make_target().as_dict()) | {"installed": packages}
    made = libs("google-other", "google-lib", target=target.parse(content))
    (note,) = notes(made, "hides the image's")
    assert "google-lib 2.0 hides the image's google.lib.deep, which is that of vendored" in note


def test_a_version_that_is_not_known_is_never_relied_on(libs: Libs, registry: Registry) -> None:
    """Kaggle adds a package without saying which release: perhaps it fits, perhaps not."""
    registry.add(wheel("onnx", "1.19.0"))
    registry.add(wheel("exporter", "1.0", ["onnx>=1.15"]))
    plain, there = make_target(), make_target(unversioned=["onnx", "fastcore<2"])
    made = libs("exporter", target=there)
    assert [pin.name for pin in made.lock.pins] == ["exporter", "onnx"]
    assert [item.name for item in made.lock.provided] == []
    assert notes(made, "onnx") == [
        "Brings onnx 1.19.0: the image has it, too (onnx), in a version that is not known."
    ]
    assert notes(libs("exporter", target=plain), "onnx") == []
    assert plain.digest != there.digest


def test_a_gap_that_may_be_none_is_not_claimed(libs: Libs, registry: Registry) -> None:
    """A package of the image needs one of unknown version: whether that fits is not known."""
    installed = {"user": ("1.0", ["onnx>=1.15", "absent"])}
    registry.add(wheel("mine", "1.0", ["user"]))
    made = libs("mine", target=make_target(installed=installed, unversioned=["onnx"]))
    assert notes(made, "lacks something") == [
        "The image itself lacks something: user needs absent; nothing provides it."
    ]


def test_what_an_extra_needs_is_not_known_where_nobody_lists_it(
    libs: Libs, registry: Registry
) -> None:
    registry.add(wheel("mine", "1.0", ["transformers[vision]"]))
    unknown = make_target(installed={"transformers": ("5.0", None)})
    assert notes(libs("mine", target=unknown), "Not known") == [
        "Not known: what the image's transformers 5.0 needs for its extra vision."
    ]
    known = make_target(installed={"transformers": ("5.0", [])})
    assert notes(libs("mine", target=known), "Not known") == []


def test_the_result_says_how_much_is_known(libs: Libs, registry: Registry) -> None:
    made = libs(
        "tqdm", target=make_target(installed={"a": "1.0"}, estimate=True, unversioned=["b"])
    )
    assert "of 2 packages are known: 1 versions, 1 requirements" in made.summary()
    assert made.as_dict()["known"] == {
        "packages": 2,
        "versions": [1, 1],
        "requirements": [1, 1],
        "modules": [0, 2],
    }


def test_what_one_imports_of_a_package() -> None:
    assert imports.likely_modules("opencv-contrib-python-headless") == ("cv2",)
    assert imports.likely_modules("my-package") == ("my_package",)
