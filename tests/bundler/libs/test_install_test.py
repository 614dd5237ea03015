"""The install test: the bundle is installed as the notebook does, and its packages imported."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import inference
from bundler.errors import CheckError
from bundler.image import interpreters
from bundler.image import target as targets
from bundler.image.target import Target
from bundler.sandbox import offline
from tests.bundler.libs.conftest import make_target
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]


def like_host(installed: dict[str, Any]) -> Target:
    """Return this machine as a target that has packages."""
    host = targets.host().as_dict()
    entries = [{"name": name, "version": version} for name, version in installed.items()]
    return targets.parse({**host, "name": "image", "installed": entries})


def test_wheels_are_installed_and_imported(libs: Libs, registry: Registry, folder: Path) -> None:
    registry.add(
        wheel("fine", "1.0", ["helper", "present"], body="import helper\nimport present\n")
    )
    registry.add(wheel("helper", "1.0", body="print('not JSON {')\n"))
    registry.add(wheel("present", "1.0"))
    registry.add(wheel("eager", "1.0", ["bigone"], body="import bigone.part\n"))
    hidden = "try:\n    import bigone\nexcept ImportError:\n    raise RuntimeError('get bigone')\n"
    registry.add(wheel("wrapper", "1.0", ["bigone"], body=hidden))
    image = like_host({"present": "1.0", "bigone": "2.0"})

    made = libs("fine", "eager", "wrapper", "present", target=image, install_test=True)

    assert made.install_test.imported == ("fine", "helper")
    reason = "needs bigone of the image, which is not on this machine"
    assert made.install_test.not_tried == {"eager": reason, "wrapper": reason}
    assert f"not tried: eager {reason}" in made.summary()
    assert "installed on Python" in made.summary()
    again = libs(target=image, install_test=True)
    assert again.install_test == made.install_test


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('no')\n", "odd: RuntimeError: no"),
        ("import os\nos.abort()\n", "odd: importing it crashed (signal 6)"),
        ("import sys\nsys.exit(0)\n", "odd: SystemExit: 0"),
        ("import os\nos._exit(0)\n", "odd: it ended Python"),
        (
            "import undeclared\n",
            "odd: ModuleNotFoundError: No module named 'undeclared'. Neither the image nor the "
            "bundle has undeclared: require the package that holds it.",
        ),
        ("import helper.part\n", "The bundle's helper 1.0 should have it."),
        ("import present.part\n", "The image's present 1.0 should have it."),
        ("import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)\n", "odd: "),
    ],
)
def test_import_that_fails_is_an_error(
    libs: Libs, registry: Registry, folder: Path, body: str, message: str
) -> None:
    if "PORT" in body and offline.why_not() is not None:
        pytest.skip("the network cannot be cut off here")
    registry.add(wheel("helper", "1.0"))
    registry.add(wheel("present", "1.0"))
    body = body.replace("PORT", registry.url.rpartition(":")[2])
    registry.add(wheel("odd", "1.0", ["helper", "present"], body=body))
    image = like_host({"present": "1.0"})

    with pytest.raises(CheckError) as caught:
        libs("odd", target=image, install_test=True)

    assert CheckError.exit_code == 1
    assert message in str(caught.value)
    assert "1 of 2 packages cannot be imported" in str(caught.value)
    assert "--allow-import-failure odd" in str(caught.value)
    assert not (folder / "dist" / "libs").exists()


def test_failure_that_is_allowed_is_reported_and_no_other(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("needs-gpu", "1.0", body="raise OSError('libcuda.so.1')\n"))
    registry.add(wheel("broken", "1.0", body="import nothing_of_the_kind\n"))

    made = libs("needs-gpu", target="host", install_test=True, allow_import_failure=("Needs_GPU",))

    assert "not imported, as allowed: needs-gpu: OSError: libcuda.so.1" in made.summary()
    # What was allowed once is not allowed for good, and not for others.
    with pytest.raises(CheckError, match="needs-gpu: OSError"):
        libs(target="host", install_test=True)
    with pytest.raises(CheckError, match="broken: ModuleNotFoundError"):
        libs("broken", target="host", install_test=True, allow_import_failure=("needs-gpu",))


def test_installed_tool_shows_the_test_nothing_but_inference(
    libs: Libs, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the tool in a site-packages lie other packages, and another helper."""
    site = tmp_path / "site-packages"
    shutil.copytree(Path(inference.__file__).parent, site / "inference")
    (site / "undeclared.py").write_text("")
    (site / "helper").mkdir()
    (site / "helper" / "__init__.py").write_text("raise ImportError('of the laptop')\n")
    monkeypatch.setattr(inference, "__file__", str(site / "inference" / "__init__.py"))
    registry.add(wheel("helper", "1.0"))
    registry.add(wheel("fine", "1.0", ["helper"], body="import helper\n"))
    registry.add(wheel("careless", "1.0", body="import undeclared\n"))

    assert libs("fine", target="host", install_test=True).install_test.imported == (
        "fine",
        "helper",
    )
    with pytest.raises(CheckError, match="Neither the image nor the bundle has undeclared"):
        libs("careless", target="host", install_test=True)


