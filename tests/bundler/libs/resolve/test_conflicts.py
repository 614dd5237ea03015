"""What cannot hold together is named, and nothing else: minimal sets, in the user's words."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.errors import InputError
from bundler.libs.resolve.minimal import minimal
from tests.bundler.libs.conftest import make_target
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]
RESOLVERS = ("uv", "pip-tools")


def explained(libs: Libs, *lines: str, **options: Any) -> str:
    """Return our own part of an error."""
    with pytest.raises(InputError) as caught:
        libs(*lines, **options)
    return str(caught.value).partition("\nThe output of")[0]


@given(st.lists(st.integers(0, 30), unique=True, min_size=1), st.data())
@settings(max_examples=200)
def test_minimal_set_conflicts_and_no_part_of_it_does(
    items: list[int], data: st.DataObject
) -> None:
    core = set(data.draw(st.lists(st.sampled_from(items), min_size=1, unique=True)))
    asked = []

    def conflicts(some: Sequence[int]) -> bool:
        asked.append(some)
        return core <= set(some)

    assert minimal(items, conflicts) == [item for item in items if item in core]
    assert len(asked) <= 2 * len(core) * (len(items).bit_length() + 1) + 2


def test_image_decides_without_a_resolver_a_build_or_an_index(
    libs: Libs, registry: Registry
) -> None:
    registry.add(sdist("numpy", "1.26.5", needs="raise SystemExit('it was built')"))
    registry.close()  # what the image decides needs no index

    said = explained(libs, "numpy<2", target=make_target(installed={"numpy": "2.1.3"}))

    assert "wheelhouse.txt asks for `numpy<2`; the image has numpy 2.1.3." in said
    assert "Ways out: require a release that accepts the image's version" in said
    assert "# replace" in said
    assert registry.asked("/files/") == []


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_transitive_conflict_names_both_ends_and_nobody_else(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    # What nnunetv2 is: a package that nobody asked for does not accept the image's timm.
    registry.add(wheel("nnunet", "2.0", ["networks>=0.4", "tqdm"]))
    registry.add(wheel("networks", "0.4", ["timm<1.0.23"]))
    registry.add(wheel("timm", "1.0.22", body="x = 1\n"))
    registry.add(wheel("timm", "1.0.28"))
    image = {"timm": "1.0.28", "tqdm": "4.0", "torch": "2.9", "numpy": "2.1.3"}

    said = explained(
        libs,
        "pydicom",
        "nnunet",
        "albumentations",
        target=make_target(installed=image),
        resolver=resolver,
    )

    assert "`nnunet`: networks 0.4 needs timm<1.0.23; the image has timm 1.0.28." in said
    for other in ("pydicom", "albumentations", "torch", "numpy", "tqdm"):
        assert other not in said
    assert not [path for path in registry.log if path.startswith("/files/timm")]


def test_release_that_fits_is_a_way_out(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("nnunet", "2.0", ["timm<1.0.23"]))
    registry.add(wheel("nnunet", "1.9", ["timm"]))
    registry.add(wheel("timm", "1.0.22"))

    said = explained(libs, "nnunet==2.0", target=make_target(installed={"timm": "1.0.28"}))

    assert "nnunet 2.0 needs timm<1.0.23; the image has timm 1.0.28" in said
    assert "`nnunet==1.9` fits the image" in said


def test_several_conflicts_are_told_at_once(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("one", "1.0", ["timm<1"]))
    registry.add(wheel("two", "1.0", ["torch<2"]))
    registry.add(wheel("three", "1.0", ["pydicom<3"]))
    registry.add(wheel("pydicom", "2.4"))
    for name in ("timm", "torch"):
        registry.add(wheel(name, "0.5"))
    image = make_target(installed={"timm": "1.0.28", "torch": "2.9", "numpy": "2.1.3"})

    said = explained(libs, "one", "two", "three", "pydicom>=3", "numpy<2", "tqdm", target=image)

    assert "asks for `numpy<2`; the image has numpy 2.1.3." in said
    assert "`one`: one 1.0 needs timm<1; the image has timm 1.0.28." in said
    assert "`two`: two 1.0 needs torch<2; the image has torch 2.9." in said
    assert (
        "`three` and `pydicom>=3`: three 1.0 needs pydicom<3; they contradict each other." in said
    )
    assert "tqdm" not in said


def test_constraint_of_the_user_is_a_side_of_a_conflict(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    (folder / "limits.txt").write_text("numpy>=2\n")

    said = explained(libs, "albumentations==1.3.0", "-c limits.txt", "tqdm")

    assert "`albumentations==1.3.0` and `numpy>=2`" in said


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_requirement_that_no_index_has_is_named_with_who_needs_it(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    registry.add(wheel("outer", "1.0", ["nosuch"]))

    said = explained(libs, "outer", "tqdm", resolver=resolver)

    assert "`outer`: outer 1.0 needs nosuch, which no index has for this target." in said


def test_releases_that_no_index_has_are_told_from_those_there_are(
    libs: Libs, registry: Registry
) -> None:
    registry.add(wheel("outer", "1.0", ["pydicom<3"]))

    said = explained(libs, "outer", "tqdm")

    assert "`outer`: outer 1.0 needs pydicom<3; for this target there is 3.0.2." in said


def test_metadata_come_by_ranges_where_the_index_has_none(libs: Libs, registry: Registry) -> None:
    big = "x = '" + "".join(f"{number:x}" for number in range(200_000)) + "'\n"
    registry.add(wheel("giant", "1.0", ["timm<1"], body=big))
    registry.as_html = True  # pages without a word of metadata

    explained(libs, "giant", target=make_target(installed={"timm": "1.0.28"}))

    # The wheel is large enough that its metadata are far from its end.
    assert len(registry.files["giant-1.0-py3-none-any.whl"]) > 900_000
    asked = registry.asked("/files/giant")
    assert asked
    assert all("bytes=" in path for path in asked)
