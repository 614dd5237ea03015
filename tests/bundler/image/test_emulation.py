"""The notebook's image, emulated: the target's Python with what the runner takes from the image."""

import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.errors import InputError
from bundler.image import emulation, interpreters
from bundler.image import target as targets
from bundler.image.distribution import Distribution
from bundler.image.emulation import EmulatedImage
from bundler.image.target import Target
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry, serving

ROOT = Path(__file__).parents[3]
EMULATE = """
import sys
from pathlib import Path
from bundler.image import emulation, interpreters, target
image = emulation.emulate(
    target.read(Path(sys.argv[1])), interpreters.this(), requirements=["own==1.0"]
)
print(image.python)
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, which is all that uv finds."""
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """An index on loopback that has `own` 1.0, and an empty cache."""
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    with serving() as registry:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{registry.url}/simple")
        registry.add(wheel("own", "1.0", body="x = '" + "0123456789" * 30_000 + "'\n"))
        yield registry


def put(folder: Path, name: str, version: str, body: str = "") -> Path:
    """Put a tiny wheel into the shop."""
    file, content = wheel(name, version, body=body)
    (folder / file).write_bytes(content)
    return folder / file


def machine(**installed: str) -> Target:
    """Return a target with this Python and some packages."""
    have = tuple(Distribution(name=name, version=version) for name, version in installed.items())
    host = targets.host()
    return Target(
        name="emulated",
        python=platform.python_version(),
        system=host.system,
        machine=host.machine,
        release=host.release,
        installed=have,
    )


