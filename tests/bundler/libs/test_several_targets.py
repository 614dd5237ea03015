"""One bundle for several images: a lock for each, the wheels of all, and each installs its own."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.errors import CheckError, UsageError
from bundler.image import interpreters
from bundler.image.interpreters import Interpreter
from bundler.image.target import Target
from bundler.libs import packing
from bundler.libs.build import build
from bundler.libs.checks import Checked
from bundler.libs.locks import Lock
from bundler.libs.options import LibsOptions
from bundler.libs.resolve.resolution import Pin
from bundler.libs.result import LibsResult
from inference.boot import bundle as reader
from tests.bundler.libs.conftest import make_target, platform_wheels
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., LibsResult]
ROOT = Path(__file__).parents[3]
NEW = make_target("3.13.15", name="october", installed={"tqdm": "4.0"})
OLD = make_target("3.12.13", name="june")
# What the second cell of the notebook does, in the notebook's Python.
NOTEBOOK = """
import json, sys
from pathlib import Path
from inference.boot import bundle, install
from inference.errors import RunError
try:
    site = install.install(bundle.read(Path(sys.argv[1])), Path(sys.argv[2]))
except RunError as error:
    sys.exit(f"error: {error}")
wheels = {p.parent.name: p.read_text() for p in site.glob("*.dist-info/WHEEL")}
install.activate(site)
import numpy
print(json.dumps([numpy.__version__, sorted(wheels), wheels["numpy-2.3.0.dist-info"]]))
"""


def python(short: str) -> Interpreter:
    """Return a Python of this machine that stands for a notebook's."""
    if sys.platform != "linux":
        pytest.skip("the images are Linux")
    interpreter = interpreters.of_version(short)
    return interpreter or pytest.skip(f"Python {short} is not on this machine")


