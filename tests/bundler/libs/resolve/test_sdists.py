"""Sdists are candidates like wheels: of any package, built by the target's Python, offline."""

import io
import platform
import re
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import InputError
from bundler.image import interpreters
from bundler.image import target as targets
from bundler.image.target import Target
from bundler.libs.resolve import compiled
from bundler.progress import Progress
from bundler.sandbox import offline
from tests.bundler.libs.conftest import make_target
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry
from tests.recorder import Recorder

Libs = Callable[..., Any]
RESOLVERS = ("uv", "pip-tools")
SAYS_ITS_PYTHON = (
    "import sys; globals().__setitem__('META', META + "
    "f'Requires-Dist: made-by-{sys.version_info[0]}{sys.version_info[1]}\\n')"
)


def versions(made: Any) -> dict[str, str]:
    """Return what a bundle brings."""
    return {pin.name: pin.version for pin in made.lock.pins}


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_transitive_pin_of_an_sdist_does_not_take_years_back(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    # What hydra-core is: its pinned antlr4 is an sdist, and a release of 2019 has no such pin.
    registry.add(wheel("hydra-core", "0.11.3"))
    registry.add(wheel("hydra-core", "1.3.2", ["antlr4==4.9.*"]))
    registry.add(sdist("antlr4", "4.9.3"))
    registry.add(wheel("antlr4", "4.13.2"))

    made = libs("hydra-core", resolver=resolver)

    assert versions(made) == {"antlr4": "4.9.3", "hydra-core": "1.3.2"}
    assert made.lock.pins[0].built_from.startswith("antlr4-4.9.3.tar.gz ")
    assert "antlr4 4.9.3 was taken, not 4.13.2: hydra-core 1.3.2 needs antlr4==4.9.*" in "\n".join(
        made.lock.notes
    )


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("python", ["3.12", "3.13"])
def test_setup_that_asks_for_its_python_sees_the_targets(
    libs: Libs, registry: Registry, resolver: str, python: str
) -> None:
    if interpreters.of_version(python) is None:
        pytest.skip(f"Python {python} is not on this machine")
    registry.add(sdist("asks", "1.0", needs=SAYS_ITS_PYTHON))
    for name in ("made-by-311", "made-by-312", "made-by-313"):
        registry.add(wheel(name, "1.0"))

    made = libs("asks", target=make_target(f"{python}.1"), resolver=resolver)

    assert versions(made) == {"asks": "1.0", f"made-by-{python.replace('.', '')}": "1.0"}


def test_build_with_another_python_is_noted(libs: Libs, registry: Registry) -> None:
    registry.add(sdist("asks", "1.0"))

    made = libs("asks", target=make_target("3.99.0"))

    assert any(
        "Python 3.99 is not on this machine, so sdists were built with Python" in note
        for note in made.lock.notes
    )


@pytest.mark.skipif(offline.why_not() is not None, reason="the network cannot be cut off here")
def test_build_has_no_network_and_its_requirements_are_there(
    libs: Libs, registry: Registry
) -> None:
    port = registry.url.rpartition(":")[2]
    dials = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
    registry.add(wheel("tinybuild", "1.0"))
    registry.add(sdist("polite", "1.0", build_requires=["tinybuild"], needs="import tinybuild"))
    registry.add(sdist("nosy", "1.0", needs=dials))

    assert versions(libs("polite")) == {"polite": "1.0"}
    with pytest.raises(InputError, match=r"nosy 1\.0 has no wheel.*does not build here") as caught:
        libs("nosy")
    assert "OSError" in str(caught.value) or "refused" in str(caught.value)


class Steps(Progress):
    """Remembers the steps."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def step(self, text: str) -> None:
        """Remember a step."""
        self.texts.append(text)


def test_sdist_is_built_once(libs: Libs, registry: Registry) -> None:
    registry.add(sdist("slow", "1.0"))
    steps = Steps()

    libs("slow", progress=steps)
    libs("slow", "pydicom", progress=steps)
    libs("slow", upgrade=(), progress=steps)

    assert steps.texts.count("Building slow 1.0 from its sdist") == 1


def test_build_can_write_nowhere_else(libs: Libs, registry: Registry, folder: Path) -> None:
    registry.add(sdist("rude", "1.0", needs=f"pathlib.Path({str(folder)!r}, 'trap').touch()"))
    if offline.why_not() is not None:
        pytest.skip("there is no sandbox on this machine")

    with pytest.raises(InputError, match="does not build here"):
        libs("rude")

    assert not (folder / "trap").exists()


def test_build_without_a_sandbox_is_warned_of_once(
    libs: Libs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add(sdist("one", "1.0"))
    registry.add(sdist("two", "1.0"))
    monkeypatch.setattr(offline, "why_not", lambda: "no user namespaces")
    progress = Recorder()

    libs("one", "two", progress=progress)

    (warning,) = [text for text in progress.texts if "without a sandbox" in text]
    assert "(no user namespaces)" in warning


def test_what_no_build_can_change_is_read_without_one(libs: Libs, registry: Registry) -> None:
    # The newest release contradicts the image, and its own file says so: nothing is built for it.
    registry.add(wheel("model", "1.0"))
    fails = "raise SystemExit('it was built')"
    registry.add(sdist("model", "9.0", ["numpy>=2.3"], needs=fails, metadata_version="2.2"))
    steps = Steps()

    made = libs("model", target=make_target(installed={"numpy": "2.1.3"}), progress=steps)

    assert versions(made) == {"model": "1.0"}
    assert not [text for text in steps.texts if text.startswith("Building")]
    assert "model 1.0 was taken, not 9.0: 9.0 needs numpy>=2.3; the image has numpy 2.1.3." in (
        made.lock.notes
    )


def test_release_that_does_not_build_is_passed_over_with_its_reason(
    libs: Libs, registry: Registry
) -> None:
    registry.add(wheel("outer", "1.0"))
    registry.add(wheel("outer", "1.1", ["inner"]))
    registry.add(sdist("inner", "1.0", needs="raise SystemExit('no compiler for pixels')"))

    made = libs("outer", "inner<2 ; python_version < '3'")

    assert versions(made) == {"outer": "1.0"}
    # One minor version is no long way; that something was refused is said all the same.
    assert "no compiler for pixels" in "\n".join(made.lock.notes)


@pytest.mark.parametrize(
    ("old", "new", "noted"),
    [
        (("1.0", "2024-01-01T00:00:00Z"), ("1.1", "2024-06-01T00:00:00Z"), False),
        (("1.0", "2024-01-01T00:00:00Z"), ("1.1", "2025-06-01T00:00:00Z"), True),
        (("1.0", "2024-01-01T00:00:00Z"), ("1.2", "2024-06-01T00:00:00Z"), True),
        (("1.0", None), ("2.0", None), True),
        (("1.0.0", None), ("1.0.9", None), False),
    ],
)
def test_what_is_far_behind_is_said(
    libs: Libs, registry: Registry, old: Any, new: Any, noted: bool
) -> None:
    registry.add(wheel("part", old[0]), uploaded=old[1])
    registry.add(wheel("part", new[0]), uploaded=new[1])
    registry.add(wheel("whole", "1.0", [f"part=={old[0]}"]))

    made = libs("whole")

    line = f"part {old[0]} was taken, not {new[0]}: whole 1.0 needs part=={old[0]}."
    assert made.lock.notes == ((line,) if noted else ())


def test_what_the_user_pins_is_not_called_old(libs: Libs, registry: Registry) -> None:
    assert libs("numpy<2").lock.notes == ()


# --- compiled results ---


def shared_library() -> bytes:
    """Return a shared library of this machine's own Python that needs glibc."""
    for path in sorted(Path(str(sysconfig.get_config_var("DESTSHARED"))).glob("*.so")):
        if b"GLIBC_2." in (content := path.read_bytes()):
            return content
    pytest.skip("this Python has no shared library")


def compiled_sdist(content: bytes) -> tuple[str, bytes]:
    """Return an sdist whose build puts a shared library into a wheel of this machine."""
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    encoded = content.hex()
    return sdist(
        "fastpix",
        "1.0",
        tag=f"{tag}-{tag}-linux_{platform.machine()}",
        needs="pass",
        member=("fastpix/native.so", encoded),
    )


def like_host(release: str) -> Target:
    """Return this machine as a target with another C library."""
    return targets.parse({**targets.host().as_dict(), "name": "image", "release": release})


@pytest.mark.skipif(sys.platform != "linux", reason="ELF is the format of Linux")
def test_compiled_result_is_held_against_the_targets_glibc(libs: Libs, registry: Registry) -> None:
    content = shared_library()
    registry.add(compiled_sdist(content))
    # Another way to the same: the names of versions are strings in the file.
    needed = max(int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)", content))

    made = libs("fastpix", target=like_host(f"2.{needed}"))
    assert made.lock.pins[0].file.endswith(f"linux_{platform.machine()}.whl")
    with pytest.raises(InputError, match=rf"native\.so needs glibc 2\.{needed}, and the image has"):
        libs("fastpix", target=like_host(f"2.{needed - 1}"))


@pytest.mark.skipif(sys.platform != "linux", reason="ELF is the format of Linux")
def test_library_that_the_image_may_lack_is_named(tmp_path: Path) -> None:
    content = shared_library()
    assert "libc.so.6" in compiled.read(content).libraries
    stranger = content.replace(b"libc.so.6\0", b"libq.so.6\0")
    path = tmp_path / "x-1-py3-none-any.whl"
    for member, expected in (
        (content, None),
        (stranger, "x.so needs libq.so.6, which the image may lack"),
        (b"\x7fELF\x01", "x.so needs what cannot be read (not an ELF file of 64 bits)"),
        (content[:80], "x.so needs what cannot be read"),
    ):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("x.so", member)
        path.write_bytes(out.getvalue())
        found = compiled.missing(path, like_host("2.99"))
        assert found == expected or (expected and found and found.startswith(expected))
