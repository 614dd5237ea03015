"""A hidden test that a gateway hands over call by call, and how its rerun is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.competition.check import Check, Status
from bundler.competition.gateway import checks, driver, events, order, public_rows, result
from bundler.competition.gateway.checks import Rerun
from bundler.competition.gateway.package import Package
from bundler.competition.gateway.process import GatewayOutput, GatewayPlan
from bundler.competition.general import TableTest
from bundler.competition.protocol import (
    ComparisonResult,
    OtherRun,
    Planted,
    Probe,
    RunOutput,
    SubmissionResult,
)
from inference.boot.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class GatewayTest:
    """A hidden test that a gateway hands over; the notebook finds the public one in its place."""

    inner: TableTest
    package: Package
    hidden_rows: int  # of the real hidden test
    public_names: Mapping[str, Path]  # what the notebook finds in the hidden test's place
    rerun: bool = True  # False: the public test, which the notebook hands to its own server
    ordered: bool = False  # the setting: each call depends on those before it
    shuffled: bool = False  # the calls come in another order than the gateway's own

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
        return GatewayPlan(
            script=Path(driver.__file__),
            module=self.package.gateway.module,
            name=self.package.gateway.name,
            slugs=self.package.slugs,
            servers=self.package.hosts,
            ports=self.package.ports,
            shuffled=self.shuffled,
            public=self.public_names,
        )

    def second(self, folder: Path, size: int) -> "GatewayTest":
        """Write the hidden test of the second pass: more rows, and the calls in another order.

        Where each call depends on those before it, the gateway's own order stays.
        """
        shuffled = not self.ordered
        if not self.inner.data.dealt:
            return replace(self, shuffled=shuffled)
        inner = self.inner.second(folder, size, turned=shuffled)
        names = public_rows.in_place_of(inner, self.package.folder)
        return replace(self, inner=inner, public_names=names, shuffled=shuffled)

    def variables(self, model: Bundle | None) -> Mapping[str, str]:
        """Return nothing: a command of the user's own knows Kaggle's variables alone."""
        return {}

    def probe(self, places: Mapping[str, str], out: str, seconds: float) -> Probe | None:
        """Return None: the calls themselves are measured."""
        return None

    def check(self, output: RunOutput) -> SubmissionResult:
        """Check the gateway's run and the submission that it wrote."""
        if output.gateway is None:
            return self._submitted(output)
        rerun = self._rerun(output.gateway)
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
        if self.ordered:  # what is compared with another order of the rows would fail falsely
            alone = self.inner.compare_runs(_of_gateway(output), [])
            return [*alone, order.NOT_TRIED]
        passes: list[OtherRun] = []
        orders: list[tuple[str, ...]] = []
        for test, other in others:
            if isinstance(test, GatewayTest) and other.gateway is not None:
                passes.append((test.inner, _of_gateway(other)))
                orders.append(events.read(other.gateway.log).order)
        compared = self.inner.compare_runs(_of_gateway(output), passes)
        return order.judged(compared, events.read(output.gateway.log).order, orders)

    def _rerun(self, output: GatewayOutput) -> Rerun:
        return Rerun(
            package=self.package,
            output=output,
            events=events.read(output.log),
            result=result.read(output.working),
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


def _of_gateway(output: RunOutput) -> RunOutput:
    """Return the output with the gateway's working folder: there the submission lies."""
    return replace(output, working=output.gateway.working) if output.gateway else output
