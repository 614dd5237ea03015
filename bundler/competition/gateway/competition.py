"""A competition with a gateway, as a rehearsal sees it: its tables, handed over call by call."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.competition import tables
from bundler.competition.check import Check, Status
from bundler.competition.dealing import JOINED
from bundler.competition.gateway import checks, driver, events, package, result
from bundler.competition.gateway.checks import Rerun
from bundler.competition.gateway.package import Package
from bundler.competition.gateway.process import GatewayOutput, GatewayPlan
from bundler.competition.general import TableCompetition, TableTest
from bundler.competition.profile import Profile
from bundler.competition.protocol import (
    ComparisonResult,
    Competition,
    OtherRun,
    Planted,
    Probe,
    RunOutput,
    SubmissionResult,
)
from bundler.competition.table import text
from bundler.competition.tables import Plan, TableSet
from bundler.errors import InputError
from bundler.sandbox import backends, namespaces, pod
from bundler.sandbox.backends import SandboxError
from inference.boot.bundle import Bundle

# The gateway itself reads the rows' files, so that the host's data have them all.
IMPOSSIBLE = "missing file"
NO_TABLES = "the competition's own files: there are no rows to deal a hidden test from"


@dataclass(frozen=True, kw_only=True)
class GatewayTest:
    """A hidden test that a gateway hands over; the notebook finds the public one in its place."""

    inner: TableTest
    package: Package
    hidden_rows: int  # of the real hidden test
    public_names: Mapping[str, Path]  # what the notebook finds in the hidden test's place
    rerun: bool = True  # False: the public test, which the notebook hands to its own server
    shuffled: bool = False

    @property
    def folder(self) -> Path:
        """Return the folder to mount."""
        return self.inner.folder

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids that a submission must hold."""
        return self.inner.ids

    @property
    def submission(self) -> str:
        """Return the name of the file that the gateway writes."""
        return self.inner.submission

    @property
    def columns(self) -> list[str]:
        """Return the columns of the submission."""
        return self.inner.columns

    @property
    def source(self) -> str:
        """Return what it was made from, for people."""
        return self.inner.source

    @property
    def units(self) -> int:
        """Return how many units were dealt."""
        return self.inner.units

    @property
    def size(self) -> int:
        """Return how many units it has altogether."""
        return self.inner.size

    @property
    def planted(self) -> list[Planted]:
        """Return the awkward cases."""
        return self.inner.planted

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Return the right answers where they are known."""
        return self.inner.labels

    @property
    def notes(self) -> list[str]:
        """Return what is not as on Kaggle, for people."""
        return self.inner.notes

    @property
    def gateway(self) -> GatewayPlan | None:
        """Return the gateway to start beside the notebook; None on the public test."""
        if not self.rerun:
            return None
        names = [f"inference_server_{name}" for name in self.package.servers]
        return GatewayPlan(
            script=Path(driver.__file__),
            module=self.package.gateway.module,
            name=self.package.gateway.name,
            slugs=self.package.slugs,
            servers=tuple(names) or ("inference_server",),
            ports=self.package.ports,
            shuffled=self.shuffled,
            public=self.public_names,
        )

    def second(self, folder: Path, size: int) -> "GatewayTest":
        """Write the hidden test of the second pass: more rows, and the calls in another order."""
        if not self.inner.data.dealt:
            return replace(self, shuffled=True)
        inner = self.inner.second(folder, size)
        public = _public(self.package.folder, folder, inner)
        return replace(self, inner=inner, public_names=public, shuffled=True)

    def variables(self, model: Bundle | None) -> Mapping[str, str]:
        """Return nothing: a command of the user's own knows Kaggle's variables alone."""
        return {}

    def probe(self, places: Mapping[str, str], out: str, seconds: float) -> Probe | None:
        """Return None: the calls themselves are measured."""
        return None

    def check(self, output: RunOutput) -> SubmissionResult:
        """Check the gateway's run and the submission that it wrote."""
        left = output.gateway
        if left is None:
            return self._submitted(output)
        rerun = self._rerun(left)
        own, curves = checks.check(rerun), checks.curves(rerun)
        failed = any(check.name == "gateway" and check.status == "failed" for check in own)
        if failed:  # it has written none, and its result names the reason
            return SubmissionResult(checks=tuple(own), curves=curves)
        submitted = self._submitted(_of_gateway(output))
        return replace(submitted, checks=(*own, *submitted.checks), curves=curves)

    def compare(self, output: RunOutput, model: Bundle | None) -> ComparisonResult:
        """Return nothing: only the user's server knows how it predicts."""
        return ComparisonResult(checks=())

    def compare_runs(
        self, output: RunOutput, others: Sequence[OtherRun], model: Bundle | None = None
    ) -> list[Check]:
        """Compare the answers with those of a second pass, in another order of the calls."""
        if not self.inner.data.dealt or output.gateway is None:
            return []
        first = events.read(output.gateway.log).order
        passes: list[OtherRun] = []
        orders: list[tuple[str, ...]] = []
        for test, left in others:
            if isinstance(test, GatewayTest) and left.gateway is not None:
                passes.append((test.inner, _of_gateway(left)))
                orders.append(events.read(left.gateway.log).order)
        done = list(self.inner.compare_runs(_of_gateway(output), passes))
        return [_order(check, first, orders) for check in done]

    def _rerun(self, left: GatewayOutput) -> Rerun:
        return Rerun(
            package=self.package,
            output=left,
            events=events.read(left.log),
            result=result.read(left.working),
            rows=self.hidden_rows,
            planted=self.planted,
        )

    def _submitted(self, output: RunOutput) -> SubmissionResult:
        if self.inner.data.profile.hidden.id:
            return self.inner.check(output)
        # Without ids nothing can be held against them: a file is all that is asked for.
        path = output.working / self.submission
        written = path.is_file()
        message = f"{path.stat().st_size:,} bytes" if written else f"{path.name} was not written"
        status: Status = "passed" if written else "failed"
        return SubmissionResult(
            checks=(Check(name=self.submission, status=status, message=message),)
        )


