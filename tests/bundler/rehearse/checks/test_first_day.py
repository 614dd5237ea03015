"""Equal answers of the submit.py that `init` wrote are a remark, those of another a failure."""

from pathlib import Path

import pytest

from bundler import snapshot
from bundler.competition import profile, skeleton
from bundler.competition.check import Check
from bundler.competition.gateway import skeleton as server
from bundler.competition.skeleton import Tables
from bundler.rehearse.checks import first_day
from bundler.settings import Settings
from tests.bundler.competition.gateway import phantom

CHECKS = [
    Check(name="ids", status="passed", message="all"),
    Check(name="constant", status="unproven", message="All 9 rows are 1"),
    Check(name="constant (legacy)", status="failed", message="All 90 rows are 1"),
]


def judged(repository: Path, folder: Path, script: str) -> list[Check]:
    (repository / "submit.py").write_text(script)
    code = snapshot.build(repository, folder / "code", allow_dirty=True).bundle
    settings = Settings(root=repository, run="python ./submit.py --fast")
    return first_day.judged(CHECKS, code, settings)


@pytest.mark.parametrize("kind", ["a file", "a server"])
def test_an_untouched_skeleton_is_told_once_what_to_replace(
    repository: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "a server":
        found = profile.read(phantom.competition(tmp_path / "data"))
        script = server.submit("gait", found)
    else:
        script = skeleton.submit("leaf-disease", Tables())
    ids, constant = judged(repository, tmp_path, script)
    assert ids == CHECKS[0]
    assert (constant.name, constant.status) == ("constant", "unproven")
    assert "still as `init` wrote it. Replace `predict()` by your model's" in constant.message


def test_a_constant_of_ones_own_stays_a_failure(repository: Path, tmp_path: Path) -> None:
    script = "def predict(row, signal):\n    return 1.0\n"
    assert judged(repository, tmp_path, script) == CHECKS
