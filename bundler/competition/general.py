"""Any competition with tables, as a rehearsal sees it: the Protocol, implemented."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.competition import (
    hook,
    metric,
    parity,
    profile,
    spread,
    submission_checks,
    submission_file,
    tables,
)
from bundler.competition.check import Check, strongest
from bundler.competition.dealing import JOINED, Dealt
from bundler.competition.parity import Answers
from bundler.competition.profile import Profile
from bundler.competition.protocol import (
    ComparisonResult,
    OtherRun,
    Planted,
    Probe,
    RunOutput,
    SubmissionResult,
)
from bundler.competition.submission_checks import Expected
from bundler.competition.tables import Plan, TableSet
from bundler.errors import InputError, UsageError
from bundler.hidden import Hidden
from inference.boot.bundle import Bundle

MOST_UNITS = 10_000
GROWN = 2  # units of the superset, for one of the smaller set: they change neighbours
AWKWARD = (
    "Handle such a row, since a real hidden test may have one; if this competition's cannot, leave "
    "the case out of `awkward` in [tool.rsna-bundle.hidden]."
)
NO_FOLDER = (
    "A rehearsal needs the competition's files to make a hidden test from. Name their folder with "
    "--competition-dir or `competition_dir` in [tool.rsna-bundle], or a function that writes the "
    "hidden test with "
    '`hidden = "package.module:function"` in [tool.rsna-bundle].'
)
TWINS = 4  # units of the superset at least that come a second time under other ids


@dataclass(frozen=True, kw_only=True)
class TableTest:
    """A hidden test of any competition, and how its submission is judged."""

    data: TableSet
    plan: Plan
    competition: "TableCompetition"

    @property
    def folder(self) -> Path:
        """Return the folder to mount."""
        return self.data.folder

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids in the sample's order."""
        return self.data.ids

    @property
    def submission(self) -> str:
        """Return the name of the file that the notebook writes."""
        return self.data.profile.hidden.submission

    @property
    def columns(self) -> list[str]:
        """Return the columns of the sample submission."""
        return self._expected.columns

    @property
    def source(self) -> str:
        """Return what it was made from, for people."""
        return self.data.source

    @property
    def units(self) -> int:
        """Return how many units were dealt, without planted ones and twins."""
        return len(self.data.ordinary)

    @property
    def size(self) -> int:
        """Return how many units it has, planted ones and twins among them."""
        own = self.data
        if any(unit.name for unit in own.dealt):
            return len(own.dealt)
        # A hook's rows are one unit, of which it is only known how many were asked for.
        return self.plan.units or len(set(_public_units(own.profile)) or own.ids)

    @property
    def planted(self) -> list[Planted]:
        """Return the awkward cases, by each value that a message may name them by."""
        return [
            Planted(name=name, case=one.case, advice=AWKWARD)
            for one in self.data.dealt
            if one.case and not self.data.lasting  # a number of a row is named by any number
            for name in dict.fromkeys((one.name, *_new_values(one)))
        ]

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Return the right answers where they are known."""
        return self.data.labels

    @property
    def notes(self) -> list[str]:
        """Return what is not as on Kaggle, for people."""
        notes = [f"not handed over: {reason}" for reason in self.data.left_out]
        if self.data.copied_bytes:
            size = self.data.copied_bytes / 1e6
            notes.append(f"{size:.1f} MB of files were copied: they lie on another disk")
        if self.data.not_planted:
            notes.append(f"not planted here: {', '.join(self.data.not_planted)}")
        return notes

    @property
    def gateway(self) -> None:
        """Return None: the notebook reads the folder itself."""
        return None

    def second(self, folder: Path, size: int, *, turned: bool = True) -> "TableTest":
        """Write a hidden test of `size` units: those of this one, others and twins, `turned` round.

        Units have other neighbours there. Twins are the same rows and files under other ids, as
        many as are needed: the training table lacks no more rows in a second run than in the first.
        """
        cases = sum(bool(unit.case) for unit in self.data.dealt)
        own = max(size - cases - TWINS, 1)
        units = own if self.competition.hidden.hook else min(own, GROWN * self.plan.units)
        plan = Plan(
            units=units,
            withheld=self.plan.withheld,
            seed=self.plan.seed,
            order=int(turned),
            twins=max(size - cases - units, 0),
            awkward=self.plan.awkward,
        )
        return self.competition.deal(folder, plan)

    def variables(self, model: Bundle | None) -> Mapping[str, str]:
        """Return nothing: a command of the user's own knows Kaggle's variables alone."""
        return {}

    def probe(self, places: Mapping[str, str], out: str, seconds: float) -> Probe | None:
        """Return None: what the command does is measured as a whole."""
        return None

    def check(self, output: RunOutput) -> SubmissionResult:
        """Check the submission; compute the user's metric where answers are known."""
        checks, found = submission_checks.check(output.working, self._expected)
        if not self.data.dealt:
            # Many write the sample's values on the public test, to save the time of a commit.
            checks = [check for check in checks if check.name != "constant"]
        if found is None or any(check.status == "failed" for check in checks):
            return SubmissionResult(checks=tuple(checks))
        own, root = self.data.profile, self.competition.root
        scored = metric.compute(own, found, self.labels, root) if self.data.dealt else None
        checks += [scored] if scored else []
        return SubmissionResult(checks=tuple(checks), distribution=spread.draw(found, own))

    def compare(self, output: RunOutput, model: Bundle | None) -> ComparisonResult:
        """Return nothing: only the user's command knows how it predicts."""
        return ComparisonResult(checks=())

    def compare_runs(
        self, output: RunOutput, others: Sequence[OtherRun], model: Bundle | None = None
    ) -> list[Check]:
        """Compare this run with a second one on the same rows among others, in another order."""
        first, tolerance = self._answers(output), self.data.profile.hidden.tolerance
        if first is None:
            return []
        ordinary = {JOINED.join(name) for unit in self.data.ordinary for name in unit.ids}
        own = {name: answer for name, answer in first.items() if name in ordinary}
        checks = [parity.input_matters(own, tolerance)]
        for test, second in others:
            again = test._answers(second) if isinstance(test, TableTest) else None
            if not isinstance(test, TableTest) or again is None or not test.data.dealt:
                continue  # the public test has other rows
            checks.append(parity.same_answers(self._named(own), test._named(again), tolerance))
            if any(unit.twin for unit in test.data.dealt):
                checks.append(parity.twins(test.data.dealt, again, tolerance))
        return strongest(checks)

    def _named(self, answers: Answers) -> Answers:
        """Return answers by ids that are the same in every run."""
        return {self.data.lasting.get(name, name): answer for name, answer in answers.items()}

    @property
    def _expected(self) -> Expected:
        return Expected(profile=self.data.profile, ids=self.ids, labels=self.labels)

    def _answers(self, output: RunOutput) -> Answers | None:
        own = self.data.profile.hidden
        try:
            found = submission_file.read(output.working / own.submission, own.id)
            return found.answers(own.id, own.targets)
        except (InputError, OSError, ValueError):
            return None  # which its own checks report


