"""The same rehearsal with genuine packages, which are nobody's to copy into a repository.

RSNA_BUNDLE_GENUINE names folders, separated by colons, each with a `kaggle_evaluation` of a
competition's. The phantom competition is served by the core of each; its own gateway stays. A
package whose gateway reads a test table of sequences (CMI 2025) is rehearsed with that, too.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.competition import profile
from bundler.competition.gateway import package, skeleton
from tests.bundler.competition import folders
from tests.bundler.competition.gateway import phantom
from tests.failures.gateway.conftest import Bench, failed, server
from tests.failures.gateway.test_plants import PLANTS, RELAY, Plant, prepared
from tests.failures.gateway.test_servers import ENOUGH, call_two

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
    # A core of 2025 does not call the host's check of an answer by the name it has in 2026: what it
    # lets pass is seen in the submission.
    assert {plant.check, "columns", "values"} & set(problems), "\n".join(map(str, checks))


# A second server on the port on which June 2026 looks for it.
BOTH = """\
import kaggle_evaluation.core.relay as relay
other, _ = relay.define_server(predict, port=50061)
other.start()
gait.GaitInferenceServer(predict).serve()
"""


@pytest.mark.parametrize("port", ["its own", "none"])
def test_two_servers_by_their_names(genuine: Bench, port: str) -> None:
    core = genuine.data / "kaggle_evaluation" / "core"
    if "server_names" not in (core / "base_gateway.py").read_text():
        pytest.skip("this version calls one server")
    call_two(genuine)
    phantom.change(genuine.data, RELAY, *ENOUGH)
    problems = failed(genuine.rerun(server(serve=BOTH) if port == "its own" else server(), units=2))
    if port == "its own":
        assert problems == {}
    else:
        assert "looks for inference_server_second elsewhere" in problems["gateway"]


# --- a genuine gateway, on drawn data in the form of its own ---

GESTURES = ("Above ear - pull hair", "Wave hello", "Text on phone")
CMI_SERVER = """\
import os, sys
sys.path.append(os.environ["RSNA_BUNDLE_COMPETITION"])
import polars as pl
import kaggle_evaluation.cmi_inference_server as cmi
GESTURES = {gestures!r}
def predict(sequence: pl.DataFrame, demographics: pl.DataFrame) -> str:
    assert len(demographics) == 1 and sequence["sequence_id"].n_unique() == 1
    return {answer}
cmi.CMIInferenceServer(predict).serve()
"""


def draw_cmi(root: Path) -> None:
    """Write sequences of a sensor, four steps each, and the people who wore it."""
    root.mkdir()
    for part, first, count in (("train", 0, 30), ("test", 900, 2)):
        rows = [
            {
                "row_id": f"SEQ_{first + n:06d}_{step:06d}",
                "sequence_id": f"SEQ_{first + n:06d}",
                "sequence_counter": step,
                "subject": f"SUBJ_{first + n % 7:06d}",
                "acc_x": n + step / 10,
                **({"gesture": GESTURES[n % 3]} if part == "train" else {}),
            }
            for n in range(count)
            for step in range(4)
        ]
        people = sorted({str(row["subject"]) for row in rows})
        folders.write_csv(root / f"{part}.csv", rows)
        demographics = [{"subject": name, "age": 20 + n} for n, name in enumerate(people)]
        folders.write_csv(root / f"{part}_demographics.csv", demographics)


@pytest.fixture
def cmi(tmp_path: Path, bench: Bench) -> Bench:
    """The competition of 2025 as it is at Kaggle, its data drawn."""
    genuine = next((f for f in GENUINE if (f / f"kaggle_evaluation/{CMI}.py").is_file()), None)
    if genuine is None:
        pytest.skip("none of the folders is CMI's")
    draw_cmi(tmp_path / "cmi")
    shutil.copytree(genuine / "kaggle_evaluation", tmp_path / "cmi" / "kaggle_evaluation")
    return replace(bench, data=tmp_path / "cmi")


def test_the_gateway_of_2025_itself(cmi: Bench) -> None:
    answer = "GESTURES[int(sequence['acc_x'][0] or 0) % 3]"
    checks = cmi.rerun(CMI_SERVER.format(gestures=GESTURES, answer=answer), units=3)
    assert failed(checks) == {}
    assert {"gateway", "ids", "constant"} <= {c.name for c in checks if c.status == "passed"}


def test_the_skeleton_serves_the_gateway_of_2025(cmi: Bench) -> None:
    """Its answer is a gesture of the training rows: the host takes it; that it is one for all."""
    script = skeleton.submit("cmi", profile.read(cmi.data))
    assert "def predict(sequence, sequence_demos):" in script
    checks = cmi.rerun(script, units=3)
    assert {check.name for check in checks if check.status == "failed"} <= {"constant"}
    assert {"gateway", "ids"} <= {check.name for check in checks if check.status == "passed"}


def test_an_answer_that_the_gateway_of_2025_does_not_take(cmi: Bench) -> None:
    checks = cmi.rerun(CMI_SERVER.format(gestures=GESTURES, answer="'Scratch nose'"), units=3)
    assert "All gestures must match those found in the train data" in failed(checks)["gateway"]