@dataclass(frozen=True, kw_only=True)
class GatewayCompetition:
    """A competition whose folder holds kaggle_evaluation."""

    tables: TableCompetition
    package: Package
    hidden_rows: int  # of the real one

    @property
    def unit(self) -> str:
        """Return what --units counts."""
        return self.tables.unit

    @property
    def rows(self) -> str:
        """Return what the setting `hidden_units` counts."""
        return self.tables.rows

    def public(self) -> GatewayTest | None:
        """Return the public test, which `run_local_gateway` hands over within the notebook."""
        own = self.tables.profile()
        if own is None:
            return None
        data = TableSet(
            folder=own.folder, profile=own, dealt=(), ids=_ids(own), source="the public test rows"
        )
        inner = TableTest(data=data, plan=Plan(units=0), competition=self.tables)
        return GatewayTest(
            inner=inner,
            package=self.package,
            hidden_rows=self.hidden_rows,
            public_names={},
            rerun=False,
        )

    def validate(self, units: int) -> None:
        """Raise UsageError for a number that cannot be; InputError where the gateway lacks data.

        Raises SandboxError where this machine cannot make the gateway's sandbox.
        """
        self.tables.validate(units)
        if reason := backends.reasons()[pod.BACKEND]:
            raise SandboxError(
                "A gateway cannot be rehearsed here: its sandbox and the notebook's share a "
                f"network and mounts, and this machine cannot make such a pair ({reason}). "
                f"{namespaces.ALLOW}"
            )
        if missing := self.package.missing:
            raise InputError(
                f"{self.package.gateway} reads {', '.join(missing)}, which "
                f"{self.package.folder} lacks, so that it would fail before the first call. "
                "Download the competition's files again, all of them."
            )

    def write(self, folder: Path, units: int) -> GatewayTest:
        """Write a hidden test for the gateway, and what the notebook finds in its place."""
        own = self.tables.profile()
        if own is not None and own.test is None and not own.hidden.hook:
            data = TableSet(folder=own.folder, profile=own, dealt=(), ids=(), source=NO_TABLES)
            inner = TableTest(data=data, plan=Plan(units=0), competition=self.tables)
            return GatewayTest(
                inner=inner, package=self.package, hidden_rows=self.hidden_rows, public_names={}
            )
        inner = self.tables.write(folder, units)
        if not (folder / package.NAME).is_dir():  # a hook of the user's writes the rows alone
            shutil.copytree(self.package.folder / package.NAME, folder / package.NAME)
        public = _public(self.package.folder, folder, inner)
        return GatewayTest(
            inner=inner, package=self.package, hidden_rows=self.hidden_rows, public_names=public
        )


def choose(tables: TableCompetition, rows: int) -> Competition:
    """Return the competition with its gateway where its folder holds one.

    Raises InputError where the settings say that there is one, or it is of an unknown version.
    """
    folder = tables.folder
    found = package.read(folder) if folder and folder.is_dir() else None
    if found is None:
        if tables.hidden.gateway and folder and folder.is_dir():
            raise InputError(
                f"{folder} holds no {package.NAME}, but `gateway = true` in "
                "[tool.rsna-bundle.hidden] says that a gateway hands the rows over. Download the "
                "competition's files again, or take `gateway` out of the settings."
            )
        return tables
    awkward = tuple(case for case in tables.hidden.awkward if case != IMPOSSIBLE)
    own = replace(tables, hidden=replace(tables.hidden, awkward=awkward))
    return GatewayCompetition(tables=own, package=found, hidden_rows=rows)


def _public(own: Path, hidden: Path, inner: TableTest) -> dict[str, Path]:
    """Return what lies at the hidden test's names in the competition's own folder.

    Nothing public there: an empty file or folder, since the notebook must not see the hidden one.
    """
    found = {}
    for name in sorted(tables.written(inner.data.profile)):
        if not (hidden / name).exists():
            continue
        found[name] = own / name
        if not (own / name).exists():
            nothing = hidden.with_name(f"{hidden.name}-nothing") / name
            nothing.parent.mkdir(parents=True, exist_ok=True)
            nothing.mkdir() if (hidden / name).is_dir() else nothing.touch()
            found[name] = nothing
    return found


def _ids(own: Profile) -> tuple[str, ...]:
    """Return the ids of the public test's rows, as its gateway names them."""
    if own.test is None or not all(own.test.has(name) for name in own.hidden.id):
        return ()
    rows = own.test.table.rows()
    names = (JOINED.join(text(row[name]) for name in own.hidden.id) for row in rows)
    return tuple(dict.fromkeys(names))


def _of_gateway(output: RunOutput) -> RunOutput:
    """Return the output with the gateway's working folder: there the submission lies."""
    return replace(output, working=output.gateway.working) if output.gateway else output


def _order(check: Check, first: Sequence[str], others: Sequence[Sequence[str]]) -> Check:
    """Say "unproven" of what was to be proven by another order, if the order was the same."""
    if check.name != "order and neighbours" or check.status != "passed" or not first:
        return check
    for other in others:
        shared = set(first) & set(other)
        if [name for name in first if name in shared] != [name for name in other if name in shared]:
            message = check.message.replace("in another order", "in another order of the calls")
            return replace(check, message=message)
    message = "The gateway made its calls in the same order both times, so nothing is known."
    return replace(check, status="unproven", message=message)