@dataclass(frozen=True, kw_only=True)
class TableCompetition:
    """A competition whose folder holds tables, or whose hidden test the user's hook writes."""

    folder: Path | None
    hidden: Hidden
    root: Path  # of the user's repository

    @property
    def unit(self) -> str:
        """Return what --units counts."""
        return self.hidden.unit.removesuffix("_id") or "row"

    @property
    def rows(self) -> str:
        """Return what the hidden test is counted in."""
        unit = self.unit
        return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"

    def public(self) -> TableTest | None:
        """Return the folder as the public test has it: the competition's own, if it has rows."""
        own = self.profile()
        if own is None or own.sample is None or not own.sample.examples:
            return None
        data = TableSet(
            folder=own.folder,
            profile=own,
            dealt=(),
            ids=_sample_ids(own),
            source="the public test rows",
        )
        return TableTest(data=data, plan=Plan(units=0), competition=self)

    def validate(self, units: int | None) -> None:
        """Raise UsageError where the number or the folder cannot be used."""
        if units is not None and not 1 <= units <= MOST_UNITS:
            raise UsageError(f"--units is {units}. Choose from 1 to {MOST_UNITS}.")
        if self.folder is None and not self.hidden.hook:
            raise UsageError(NO_FOLDER)
        if self.folder is not None and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is no folder. Correct --competition-dir.")

    def write(self, folder: Path, units: int) -> TableTest:
        """Write a hidden test of so many units, and the awkward cases. Raises InputError."""
        # The second run's rows are hidden from the first, too: a command that trains on the spot
        # would else learn from other rows there, and its answers would differ for that alone.
        return self.deal(folder, Plan(units=units, withheld=GROWN * units))

    def deal(self, folder: Path, plan: Plan) -> TableTest:
        """Write the hidden test of a plan, by the user's function where they have one."""
        own = self.profile()
        if self.hidden.hook:
            data = hook.write(folder, self.hidden, self.folder, self.root, plan)
        elif own is not None:
            data = tables.write(folder, own, plan)
        else:
            raise UsageError(NO_FOLDER)
        return TableTest(data=data, plan=plan, competition=self)

    def profile(self) -> Profile | None:
        """Return what the competition's folder holds; None where there is no such folder."""
        return _read(self.folder, self.hidden) if self.folder else None


def _new_values(dealt: Dealt) -> list[str]:
    """Return the ids and names of files that a unit was given."""
    return [new for names in dealt.renamed.values() for new in names.values()]


@functools.lru_cache(maxsize=4)
def _read(folder: Path, hidden: Hidden) -> Profile:
    """Read a folder once for all hidden tests of a rehearsal."""
    return profile.read(folder, hidden)


def _public_units(own: Profile) -> list[str]:
    """Return the public test's units, as far as its table was looked at."""
    unit = own.hidden.unit
    table = own.test if own.test and own.test.has(unit) else own.sample
    return table.values(unit) if table and table.has(unit) else []


def _sample_ids(own: Profile) -> tuple[str, ...]:
    found = submission_file.read(own.folder / own.hidden.sample, own.hidden.id)
    return tuple(dict.fromkeys(found.ids(own.hidden.id or found.columns[:1])))
