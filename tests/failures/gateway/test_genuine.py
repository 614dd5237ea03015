"""The same rehearsal with genuine packages, which are nobody's to copy into a repository.

RSNA_BUNDLE_GENUINE names folders, separated by colons, each with a `kaggle_evaluation` of a
competition's. The phantom competition is served by the core of each; its own gateway stays. A
package whose gateway reads a test table of sequences (CMI 2025) is rehearsed with that, too.
"""

import os
import shutil
from pathlib import Path

import pytest

from bundler.competition.gateway import package
from tests.failures.gateway.conftest import Bench, failed, server
from tests.failures.gateway.test_plants import PLANTS, Plant, prepared

GENUINE = [Path(name) for name in os.environ.get("RSNA_BUNDLE_GENUINE", "").split(":") if name]
# Plants that rely on what the host's limits are in the phantom's own core, or on its words.
OWN = {"starts too late"}
pytestmark = [
    pytest.mark.genuine,
    pytest.mark.skipif(not GENUINE, reason="RSNA_BUNDLE_GENUINE names no folder"),
]
CMI = "cmi_gateway"


def name(folder: Path) -> str:
    """Return a short name of a package: its version, or its gateway's module."""
    found = package.read(folder)
    assert found is not None
    return found.version or found.gateway.module.rpartition(".")[2]


@pytest.fixture(params=GENUINE, ids=name)
def genuine(request: pytest.FixtureRequest, bench: Bench) -> Bench:
    """The phantom competition with a genuine core."""
    core = bench.data / "kaggle_evaluation"
    shutil.rmtree(core / "core")
    shutil.copytree(request.param / "kaggle_evaluation" / "core", core / "core")
    shutil.copyfile(request.param / "kaggle_evaluation" / "__init__.py", core / "__init__.py")
    return bench


def test_a_right_server_passes(genuine: Bench) -> None:
    checks = genuine.rerun_twice(server())
    assert failed(checks) == {}
    assert {"gateway", "order and neighbours"} <= {c.name for c in checks if c.status == "passed"}


@pytest.mark.parametrize(
    "plant", [one for one in PLANTS if one.name not in OWN], ids=lambda plant: plant.name
)
def test_plants_are_caught(genuine: Bench, plant: Plant) -> None:
    own = prepared(genuine, plant)
    checks = own.rerun_twice(plant.script) if plant.twice else own.rerun(plant.script)
    problems = failed(checks)
    assert plant.check in problems, "\n".join(map(str, checks))