def run_notebook(
    short: str, bundle: Path, scratch: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Install a bundle by a notebook's Python, which has what that Python has."""
    scratch.mkdir()
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.defpath, "HOME": str(scratch), **variables}
    return subprocess.run(
        [python(short).path, "-c", NOTEBOOK, bundle, scratch],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_lock_for_each_and_the_wheels_of_all(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    made = libs("pydicom", "numpy", "tqdm", targets=(NEW, OLD))

    held = reader.verify(folder / "dist" / "libs")
    new, old = held.libs.targets
    assert (new.name, new.python, new.glibc) == ("october", "3.13.15", "2.35")
    assert [line.split(" ")[0] for line in new.lock] == ["numpy==2.3.0", "pydicom==3.0.2"]
    assert [line.split("==")[0] for line in old.lock] == ["numpy", "pydicom", "tqdm"]
    assert new.excluded == ("tqdm==4.0",)
    names = [file.name for file in held.files if file.name.endswith(".whl")]
    tags = "-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    assert names == [
        f"numpy-2.3.0-cp312-cp312{tags}",
        f"numpy-2.3.0-cp313-cp313{tags}",
        "pydicom-3.0.2-py3-none-any.whl",  # once: they have it in common
        "tqdm-4.0-py3-none-any.whl",
    ]
    bills = sorted(file.name for file in held.files if file.name.startswith("sbom"))
    assert bills == ["sbom-june.json", "sbom-october.json"]
    locks = sorted(path.name for path in folder.glob("*.lock"))
    assert locks == ["wheelhouse.june.lock", "wheelhouse.october.lock"]
    assert "october (Python 3.13.15)" in made.summary()
    shown = json.loads(json.dumps(made.as_dict()))
    assert [one["target"] for one in shown["targets"]] == ["october", "june"]
    assert shown["targets"][1]["packages"]["tqdm"] == "4.0"


def test_the_move_to_another_python_breaks_nothing(
    libs: Libs, registry: Registry, folder: Path, tmp_path: Path
) -> None:
    """One day the image runs 3.12, the next day 3.13: the same bundle, the same notebook."""
    libs("numpy", "pydicom", targets=(NEW, OLD))
    bundle = folder / "dist" / "libs"
    for short, name in (("3.12", "june"), ("3.13", "october")):
        ended = run_notebook(short, bundle, tmp_path / short)
        assert ended.returncode == 0, ended.stderr
        first, answer = ended.stdout.splitlines()
        assert first.startswith(f"libs: the lock for {name} (Python {short}.1")
        version, wheels, about = json.loads(answer)
        assert version == "2.3.0"
        assert wheels == ["numpy-2.3.0.dist-info", "pydicom-3.0.2.dist-info"]
        assert f"Tag: cp{short.replace('.', '')}-" in about


def test_a_notebook_that_none_fits_is_told_what_to_do(
    libs: Libs, registry: Registry, folder: Path, tmp_path: Path
) -> None:
    libs("numpy", targets=(NEW, OLD))
    ended = run_notebook("3.11", folder / "dist" / "libs", tmp_path / "scratch")
    assert ended.returncode == 1
    assert "october (Python 3.13.15, glibc 2.35) and for june (Python 3.12.13" in ended.stderr
    assert "this notebook runs Python 3.11." in ended.stderr
    assert "Build the libs again" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_each_is_tested_on_its_own_python(libs: Libs, registry: Registry) -> None:
    """A wheel that imports on the one Python alone is found, whichever target it is of."""
    for short in ("3.12", "3.13"):
        python(short)
    made = libs("numpy", targets=(NEW, OLD), install_test=True)
    tested = {one.lock.target: one.install_test for one in made.targets}
    assert (tested["october"].python or "").startswith("3.13.")
    assert (tested["june"].python or "").startswith("3.12.")
    assert [one.imported for one in tested.values()] == [("numpy",), ("numpy",)]
    code = "import sys\nassert sys.version_info >= (3, 13), 'too old'\n"
    registry.add(wheel("newish", "1.0", body=code))
    with pytest.raises(CheckError, match=r"on Python 3\.12(.|\n)*newish(.|\n)*too old"):
        libs("newish", targets=(NEW, OLD), install_test=True)


def test_nothing_is_done_where_nothing_changed(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    first = libs("numpy", targets=(NEW, OLD))
    registry.log.clear()
    second = libs(targets=(NEW, OLD))
    assert registry.log == []
    assert first.built
    assert second.built
    assert (second.built.changed, second.built.bundle.id) == (False, first.built.bundle.id)
    assert [one.changes for one in second.targets] == [(), ()]
    assert libs(targets=(NEW, OLD), check=True).built is None
    # The other order is another bundle: the stamp of this one must not answer for it.
    assert libs(targets=(OLD, NEW)).built.bundle.libs.targets[0].name == "june"  # type: ignore[union-attr]


def test_a_stale_lock_of_one_is_named(libs: Libs, registry: Registry, folder: Path) -> None:
    libs("numpy", targets=(NEW, OLD))
    path = folder / "wheelhouse.june.lock"
    path.write_text(path.read_text().replace("2.3.0", "2.1.3"))
    with pytest.raises(CheckError, match=r"wheelhouse\.june\.lock was edited"):
        libs(targets=(NEW, OLD), check=True)
    moved = replace(NEW, python="3.14.0")
    with pytest.raises(CheckError, match=r"wheelhouse\.october\.lock is stale: the target october"):
        libs(targets=(moved, OLD), check=True)


def test_a_second_target_leaves_the_pins_of_the_first(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    libs("numpy<2.2", targets=(OLD,))
    assert (folder / "wheelhouse.lock").is_file()  # of the only target
    (folder / "wheelhouse.txt").write_text("numpy\n")
    made = libs(targets=(NEW, OLD))
    pins = {one.lock.target: one.lock.pins[0].version for one in made.targets}
    assert pins == {"october": "2.3.0", "june": "2.1.3"}


def test_targets_that_cannot_be_told_apart_are_refused(registry: Registry, folder: Path) -> None:
    (folder / "wheelhouse.txt").write_text("numpy\n")
    for name in ("one.json", "two.json"):
        (folder / name).write_text(NEW.text())
    options = LibsOptions(
        requirements=folder / "wheelhouse.txt",
        targets=("one.json", "two.json"),
        out=folder / "dist" / "libs",
    )
    with pytest.raises(UsageError, match="Two targets have the name 'october'"):
        build(options)


def test_two_files_of_one_name_both_travel(
    tmp_path: Path,
) -> None:
    """Two Pythons may build different wheels, of the same name, from one sdist."""

    def checked(target: Target, content: bytes) -> Checked:
        path = tmp_path / target.name
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        pin = Pin(name="a", version="1", file="a-1-py3-none-any.whl", sha256=digest)
        lock = Lock(
            target=target.name,
            target_digest=target.digest,
            python=target.python,
            inputs="",
            resolver="uv",
            pins=(pin,),
        )
        return Checked(lock=lock, files={pin.file: path}, wheels=())

    both = packing.union([checked(NEW, b"one"), checked(OLD, b"other")])
    assert sorted(path.read_bytes() for path in both.files.values()) == [b"one", b"other"]
    same = packing.union([checked(NEW, b"one"), checked(OLD, b"one")])
    assert list(same.files) == ["a-1-py3-none-any.whl"]
    with packing.packing(both, {"sbom.json": "{}"}) as packed:
        assert set(packed.files) == {"wheels.tar", "sbom.json"}  # a dataset has no folders


def test_many_wheels_of_several_targets_travel_in_one_archive(
    libs: Libs, registry: Registry, folder: Path, tmp_path: Path
) -> None:
    names = [f"part{number}" for number in range(23)]
    for name in names:
        for file in platform_wheels(name, "1.0"):
            registry.add(file)
    libs("numpy", *names, targets=(NEW, OLD))
    bundle = folder / "dist" / "libs"
    assert "wheels.tar.tmp" in {path.name for path in bundle.iterdir()}
    ended = run_notebook("3.12", bundle, tmp_path / "scratch")
    assert ended.returncode == 0, ended.stderr
    assert "Tag: cp312-" in json.loads(ended.stdout.splitlines()[1])[2]
