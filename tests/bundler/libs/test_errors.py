"""What a person reads where something is wrong: the cause and the way out, and no traceback."""

from collections.abc import Callable
from typing import Any

import pytest

from bundler.errors import InputError, NetworkError, UsageError
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]
RESOLVERS = ("uv", "pip-tools")


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_contradiction_names_both_sides(libs: Libs, registry: Registry, resolver: str) -> None:
    registry.add(wheel("needy", "1.0", ["pydicom<3"]))
    registry.add(wheel("pydicom", "2.4"))

    with pytest.raises(InputError) as caught:
        libs("needy", "pydicom>=3", resolver=resolver)

    said = str(caught.value)
    assert "contradict each other" in said
    assert "pydicom<3" in said
    assert "pydicom>=3" in said
    assert "needy" in said
    assert "requirements.in" not in said
    assert "File " not in said  # of a traceback
    assert registry.url not in said


def test_typo_with_pip_tools_shows_no_traceback(libs: Libs, registry: Registry) -> None:
    with pytest.raises(InputError, match="Did you mean pydicom") as caught:
        libs("pydicm", resolver="pip-tools")

    assert "No matching distribution found for pydicm" in str(caught.value)
    assert "File " not in str(caught.value)


def test_release_for_a_newer_python_is_said(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("fresh", "1.0"), python=">=3.99")

    with pytest.raises(InputError, match=r"runs on Python 3\.13\.5; 1\.0 requires Python >=3\.99"):
        libs("fresh")


def test_failed_build_repeats_what_the_build_said(libs: Libs, registry: Registry) -> None:
    needs = "raise SystemExit('no compiler for pixels')"
    registry.add(sdist("fastpix", "1.0", needs=needs, extra_files=["x.c"]))

    with pytest.raises(InputError) as caught:
        libs("fastpix")

    ours = str(caught.value).partition("The output of uv")[0]
    assert "no compiler for pixels" in ours
    assert "--allow-sdist" in ours
    assert "metadata-generation-failed" not in ours


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_yanked_release_that_is_pinned_is_told_of(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    registry.add(wheel("pydicom", "3.1.0"), yanked="loses pixels")

    made = libs("pydicom==3.1.0", resolver=resolver)

    (note,) = made.lock.notes
    assert "pydicom 3.1.0 was yanked from the index (loses pixels)" in note
    assert note in made.summary()


def test_release_that_is_yanked_later_is_told_of(
    libs: Libs, registry: Registry, monkeypatch: pytest.MonkeyPatch, folder: Any
) -> None:
    assert libs("pydicom").lock.notes == ()
    registry.about["pydicom-3.0.2-py3-none-any.whl"]["yanked"] = "loses pixels"
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "later"))  # the index's answer is kept

    (note,) = libs("pydicom", "tqdm").lock.notes

    assert "3.0.2 was yanked" in note


def test_upgrade_of_what_is_not_there_is_refused(libs: Libs, registry: Registry) -> None:
    libs("pydicom")

    with pytest.raises(
        UsageError, match=r"Cannot upgrade nope: not a package of .*, which has pydicom\."
    ):
        libs(upgrade=("nope",))
    assert libs(upgrade=("PyDicom",)).lock.pins[0].name == "pydicom"
    assert len(libs("pydicom", "tqdm", upgrade=("tqdm",)).lock.pins) == 2


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_without_a_network_the_way_out_is_named(
    libs: Libs, registry: Registry, monkeypatch: pytest.MonkeyPatch, resolver: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")

    with pytest.raises(
        NetworkError, match=r"Connect to the network and run `rsna-bundle libs` again"
    ):
        libs("pydicom", resolver=resolver)


def test_option_with_an_open_quote_is_said(libs: Libs) -> None:
    with pytest.raises(InputError, match=r"line 1: cannot parse .*: No closing quotation"):
        libs('--find-links "wheels')