def notebook_image(
    target: Target, requirements: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> EmulatedImage:
    """Emulate an image that notebooks can run in."""
    return emulation.emulate(
        target,
        interpreters.this(),
        requirements=requirements,
        optional=optional,
        kernel=True,
    )


def versions(image: EmulatedImage, *names: str) -> list[str]:
    """Return the versions of some packages in the emulated image, as pip sees it."""
    code = "import importlib.metadata as m, sys; print(*(m.version(n) for n in sys.argv[2:]))"
    command = [image.python, "-I", "-c", code, "pip", *names]
    return subprocess.check_output(command, text=True).split()


def importable(image: EmulatedImage, *names: str) -> list[str]:
    """Return which of some modules the emulated image can import."""
    code = "import importlib.util as u, sys; "
    code += "print(*(n for n in sys.argv[1:] if u.find_spec(n)))"
    return subprocess.check_output([image.python, "-I", "-c", code, *names], text=True).split()


def test_takes_the_images_versions_and_what_the_runner_makes_use_of(shop: Path) -> None:
    for name, version in {"pip": "9.1", "ipykernel": "9.2", "numba": "9.3", "own": "9.4"}.items():
        put(shop, name, version)
        put(shop, name, "99")
    target = machine(pip="9.1", ipykernel="9.2", numba="9.3", own="9.4", other="9.5")
    image = notebook_image(target, ("own==9.4",), ("numba", "absent"))
    assert versions(image, "pip", "ipykernel", "numba", "own") == ["9.1", "9.2", "9.3", "9.4"]
    # A stub is there for what has `pip` or the launcher in its command line, and for nobody else:
    # libraries import what they find the metadata of.
    assert versions(image, "other") == ["9.5"]
    code = "import importlib.metadata as m; m.version('own'); m.version('other')"
    result = subprocess.run([image.python, "-I", "-c", code], capture_output=True, text=True)
    assert result.stderr.strip().endswith("No package metadata was found for other")
    assert importable(image, "numba", "own", "other") == ["numba", "own"]


def test_goes_without_what_it_need_not_have(shop: Path) -> None:
    for name in ("pip", "ipykernel"):
        put(shop, name, "9.1")
    image = notebook_image(machine(pip="9.1", ipykernel="9.1", numba="9.3"), (), ("numba",))
    assert versions(image, "pip", "ipykernel") == ["9.1", "9.1"]
    assert importable(image, "numba") == []


def test_says_what_it_cannot_do_without(shop: Path) -> None:
    with pytest.raises(
        InputError, match=r"\(pip==9\.1, ipykernel==9\.1\) cannot be installed here"
    ):
        notebook_image(machine(pip="9.1", ipykernel="9.1"))


def test_without_a_kernel_it_has_pip_and_the_wheels_that_were_given(shop: Path) -> None:
    target = machine(real="1.0", other="2.0", pip="0.1")
    image = emulation.emulate(
        target, interpreters.this(), wheels=[put(shop, "real", "1.0", "x = 1\n")]
    )
    assert versions(image, "real", "other") == ["1.0", "2.0"]
    assert importable(image, "real", "other", "pip", "ipykernel") == ["real", "pip"]
    # The pip that installs is the interpreter's, and only one pip is seen.
    assert versions(image, "pip") != ["0.1"]
    site = image.python.parents[1] / "lib"
    assert len(list(site.rglob("pip-*.dist-info"))) == 1


def test_wheel_of_the_same_name_and_other_content_is_another_image(shop: Path) -> None:
    def emulate(body: str) -> EmulatedImage:
        path = put(shop, "real", "1.0", body)
        return emulation.emulate(machine(real="1.0"), interpreters.this(), wheels=[path])

    first, second = emulate("x = 1\n"), emulate("x = 2\n")
    assert first.python != second.python
    assert emulate("x = 1\n") == first
    command = [second.python, "-I", "-c", "import real; print(real.x)"]
    assert subprocess.check_output(command, text=True) == "2\n"


def test_environment_whose_python_is_gone_is_made_anew(shop: Path) -> None:
    first = emulation.emulate(machine(other="1.0"), interpreters.this())
    first.python.unlink()
    assert versions(emulation.emulate(machine(other="1.0"), interpreters.this()), "other") == [
        "1.0"
    ]


# --- killed, and two at once ---


def start(target: Path) -> "subprocess.Popen[str]":
    """Emulate in another process, which prints the image's Python."""
    command = [sys.executable, "-c", EMULATE, str(target)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """The file of a target that has `own` and others."""
    path = tmp_path / "target.json"
    path.write_text(machine(own="1.0", other="2.0").text(), encoding="utf-8")
    return path


def test_killed_run_leaves_nothing_that_is_taken_for_whole(
    index: Registry, described: Path, tmp_path: Path
) -> None:
    index.faults["own-1.0-py3-none-any.whl"] = "stall"
    with start(described) as run:
        assert index.stalled.wait(60)
        run.send_signal(signal.SIGKILL)  # its installer lives on, and waits for the index
    (folder,) = (tmp_path / "cache" / "images").glob("emulated-*")
    (half,) = folder.glob("environment-*")
    assert (half / "pyvenv.cfg").is_file()
    index.faults.clear()
    index.release.set()  # what is left of the killed run goes on beside the new one

    target = targets.read(described)
    image = emulation.emulate(target, interpreters.this(), requirements=["own==1.0"])

    assert versions(image, "own", "other") == ["1.0", "2.0"]
    assert importable(image, "own", "pip") == ["own", "pip"]
    assert half not in image.python.parents
    assert emulation.emulate(target, interpreters.this(), requirements=["own==1.0"]) == image


def test_two_runs_at_once_share_one_image(index: Registry, described: Path, tmp_path: Path) -> None:
    index.faults["own-1.0-py3-none-any.whl"] = "slow"
    runs = [start(described) for _ in range(2)]
    outputs = [run.communicate(timeout=120)[0] for run in runs]

    assert [run.returncode for run in runs] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(list((tmp_path / "cache" / "images").rglob("pyvenv.cfg"))) == 1
    assert index.log.count("/files/own-1.0-py3-none-any.whl") == 1  # the second has waited
    image = EmulatedImage(python=Path(outputs[0].strip()), version="")
    assert versions(image, "own", "other") == ["1.0", "2.0"]


# --- builds that no index has, and what is optional ---


def test_a_local_label_is_the_public_release_and_is_said(shop: Path) -> None:
    for name, version in {"pip": "9.1", "ipykernel": "9.1", "own": "2.11.0"}.items():
        put(shop, name, version)
    target = machine(pip="9.1", ipykernel="9.1", own="2.11.0+cu128")
    for image in (
        notebook_image(target, ("own==2.11.0+cu128",)),
        notebook_image(target, (), ("own",)),
    ):
        assert versions(image, "own") == ["2.11.0"]
        assert importable(image, "own") == ["own"]
        note = "own==2.11.0 from the index on this machine, 2.11.0+cu128 in the image"
        assert note in image.differences


def test_one_optional_package_that_cannot_be_had_costs_no_other(shop: Path) -> None:
    for name in ("pip", "ipykernel", "there"):
        put(shop, name, "9.1")
    target = machine(pip="9.1", ipykernel="9.1", there="9.1", gone="9.1")
    image = notebook_image(target, (), ("gone", "there"))
    assert importable(image, "there", "gone") == ["there"]
    assert "gone==9.1 is not installed" in image.differences
    assert notebook_image(target, (), ("gone", "there")) == image, "found again, said again"


def test_what_the_image_has_in_an_unknown_version_is_there_and_said_to_be_another(
    index: Registry,
) -> None:
    """Kaggle's layer names packages without their versions: a command may import them."""
    for name, version in (("onnx", "1.19"), ("onnx", "2.0"), ("lime", "1.0"), ("absent", "1.0")):
        index.add(wheel(name, version))
    target = replace(machine(), unversioned=("lime", "onnx<2"))
    optional = ("onnx", "absent")
    image = emulation.emulate(target, interpreters.this(), optional=optional)
    assert versions(image, "onnx") == ["1.19"]
    assert importable(image, "onnx", "lime", "absent") == ["onnx"]
    assert image.differences[-1] == (
        "onnx<2 from the index on this machine, in a version that is not known in the image"
    )