def test_wheel_without_a_module_is_no_failure(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("data-only", "1.0", without_module=True))

    made = libs("data-only", target="host", install_test=True)

    assert made.install_test.not_tried == {"data-only": "has no module"}


PLANTED = """
import os, pathlib
for name in ({folder!r}, os.path.expanduser("~"), "/usr/lib"):
    try:
        pathlib.Path(name, "rsna-bundle-planted").write_text("x")
    except OSError:
        pass
"""


@pytest.mark.parametrize("module", ["hostile", "sitecustomize"])
def test_a_wheel_cannot_write_on_this_machine(
    libs: Libs, registry: Registry, tmp_path: Path, module: str
) -> None:
    """Neither when it is imported, nor as the module that each Python imports when it starts."""
    code = PLANTED.format(folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", code], env={"HOME": str(tmp_path)}, check=True)
    planted = [tmp_path / "rsna-bundle-planted", Path("/usr/lib/rsna-bundle-planted")]
    assert planted[0].exists()  # outside it could
    for path in planted:
        path.unlink(missing_ok=True)
    registry.add(wheel("hostile", "1.0", body=code, files={f"{module}.py": code}))

    made = libs("hostile", target="host", install_test=True)

    if offline.why_not() is None:
        assert made.install_test.imported == ("hostile",)
        assert [path for path in planted if path.exists()] == []


def test_bundle_replaces_what_the_image_has(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("present", "1.0"))
    registry.add(wheel("present", "2.0", body="assert True\n"))
    registry.add(wheel("fine", "1.0", ["present>=2"], body="import present\n"))
    image = like_host({"present": "1.0"})

    made = libs("fine", "present  # replace", target=image, install_test=True)

    assert made.install_test.imported == ("fine", "present")
    assert made.built.bundle.libs.targets[0].shadowed == ("present 1.0 → 2.0",)


def test_sdist_that_travels_is_built_offline(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("tinybuild", "1.0"))
    registry.add(
        sdist(
            "fastpix",
            "1.0",
            ["pydicom"],
            tag="cp31-none-linux_x86_64",
            build_requires=["tinybuild"],
            needs="import os, tinybuild; TAG = 'py3-none-any' if os.environ.get('HOME', '')"
            ".startswith('/tmp/rsna-bundle-install-test') else TAG",
        )
    )

    made = libs("fastpix", target="host", install_test=True, allow_sdist=True)

    assert made.lock.pins[0].file == "fastpix-1.0.tar.gz"
    assert "pydicom" in made.install_test.imported


def test_bundle_that_does_not_install_takes_no_place(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    libs("pydicom", target="host")
    before = (folder / "dist" / "libs" / "bundle.json").read_bytes()
    registry.add(wheel("fastpix", "1.0", files={"fastpix-1.0.data/odd/x.py": "a = 1\n"}))

    with pytest.raises(CheckError, match="do not install"):
        libs("fastpix", target="host", install_test=True)
    assert (folder / "dist" / "libs" / "bundle.json").read_bytes() == before
    assert [path.name for path in (folder / "dist").glob("*libs*")] == ["libs"]


def test_bundle_that_was_not_tested_is_tested_when_wanted(libs: Libs, registry: Registry) -> None:
    assert libs("pydicom", target="host").install_test.skipped == "--no-install-test"
    assert libs(target="host", install_test=True).install_test.imported == ("pydicom",)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (make_target(system="win32"), "the target is win32"),
        (make_target(python="3.99.0"), "Python 3.99 is not on this machine"),
        (make_target(release="2.999"), "wheels for the target need 2.999"),
    ],
)
def test_what_cannot_be_tried_here_is_said(target: Target, reason: str) -> None:
    with pytest.raises(interpreters.NoInterpreterError, match=reason):
        interpreters.find(target)


def test_this_interpreter_is_found() -> None:
    assert interpreters.find(targets.host()) == interpreters.this()
