"""A rehearsal of another competition than mammography: it works against the Protocol alone."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.competition.check import verdict
from bundler.competition.protocol import (
    ComparisonResult,
    Distribution,
    Picture,
    Planted,
    Probe,
    RunOutput,
    SubmissionResult,
)
from bundler.errors import UsageError
from bundler.rehearse import rehearsal
from inference.boot.bundle import Bundle
from tests.failures.conftest import Plant, failed

PROBE = "import json, sys; json.dump('measured', open(json.load(open(sys.argv[1])) + '/seen', 'w'))"


@dataclass(frozen=True, kw_only=True)
class LeafTest:
    """Leaves by their width; the answer is which of them are broad."""

    folder: Path
    ids: tuple[str, ...]
    scratch: Path
    submission: str = "submission.csv"
    columns: tuple[str, ...] = ("leaf", "broad")
    source: str = "leaves that were drawn"
    planted: tuple[Planted, ...] = (Planted(name="007", case="leading zeros"),)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    gateway: None = None

    @property
    def units(self) -> int:
        """Return how many leaves there are, without the planted one."""
        return len(self.ids) - 1

    @property
    def size(self) -> int:
        """Return how many leaves there are."""
        return len(self.ids)

    def second(self, folder: Path, size: int) -> "LeafTest":
        """Write the planted leaf alone."""
        return write(folder, ("007", *map(str, range(size - 1))), self.scratch)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def variables(self, model: object) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    def compare_runs(self, output: RunOutput, others: object, model: object = None) -> tuple[()]:
        """Return nothing."""
        return ()

    def probe(self, places: Mapping[str, str], out: str, seconds: float) -> Probe:
        """Return a script that leaves a file in `out`."""
        script = self.scratch / "measure.py"
        script.write_text(PROBE)
        assert places["competition"] == "/kaggle/input/competitions/rsna-breast-cancer-detection"
        return Probe(script=script, input=f'"{out}"')

    def check(self, output: RunOutput) -> SubmissionResult:
        """Say which leaves are missing."""
        path = output.working / self.submission
        if not path.is_file():
            return SubmissionResult(checks=(verdict(self.submission, ["It is missing."], ""),))
        with path.open(newline="") as stream:
            answers = {row["leaf"] for row in csv.DictReader(stream)}
        missing = [f"Leaf {leaf} is missing." for leaf in self.ids if leaf not in answers]
        shape = Distribution(counts=(1, len(answers)), low=0.0, high=1.0, note="leaves by width")
        return SubmissionResult(
            checks=(verdict(self.submission, missing, "each leaf is there"),), distribution=shape
        )

    def compare(self, output: RunOutput, model: Bundle | None) -> ComparisonResult:
        """Say whether the probe ran."""
        problems = [] if (output.probe / "seen").is_file() else ["The probe wrote nothing."]
        picture = Picture(name="leaf", value="broad", about=("a <leaf>",), png=b"png")
        checks = (verdict("width", problems, f"as model {model.id[:6]} says"),)
        return ComparisonResult(checks=checks, pictures=(picture,))


@dataclass(frozen=True, kw_only=True)
class Leaves:
    """A competition that is not in the box."""

    scratch: Path
    unit: str = "leaf"

    def validate(self, units: int) -> None:
        """Refuse too many."""
        if units > 3:
            raise UsageError("There are three leaves.")

    rows: str = "leaves"

    def public(self) -> None:
        """Return nothing: there is no public test."""

    def write(self, folder: Path, units: int) -> LeafTest:
        """Write so many leaves, and one whose name has leading zeros."""
        return write(folder, (*map(str, range(units)), "007"), self.scratch)


def write(folder: Path, ids: tuple[str, ...], scratch: Path) -> LeafTest:
    """Write the table of some leaves."""
    folder.mkdir(parents=True)
    rows = "".join(f"{leaf},{number}\n" for number, leaf in enumerate(ids))
    (folder / "test.csv").write_text("leaf,width\n" + rows)
    return LeafTest(folder=folder, ids=ids, scratch=scratch)


RUNNER = """\
import csv
from pathlib import Path
data = next(path for path in Path("/kaggle/input").rglob("test.csv")).parent
leaves = [row["leaf"] for row in csv.DictReader((data / "test.csv").open())]
Path("submission.csv").write_text("leaf,broad\\n" + "".join(f"{leaf},1\\n" for leaf in leaves))
"""


def test_the_competition_judges_its_own_submission(plant: Plant, tmp_path: Path) -> None:
    house = plant({"inference/run.py": RUNNER})
    options = house.options(units=2, layouts=("new", "legacy"))
    (tmp_path / "work").mkdir()
    result = rehearsal.rehearse(options, Leaves(scratch=tmp_path), tmp_path / "work")
    messages = {check.name: check.message for check in result.checks}
    assert messages["submission.csv"] == messages["submission.csv (legacy)"] == "each leaf is there"
    assert messages["width"].startswith("as model ")
    assert result.passed, result.summary()
    assert messages["provenance"] == "the run used these bundles"
    assert result.projection is not None  # from the runs: nothing else was measured
    assert result.projection.rows == "leaves"
    assert result.provenance.hidden_test == "leaves that were drawn"
    page = result.report.read_text()
    assert "leaves by width" in page
    assert "a &lt;leaf&gt;" in page
    assert "prediction_id" not in page


def test_what_the_competition_finds_wrong_fails(plant: Plant, tmp_path: Path) -> None:
    house = plant({"inference/run.py": RUNNER.replace("for leaf in leaves)", "for leaf in '0')")})
    (tmp_path / "work").mkdir()
    result = rehearsal.rehearse(house.options(units=1), Leaves(scratch=tmp_path), tmp_path / "work")
    assert failed(result)["submission.csv"] == "Leaf 007 is missing."
